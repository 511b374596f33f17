"""The page of numbers: one filter in its address, which every number and file obeys."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from pydantic import ValidationError

from api.auth import caller
from api.context import now, services
from api.pages.charts import bar_list, column_chart, line_chart
from api.pages.filters import count, money
from api.pages.routes import Form, Pages, page
from api.schemas import analytics as schemas
from api.views import analytics as views
from domain.analytics import (
    DEFINITIONS,
    FIRST_DAY,
    AnalyticsFilter,
    Kpis,
    Money,
    Period,
    RevenueDay,
    TopFan,
)
from domain.connections import Connection
from domain.errors import Invalid, NotFound

analytics = Pages("analytics")

PATH = "/platforms/onlyfans/analytics"
TEMPLATE = "analytics/page.html"
PRESETS = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("12 months", 365))
# Beyond this a share says nothing that the two numbers do not.
SHARE_MAX = 999
# More days than this are drawn week by week: a line through each would be a hedge.
DRAWN_DAYS = 92
NAMES = ("from", "to", "timeZone", "platform", "connectionId", "tag", "tags", "basis", "activeDays")


@analytics.get(PATH)
def show() -> Response:
    who, moment = caller(), now()
    accounts = [one.connection for one in services().connections.list_paces(who)]
    given = {name: ",".join(request.args.getlist(name)) for name in NAMES}
    typed = Form({"tags": "any", "basis": "net"} | {name: of for name, of in given.items() if of})
    try:
        asked = views.question(_query())
        if not {one.id for one in accounts}.issuperset(asked.connection_ids):
            raise NotFound("no such account")
        overview = services().analytics.overview(who, asked, moment)
    except ValidationError as refusal:
        problems = {str(one["loc"][0]): one["msg"] for one in refusal.errors()}
        return _refused(Form(typed.values, problems), accounts)
    except Invalid as refusal:
        return _refused(typed.refused(refusal), accounts)
    which = overview.which
    period = which.period
    days = services().analytics.days(who, asked, moment)
    tops = services().analytics.top_fans(who, asked, moment)
    rhythm = services().analytics.messages(who, asked, moment)
    earlier = _before(period)
    past = None
    if earlier is not None:
        before = replace(asked, first=earlier.first, last=earlier.last)
        past = services().analytics.overview(who, before, moment).value
    steps = _steps(days.value)
    cents = [of.revenue_cents(which.basis) for _, of in steps]
    hours = [one.money.revenue_cents(which.basis) for one in rhythm.value.hours]
    return page(
        TEMPLATE,
        form=Form({**typed.values, "from": str(period.first), "to": str(period.last)}),
        accounts=_accounts(accounts),
        which=which,
        files={part: _file(part, which) for part in ("overview", "days", "top-fans", "messages")},
        presets=_presets(which, moment.astimezone(period.zone).date()),
        bases=[(basis, _address(which, basis=basis)) for basis in ("net", "gross")],
        kpis=overview.value,
        changes=_changes(overview.value, past, which),
        before=earlier,
        definitions=DEFINITIONS,
        as_of=min(overview.as_of, days.as_of, tops.as_of, rhythm.as_of),
        is_empty=not accounts and not overview.value.fans.total,
        steps=steps,
        by_week=len(days.value) > DRAWN_DAYS,
        revenue=line_chart(
            [(name, of) for (name, _), of in zip(steps, cents, strict=True)], _dollars
        ),
        tops=tops.value,
        top_bars=bar_list([(_name(fan), fan.value_cents) for fan in tops.value]),
        hours=rhythm.value.hours,
        weekdays=rhythm.value.weekdays,
        hour_money=column_chart(
            [(one.name, of) for one, of in zip(rhythm.value.hours, hours, strict=True)], _dollars
        ),
        hour_sent=column_chart(
            [(one.name, one.sent) for one in rhythm.value.hours],
            lambda number: count(round(number)),
        ),
    )


def _query() -> schemas.AnalyticsQuery:
    """What the address asks for; an empty field of the form asks for nothing."""
    given: dict[str, Any] = {}
    for name in NAMES:
        values = [of for of in request.args.getlist(name) if of.strip()]
        if values:
            given[name] = values if name in {"tag", "connectionId"} else values[0]
    return schemas.AnalyticsQuery.model_validate(given)


def _refused(form: Form, accounts: Sequence[Connection]) -> Response:
    return page(TEMPLATE, 422, form=form, accounts=_accounts(accounts), which=None)


def _accounts(accounts: Sequence[Connection]) -> Sequence[tuple[str, str]]:
    return [("", "All accounts"), *((str(one.id), one.name) for one in accounts)]


def _address(which: AnalyticsFilter, path: str = PATH, **changed: str) -> str:
    """Of the same filter with something changed; everything is named, so that a link shows the
    same to whoever opens it."""
    period = which.period
    named = {
        "from": str(period.first),
        "to": str(period.last),
        "timeZone": period.zone.key,
        "platform": which.platform or "",
        "connectionId": ",".join(map(str, which.connection_ids)),
        "tag": ",".join(which.tags),
        "tags": which.tag_match.value,
        "basis": which.basis.value,
        "activeDays": str(which.active_days),
    } | changed
    return f"{path}?{urlencode({name: of for name, of in named.items() if of})}"


def _file(part: str, which: AnalyticsFilter) -> str:
    return _address(which, "/api/analytics/export.csv", part=part)


def _presets(which: AnalyticsFilter, today: date) -> Sequence[tuple[str, str, bool]]:
    """Name, address, and whether it is what is shown."""
    found = []
    for name, days in PRESETS:
        first = today - timedelta(days - 1)
        is_here = (which.period.first, which.period.last) == (first, today)
        found.append((name, _address(which, **{"from": str(first), "to": str(today)}), is_here))
    return found


def _before(period: Period) -> Period | None:
    """As many days right before; None before all time."""
    length = (period.last - period.first).days + 1
    if (period.first - FIRST_DAY).days < length:
        return None
    return Period(period.first - timedelta(length), period.first - timedelta(1), period.zone)


def _changes(is_now: Kpis, past: Kpis | None, which: AnalyticsFilter) -> dict[str, str]:
    """What each number of the period was in the one before, and how far it moved."""
    if past is None:
        return {}
    pairs = {
        "revenue": [one.money.revenue_cents(which.basis) for one in (is_now, past)],
        "fees": [one.money.fees_cents for one in (is_now, past)],
        "refunded": [one.money.refunded_cents for one in (is_now, past)],
        "purchases": [one.money.purchases for one in (is_now, past)],
        "sent": [one.messages.sent for one in (is_now, past)],
    }
    return {
        name: _change(new, old, count if name in {"purchases", "sent"} else money)
        for name, (new, old) in pairs.items()
    }


def _change(new: int, old: int, written: Any) -> str:
    if new == old:
        return f"same as before ({written(old)})"
    if not old:
        return f"before: {written(old)}"
    share = 100 * (new - old) / abs(old)
    if abs(share) > SHARE_MAX:
        return f"from {written(old)}"
    return f"{'up' if new > old else 'down'} {abs(share):,.0f} % from {written(old)}"


def _steps(days: Sequence[RevenueDay]) -> Sequence[tuple[str, Money]]:
    """The days, or the weeks that end on the last of them."""
    if len(days) <= DRAWN_DAYS:
        return [(f"{one.day:%-d %b}", one.money) for one in days]
    odd = len(days) % 7
    starts = [*([0] if odd else []), *range(odd, len(days), 7)]
    weeks = [days[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return [
        (f"{week[0].day:%-d %b %y}", sum((one.money for one in week), Money())) for week in weeks
    ]


def _dollars(cents: float) -> str:
    """Without cents where there are none: an axis is not a bill."""
    whole = round(cents)
    return money(whole) if whole % 100 else f"${whole // 100:,}"


def _name(fan: TopFan) -> str:
    return fan.name or fan.handle
