"""Analytics as response bodies, and the same numbers as files."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from api.schemas import analytics as schemas
from api.views.cells import BOM, line
from domain.analytics import (
    DEFINITIONS,
    AnalyticsFilter,
    AnalyticsQuestion,
    Basis,
    Kpis,
    Money,
    Part,
    RevenueDay,
    Rhythm,
    Slot,
    TagMatch,
    TopFan,
)
from domain.connections import ConnectionId
from domain.services.analytics import Answer


def question(asked: schemas.AnalyticsQuery) -> AnalyticsQuestion:
    return AnalyticsQuestion(
        first=asked.first,
        last=asked.last,
        time_zone=asked.time_zone,
        platform=asked.platform,
        connection_ids=tuple(map(ConnectionId, asked.connection_id)),
        tags=tuple(asked.tag),
        tag_match=TagMatch(asked.tags),
        basis=Basis(asked.basis),
        active_days=asked.active_days,
    )


def _filter(which: AnalyticsFilter) -> schemas.FilterView:
    return schemas.FilterView(
        first=which.period.first,
        last=which.period.last,
        time_zone=which.period.zone.key,
        platform=which.platform,
        connection_ids=list(which.connection_ids),
        tags=list(which.tags),
        tag_match=which.tag_match.value,
        basis=which.basis.value,
        active_days=which.active_days,
    )


def _money(money: Money, which: AnalyticsFilter) -> dict[str, int]:
    return {
        "revenue_cents": money.revenue_cents(which.basis),
        "net_cents": money.net_cents,
        "gross_cents": money.gross_cents,
        "fees_cents": money.fees_cents,
        "refunded_cents": money.refunded_cents,
        "purchases": money.purchases,
    }


def overview(answer: Answer[Kpis]) -> schemas.OverviewReply:
    kpis = answer.value
    return schemas.OverviewReply(
        overview=schemas.KpisView(
            total_fans=kpis.fans.total,
            active_fans=kpis.fans.active,
            lifetime_value_cents=kpis.fans.value_cents,
            average_value_cents=kpis.fans.average_cents,
            messages_sent=kpis.messages.sent,
            messages_failed=kpis.messages.failed,
            failure_rate=kpis.messages.failure_rate,
            **_money(kpis.money, answer.which),
        ),
        definitions=dict(DEFINITIONS),
        filter=_filter(answer.which),
        as_of=answer.as_of,
    )


def revenue(answer: Answer[Sequence[RevenueDay]]) -> schemas.RevenueReply:
    which = answer.which
    total = sum((one.money for one in answer.value), Money())
    return schemas.RevenueReply(
        days=[schemas.DayView(date=one.day, **_money(one.money, which)) for one in answer.value],
        totals=schemas.MoneyView(**_money(total, which)),
        filter=_filter(which),
        as_of=answer.as_of,
    )


def top_fans(answer: Answer[Sequence[TopFan]]) -> schemas.TopFansReply:
    return schemas.TopFansReply(
        top_fans=[
            schemas.TopFanView(
                id=fan.id,
                name=fan.name,
                handle=fan.handle,
                avatar=fan.avatar,
                value_cents=fan.value_cents,
                **_money(fan.money, answer.which),
            )
            for fan in answer.value
        ],
        filter=_filter(answer.which),
        as_of=answer.as_of,
    )


def messages(answer: Answer[Rhythm]) -> schemas.MessageTotalsReply:
    which = answer.which
    return schemas.MessageTotalsReply(
        hours=[
            schemas.HourView(hour=int(one.name), **_slot(one, which)) for one in answer.value.hours
        ],
        weekdays=[
            schemas.WeekdayView(weekday=one.name, **_slot(one, which))
            for one in answer.value.weekdays
        ],
        filter=_filter(which),
        as_of=answer.as_of,
    )


def _slot(one: Slot, which: AnalyticsFilter) -> dict[str, int]:
    return {
        "sent": one.sent,
        "delivered": one.delivered,
        "purchased": one.purchased,
        **_money(one.money, which),
    }


def file(part: Part, answer: Answer[Any]) -> Iterator[str]:
    """The rows of a part as the page has them, named alike: a header, then a line for each row."""
    rows: Sequence[BaseModel]
    if part is Part.OVERVIEW:
        rows = [overview(answer).overview]
    elif part is Part.DAYS:
        rows = revenue(answer).days
    elif part is Part.TOP_FANS:
        rows = top_fans(answer).top_fans
    else:
        found = messages(answer)
        rows = [*found.hours, *found.weekdays]
    yield from _lines(part, rows)


def _lines(part: Part, rows: Sequence[BaseModel]) -> Iterator[str]:
    shown = [row.model_dump(mode="json", by_alias=True) for row in rows]
    columns = list(dict.fromkeys(name for one in (COLUMNS[part], *shown) for name in one))
    yield BOM + line(columns)
    for one in shown:
        yield line(one.get(column) for column in columns)


# What comes first in each file; the other columns follow as the page has them.
COLUMNS: dict[Part, tuple[str, ...]] = {
    Part.OVERVIEW: ("totalFans", "activeFans", "lifetimeValueCents", "averageValueCents"),
    Part.DAYS: ("date", "revenueCents"),
    Part.TOP_FANS: ("id", "name", "handle", "valueCents", "revenueCents"),
    Part.MESSAGES: ("hour", "weekday", "sent"),
}
