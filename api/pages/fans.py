"""Fans: found, tagged, kept, made one, handed out and erased."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.filters import DASH, clock, money
from api.pages.routes import (
    Flash,
    Form,
    Pages,
    back,
    cents_of,
    dressed,
    form,
    form_once,
    is_htmx,
    number_of,
    own_path,
    page,
    zone,
)
from api.views.cells import BOM, line
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, DomainError, FieldProblem, Invalid, NotFound
from domain.fans import Fan, FanId
from domain.money import MoneyFilter
from domain.repositories import FanChange, MergeId
from domain.segments import REGULAR, TIERS, FanFilter, FanSort, SegmentId
from domain.services.fans import TAGGED_MAX, Dossier
from domain.users import Permission

fans = Pages("fans")

ROWS, LINES = 50, 20
FILTERS = ("q", "tag", "tier", "subscription", "linked", "min", "after", "before", "deleted")
# Those that stand folded away.
FURTHER = frozenset({"subscription", "linked", "min", "after", "before", "deleted"})
SORTS = {
    FanSort.NEWEST: "Newest first",
    FanSort.OLDEST: "Oldest first",
    FanSort.NAME: "Name",
    FanSort.VALUE: "Highest spend",
    FanSort.LAST_SEEN: "Last seen",
}
FIELDS = ("name", "handle", "email", "tags", "value", "notes")
NAMES = {"valueCents": "value"}
# What the history calls by names that nobody says.
SAID = {
    "value_cents": "spent",
    "last_seen_at": "last seen",
    "connection_id": "account",
    "platform_user_id": "id on the platform",
    "subscription_ends_at": "subscription ends",
    "subscription_tier": "subscription tier",
    "value_stated_at": "spent as of",
    "deleted_at": "deleted",
    "merged_into": "merged into fan",
}
CAPITAL = re.compile("[A-Z]")
COLUMNS = ("number", "name", "handle", "email", "tags", "spender", "spent", "lastSeenAt", "notes")


@fans.get("/fans")
def list_fans() -> Response:
    """The list; a script asks for its next rows only."""
    typed = Form({name: request.args.get(name, "").strip() for name in (*FILTERS, "sort")})
    asked = {name: value for name, value in typed.values.items() if value}
    segment = number_of(request.args.get("segment", ""))
    if segment is not None:
        asked["segment"] = str(segment)
    who, values, code = caller(), _choices(), 200
    try:
        found = services().fans.list_fans(
            who,
            ROWS,
            request.args.get("cursor"),
            sought=_sought(typed.values),
            sort=_sort(asked),
            segment_id=None if segment is None else SegmentId(segment),
        )
    except Invalid as refusal:
        code, typed = 422, typed.refused(refusal)
        found = services().fans.list_fans(who, ROWS, None)
        asked = {}
    narrowing = [name for name in asked if name in FILTERS]
    values |= {
        "found": found,
        "asked": asked,
        "segment": segment,
        "narrowing": narrowing,
        "further": [name for name in narrowing if name in FURTHER],
        "is_taggable": not found.is_capped and found.total <= TAGGED_MAX,
        "tagged_max": TAGGED_MAX,
        "more": _path(asked | {"cursor": found.next_cursor}) if found.next_cursor else None,
    }
    if is_htmx() and request.args.get("cursor"):
        return page("fans/rows.html", **values)
    return page("fans/list.html", code, form=typed, **values)


@fans.get("/fans/fans.csv")
def export() -> Response:
    """What the list shows, whole, as a file."""
    segment = number_of(request.args.get("segment", ""))
    found = services().fans.export(
        caller(),
        sought=_sought(request.args),
        sort=_sort(request.args),
        segment_id=None if segment is None else SegmentId(segment),
    )
    return dressed(
        Response(
            _lines(found),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="fans.csv"'},
        )
    )


def _lines(found: Iterator[Fan]) -> Iterator[str]:
    yield BOM + line(COLUMNS)
    for fan in found:
        yield line(
            (
                fan.id,
                fan.name,
                fan.handle,
                fan.email or "",
                ", ".join(fan.tags),
                fan.tier or REGULAR,
                f"{fan.value_cents / 100:.2f}",
                fan.last_seen_at.isoformat() if fan.last_seen_at else "",
                fan.notes or "",
            )
        )


@fans.post("/fans/tags")
def tag() -> Response:
    """Tag the fans that are ticked, or every fan that the filters find."""
    asked = _asked_of(request.form.get("asked", ""))
    place = _path(asked)
    ids = [FanId(one) for text in request.form.getlist("fan") if (one := number_of(text))]
    # A segment is no filter that fans could be changed by.
    every = "every" in request.form and "segment" not in asked
    if not ids and not every:
        return back(place, Flash("Nothing was changed: choose fans first.", "bad"))
    add, remove = _words(request.form.get("add", "")), _words(request.form.get("remove", ""))
    try:
        done = services().fans.tag(
            caller(),
            None if every else ids,
            _sought(asked) if every else None,
            add=add,
            remove=remove,
            once=form_once(),
        )
    except Invalid as refusal:
        return back(place, _refused(refusal))
    return back(place, f"{done.changed} of {done.matched} fans changed.")


@fans.post("/fans/segments")
def save_segment() -> Response:
    """Keep what the list is narrowed to under a name."""
    asked = _asked_of(request.form.get("asked", ""))
    name = request.form.get("name", "")
    try:
        made = services().segments.create(caller(), name, _sought(asked), form_once())
    except (Invalid, Conflict) as refusal:
        return back(_path(asked), _refused(refusal))
    return back(f"/fans?segment={made.segment.id}", f"Saved as {name}.")


@fans.post("/fans/segments/<int:segment_id>/delete")
def delete_segment(segment_id: int) -> Response:
    services().segments.delete(caller(), SegmentId(segment_id))
    return back("/fans", "The segment is gone; its fans stay.")


@fans.get("/fans/new")
def new() -> Response:
    caller().require(Permission.EDIT)
    return page("fans/form.html", form=Form(dict.fromkeys(FIELDS, "")), fan=None)


@fans.post("/fans/new")
def create() -> Response:
    typed = form(*FIELDS)
    try:
        given = {"platform": "onlyfans"} | _given(typed.values)
        made = services().fans.create(caller(), given, now(), form_once())
    except (Invalid, Conflict) as refusal:
        told = typed.refused(refusal, **NAMES)
        return page("fans/form.html", 422, form=told, fan=None)
    return back(f"/fans/{made.fan.id}", "Added.")


@fans.get("/fans/<int:fan_id>")
def show(fan_id: int) -> Response:
    """All of a fan on one page."""
    who = caller()
    dossier = services().fans.dossier(who, FanId(fan_id), now())
    booked = None
    if who.may(Permission.MONEY):
        booked = services().money.list_transactions(
            who, MoneyFilter(fan_id=FanId(fan_id)), LINES, None
        )
    changes = services().fans.changes(who, FanId(fan_id), LINES, request.args.get("changes"))
    return page(
        "fans/show.html",
        dossier=dossier,
        fan=dossier.fan,
        mute=_mute(dossier),
        money=booked,
        changes=changes,
        told=[(one, _told(one, dossier.accounts)) for one in changes.items],
        names=services().team.names(who),
    )


def _mute(dossier: Dossier) -> str | None:
    """Why nothing can be written to the fan, and what to do; None where it can."""
    fan = dossier.fan
    account = dossier.accounts.get(fan.connection_id) if fan.connection_id else None
    if fan.deleted_at is not None:
        return "This fan is deleted: nothing is sent. Restore the fan to write again."
    if not fan.linked or account is None:
        return (
            "Nothing can be sent to this fan yet: no connected account knows the handle. It is"
            " linked by itself once an account is read that has this fan."
        )
    if account.state is ConnectionState.DISCONNECTED:
        return (
            f"Nothing can be sent to this fan: {account.name} is disconnected. Connect it again,"
            " and what waits goes."
        )
    return None


def _told(
    change: FanChange, accounts: Mapping[ConnectionId, Connection]
) -> list[tuple[str, str, str]]:
    """The fields of a line of history in words, each as it was and as it became."""

    def words(name: str, value: Any) -> str:
        if value is None or value == []:
            return DASH
        if name == "value_cents":
            return money(value)
        if name == "connection_id" and value in accounts:
            return accounts[value].name
        if name.endswith("_at"):
            return clock(datetime.fromisoformat(value))
        return ", ".join(value) if isinstance(value, list) else str(value)

    told = []
    for spelled, value in change.after.items():
        name = CAPITAL.sub(r"_\g<0>", spelled).lower()
        before = words(name, change.before.get(spelled))
        told.append((SAID.get(name, name), before, words(name, value)))
    return told


@fans.get("/fans/<int:fan_id>/edit")
def edit(fan_id: int) -> Response:
    who = caller()
    who.require(Permission.EDIT)
    fan = services().fans.get(who, FanId(fan_id))
    typed = {
        "name": fan.name,
        "handle": fan.handle,
        "email": fan.email or "",
        "tags": ", ".join(fan.tags),
        "value": f"{fan.value_cents / 100:.2f}",
        "notes": fan.notes or "",
        "version": str(fan.version),
    }
    return page("fans/form.html", form=Form(typed), fan=fan)


@fans.post("/fans/<int:fan_id>/edit")
def change(fan_id: int) -> Response:
    """Refused when somebody else changed the fan since the form was opened."""
    who, typed = caller(), form(*FIELDS, "version")
    fan = services().fans.get(who, FanId(fan_id))
    try:
        given = _given(typed.values)
        if given.get("value_cents") == fan.value_cents:
            del given["value_cents"]
        version = number_of(typed.values["version"])
        services().fans.update(who, fan.id, given, now(), version)
    except (Invalid, Conflict) as refusal:
        return page("fans/form.html", 422, form=typed.refused(refusal, **NAMES), fan=fan)
    return back(f"/fans/{fan.id}", "Saved.")


@fans.post("/fans/<int:fan_id>/merge")
def merge(fan_id: int) -> Response:
    other = number_of(request.form.get("other", "").strip().removeprefix("fan_"))
    place = own_path(request.form.get("next"), f"/fans/{fan_id}")
    services().fans.get(caller(), FanId(fan_id))
    if other is None:
        return back(place, Flash("Nothing was changed: use the fan's number.", "bad"))
    try:
        services().merges.merge(caller(), FanId(fan_id), FanId(other), now(), form_once())
    except (Invalid, Conflict, NotFound) as refusal:
        return back(place, _refused(refusal))
    return back(place, "They are one fan now. It can be undone for 30 days.")


@fans.post("/fans/merges/<int:merge_id>/undo")
def undo(merge_id: int) -> Response:
    done = services().merges.undo(caller(), MergeId(merge_id), now(), form_once())
    stayed = f" Changed since and kept: {', '.join(done.stayed)}." if done.stayed else ""
    return back(f"/fans/{done.kept_id}", f"They are two fans again.{stayed}")


@fans.post("/fans/<int:fan_id>/delete")
def delete(fan_id: int) -> Response:
    """Softly, or for good."""
    mode = "hard" if request.form.get("mode") == "hard" else "soft"
    services().departures.delete(caller(), FanId(fan_id), now(), mode)
    if mode == "hard":
        return back("/fans", "Erased for good.")
    return back(f"/fans/{fan_id}", "Deleted. It can be restored here.")


@fans.post("/fans/<int:fan_id>/restore")
def restore(fan_id: int) -> Response:
    services().fans.restore(caller(), FanId(fan_id))
    return back(f"/fans/{fan_id}", "Restored.")


def _refused(refusal: DomainError) -> Flash:
    return Flash(f"Nothing was changed: {Form().refused(refusal).error}", "bad")


def _choices() -> dict[str, Any]:
    who = caller()
    return {
        "tag_pairs": [(tag, f"{tag} ({n})") for tag, n in services().fans.tag_counts(who).counts],
        "segments": services().segments.list_segments(who),
        "tier_pairs": [(tier, tier.capitalize()) for tier in TIERS],
        "sorts": list(SORTS.items()),
    }


def _sought(typed: Mapping[str, str]) -> FanFilter:
    """What the filters of the address ask for; raises Invalid naming the field."""
    lowest = cents_of("min", typed.get("min", ""))
    found = FanFilter(
        q=typed.get("q") or None,
        tags=_words(typed.get("tag", "")),
        min_spend_cents=lowest,
        seen_after=_day("after", typed.get("after", "")),
        seen_before=_day("before", typed.get("before", ""), plus=1),
        tier=typed.get("tier") or None,
        subscription=typed.get("subscription") or None,
        deleted=typed.get("deleted") == "yes",
    )
    linked = typed.get("linked")
    return replace(found, linked=linked == "yes") if linked else found


def _given(typed: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a fan from its form; what is empty is cleared."""
    return {
        "name": typed["name"],
        "handle": typed["handle"],
        "email": typed["email"] or None,
        "tags": list(_words(typed["tags"])),
        "notes": typed["notes"] or None,
        "value_cents": cents_of("valueCents", typed["value"]) or 0,
    }


def _sort(asked: Mapping[str, str]) -> FanSort:
    return next((one for one in FanSort if one == asked.get("sort")), FanSort.NEWEST)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _day(field: str, text: str, plus: int = 0) -> datetime | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone())
        return (day + timedelta(days=plus)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(FieldProblem(field, "use a day as in 2025-01-31")) from None


def _path(asked: Mapping[str, str | None]) -> str:
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"/fans?{query}" if query else "/fans"


def _asked_of(query: str) -> dict[str, str]:
    """The filters that a form repeats; anything else is dropped."""
    known = (*FILTERS, "sort", "segment")
    return {name: value for name, value in parse_qsl(query) if name in known}
