"""Fans that are perhaps one person: pairs to look at, and what was made one lately."""

from typing import Any

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.routes import Pages, is_htmx, one_time_key, page
from domain.errors import Invalid
from domain.fans import recipient_id
from domain.merging import UNDO_WITHIN, are_different_people

duplicates = Pages("duplicates")

PATH = "/fans/duplicates"
PAIRS, MERGES = 20, 20
# Why two fans stand side by side.
REASONS = {
    "email": "the same email",
    "platformUserId": "the same number on the platform",
    "handle": "nearly the same handle",
}


@duplicates.get(PATH)
def show() -> Response:
    """A script asks for the next pairs only."""
    cursor = request.args.get("cursor")
    values = _pairs(cursor)
    if is_htmx() and cursor:
        return page("duplicates/pairs.html", **values)
    return page("duplicates/page.html", **values, **_merged())


def _pairs(cursor: str | None) -> dict[str, Any]:
    try:
        found, following = services().merges.duplicates(caller(), PAIRS, cursor)
    except Invalid:  # A cursor that is none: from the beginning.
        found, following = services().merges.duplicates(caller(), PAIRS, None)
    return {
        "pairs": [
            (
                one,
                [REASONS.get(why, why) for why in one.reasons],
                are_different_people(one.fan, one.other),
                one_time_key(),
            )
            for one in found
        ],
        "more": f"{PATH}?cursor={following}" if following else None,
    }


def _merged() -> dict[str, Any]:
    """What can still be parted again."""
    since = now() - UNDO_WITHIN
    merges = services().merges.list_merges(caller(), MERGES, None).items
    kept = [one for one in merges if one.undone_at is None and one.at > since]
    ids = [fan_id for one in kept for fan_id in (one.kept_id, one.merged_id)]
    fans = services().fans.known(caller(), ids)
    names = {one: fans[one].name if one in fans else recipient_id(one) for one in ids}
    return {
        "merges": [(one, names[one.kept_id], names[one.merged_id], one_time_key()) for one in kept]
    }
