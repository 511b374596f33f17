"""What somebody types to start a campaign, read into the terms of one."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from api.auth import caller
from api.context import now, services
from api.pages.routes import Form, cents_of, zone
from domain.bulk_limits import Hours, read_hours
from domain.campaigns import Audience
from domain.connections import ConnectionId
from domain.errors import DomainError, FieldProblem, Invalid
from domain.fans import FanId, parse_recipient
from domain.messages import BULK_PRIORITY, Draft, attachments_of
from domain.segments import FanFilter, SegmentId
from domain.services.planning import Plan, Terms

TEXTS = (
    "name",
    "content",
    "price",
    "media",
    "schedule",
    "zone",
    "opens",
    "closes",
    "failure",
    "account",
    "size",
    "rate",
    "q",
)
# Each holds any number of values.
LISTS = ("segment", "tag", "fan", "notSegment", "notTag", "notFan", "file")
# What the service calls a field, and what it is called here.
FIELDS = {
    "campaignName": "name",
    "recipientIds": "fan",
    "segmentIds": "fan",
    "excludeIds": "notFan",
    "priceCents": "price",
    "mediaUrls": "media",
    "scheduledAt": "schedule",
    "hours": "opens",
    "hours.from": "opens",
    "hours.to": "closes",
    "hours.timeZone": "zone",
}
BATCH = 1000
PICKED_MAX = 200
FAILURE_PERCENT = 20


@dataclass(frozen=True)
class Asked:
    """A form's campaign. `spread`: fans that a tag or an account brought, whom nobody named."""

    terms: Terms
    spread: frozenset[FanId]


@dataclass(frozen=True)
class Look:
    """Who would get what; `left_out` of those that a tag brought, with the reason."""

    plan: Plan
    terms: Terms
    left_out: Sequence[tuple[FanId, str]] = ()


def typed() -> Form:
    """What the request's form holds."""
    values: dict[str, Any] = {
        one: request.form.get(one, "").replace("\x00", "").strip() for one in TEXTS
    }
    values["content"] = request.form.get("content", "").replace("\x00", "").replace("\r\n", "\n")
    return Form(values | {one: request.form.getlist(one) for one in LISTS})


def blank() -> Form:
    """A form in which nothing is typed but what the address names."""
    values: dict[str, Any] = {one: request.args.get(one, "") for one in ("name", "content")}
    values |= {one: request.args.getlist(one) for one in LISTS}
    return Form(
        dict.fromkeys(TEXTS, "") | values | {"zone": str(zone()), "failure": FAILURE_PERCENT}
    )


def mended(form: Form, refusal: DomainError) -> Form:
    """The form with what is wrong, each beside its field."""
    if isinstance(refusal, Invalid):
        problems = [
            FieldProblem(re.sub(r"\.\d+$", "", one.field), one.message) for one in refusal.problems
        ]
        refusal = Invalid(*problems, code=refusal.code)
    return form.refused(refusal, **FIELDS)


def picked(values: Mapping[str, Any]) -> Sequence[FanId]:
    """The fans whose boxes are shown; what names none is for `asked` to refuse."""
    found: list[FanId] = []
    for one in dict.fromkeys([*values["fan"], *values["notFan"]]):
        with suppress(Invalid):
            found.append(parse_recipient(one))
    return found[:PICKED_MAX]


def draft_of(values: Mapping[str, Any]) -> Draft:
    """The message; raises Invalid."""
    urls = dict.fromkeys([*values["file"], *values["media"].split()])
    return Draft(
        content=values["content"],
        attachments=attachments_of(list(urls)),
        priority=BULK_PRIORITY,
        price_cents=cents_of("price", values["price"]),
    )


def asked(values: Mapping[str, Any], moment: datetime) -> Asked:
    """The terms of the campaign; raises Invalid and NotFound."""
    named = _fans("fan", values["fan"])
    brought: list[FanId] = []
    account = account_of(values)
    segments = [_number("fan", one) or 0 for one in values["segment"]]
    for tag in values["tag"]:
        brought += _ids(FanFilter(tags=(tag,), connection_id=account))
    if account:
        for segment in segments:
            brought += _ids(FanFilter(connection_id=account), segment)
        segments = []
    left_out = list(_fans("notFan", values["notFan"]))
    for tag in values["notTag"]:
        left_out += _ids(FanFilter(tags=(tag,)))
    audience = Audience(
        recipient_ids=tuple(dict.fromkeys([*named, *brought])),
        segment_ids=tuple(segments),
        exclude_ids=tuple(dict.fromkeys(left_out)),
        exclude_segment_ids=tuple(_number("notFan", one) or 0 for one in values["notSegment"]),
    )
    rate = values["rate"]
    try:
        per_minute = float(rate) if rate else None
    except ValueError:
        per_minute = -1.0
    if per_minute is not None and not 0 < per_minute <= 600:
        raise Invalid(FieldProblem("rate", "use a number above 0, at most 600"))
    terms = Terms(
        draft_of(values),
        audience,
        starts_at=_start(values, moment),
        hours=_hours(values),
        rate_per_minute=per_minute,
    )
    return Asked(terms, frozenset(brought) - frozenset(named))


def look(form: Form, size: int | None = None, moment: datetime | None = None) -> Look:
    """Who would get what. Fans that a tag brought and who cannot be written to are left out and
    listed, as those of a segment are. Raises Invalid and NotFound."""
    moment = moment or now()
    found = asked(form.values, moment)
    terms, left_out = found.terms, list[tuple[FanId, str]]()
    while True:
        try:
            plan = services().campaigns.preview(caller(), terms, moment, size)
        except Invalid as refusal:
            bad = _bad(refusal)
            if not bad or not bad.keys() <= found.spread:
                raise
            left_out += bad.items()
            kept = tuple(one for one in terms.audience.recipient_ids if one not in bad)
            terms = replace(terms, audience=replace(terms.audience, recipient_ids=kept))
        else:
            return Look(plan, terms, left_out)


def account_of(values: Mapping[str, Any]) -> ConnectionId | None:
    """The account it is narrowed to; raises Invalid."""
    number = _number("account", values["account"])
    return ConnectionId(number) if number else None


def size_of(values: Mapping[str, Any]) -> int | None:
    return _number("size", values["size"])


def failure_of(values: Mapping[str, Any]) -> int:
    percent = _number("failure", values["failure"] or str(FAILURE_PERCENT)) or 0
    if not 1 <= percent <= 100:
        raise Invalid(FieldProblem("failure", "use 1 to 100"))
    return percent


def _bad(refusal: Invalid) -> dict[FanId, str]:
    if refusal.code != "bad_recipients":
        return {}
    pairs = (one.message.partition(": ") for one in refusal.problems)
    return {parse_recipient(who): why for who, _, why in pairs}


def _ids(sought: FanFilter, segment: int | None = None) -> Sequence[FanId]:
    """Every fan of a filter: whoever is to be left out must not be cut off."""
    found: list[FanId] = []
    cursor = None
    while True:
        part = services().fans.list_fans(
            caller(),
            BATCH,
            cursor,
            sought=sought,
            segment_id=None if segment is None else SegmentId(segment),
        )
        found += [one.id for one in part.items]
        cursor = part.next_cursor
        if cursor is None:
            return found


def _number(field: str, text: str | int) -> int | None:
    if not text:
        return None
    if not (str(text).isascii() and str(text).isdigit() and len(str(text)) < 16):
        raise Invalid(FieldProblem(field, "use a whole number"))
    return int(text)


def _fans(field: str, named: Sequence[str]) -> Sequence[FanId]:
    try:
        return [parse_recipient(one) for one in named]
    except Invalid:
        raise Invalid(FieldProblem(field, "one of the fans cannot be read: pick again")) from None


def _start(values: Mapping[str, Any], moment: datetime) -> datetime:
    if not values["schedule"]:
        return moment
    try:
        local = datetime.fromisoformat(values["schedule"])
    except ValueError:
        raise Invalid(FieldProblem("schedule", "use a day and a time")) from None
    return local.replace(tzinfo=_zone(values["zone"]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise Invalid(FieldProblem("zone", "use a zone such as Europe/Paris")) from None


def _hours(values: Mapping[str, Any]) -> Hours | None:
    if not (values["opens"] or values["closes"]):
        return None
    return read_hours({"from": values["opens"], "to": values["closes"], "timeZone": values["zone"]})
