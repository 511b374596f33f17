"""Numbers about a business: what is counted, over which days, and what each number means.

Days are days of a time zone, and every filter applies to every number, list and file alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo, available_timezones

from domain.connections import ConnectionId
from domain.errors import FieldProblem, Invalid
from domain.fans import PLATFORMS, FanId, read_tags

DAYS_DEFAULT, DAYS_MAX = 30, 366
# Offsets of time zones were whole quarters of an hour long before then.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
ACTIVE_DAYS_DEFAULT, ACTIVE_DAYS_MAX = 30, 366
CONNECTIONS_MAX = 100
TOP_FANS = 10
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# What a page and a reader of the API are told, in this order.
DEFINITIONS: Mapping[str, str] = {
    "totalFans": "Fans that are not deleted, now, whatever the dates.",
    "activeFans": "Of these fans, those who are subscribed, or wrote a message or paid in the last"
    " activeDays days.",
    "lifetimeValueCents": "The sum of what these fans are worth: the value last stated, plus what"
    " they paid since, before fees.",
    "averageValueCents": "Lifetime value divided by the number of fans.",
    "revenueCents": "Payments of the period that were not taken back: net is what you keep, gross"
    " what the fans paid. Only the ledger counts; imported totals never do.",
    "feesCents": "What the platform kept of these payments.",
    "refundedCents": "Payments of the period that were taken back, before fees; they are not in the"
    " revenue. Each stands at the day it was paid.",
    "purchases": "The number of payments in the revenue.",
    "messagesSent": "Messages that left in the period.",
    "messagesFailed": "Messages that failed in the period and were not sent since.",
    "failureRate": "Failed divided by sent and failed; none when there are neither.",
}


class Basis(StrEnum):
    """Which money is shown as revenue."""

    NET = "net"
    GROSS = "gross"


class TagMatch(StrEnum):
    """Whether one of the tags is enough."""

    ANY = "any"
    ALL = "all"


class Part(StrEnum):
    """What can be had as a file."""

    OVERVIEW = "overview"
    DAYS = "days"
    TOP_FANS = "top-fans"
    MESSAGES = "messages"


@dataclass(frozen=True)
class Period:
    """Whole days of a time zone, first and last included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def days(self) -> Sequence[date]:
        return [self.first + timedelta(n) for n in range((self.last - self.first).days + 1)]

    @cached_property
    def midnights(self) -> Sequence[datetime]:
        """When each day begins, and when the last ends; a day may last 23 or 25 hours."""
        return [self._midnight(day) for day in [*self.days, self.last + timedelta(1)]]

    @property
    def since(self) -> datetime:
        return self.midnights[0]

    @property
    def until(self) -> datetime:
        """Exclusive."""
        return self.midnights[-1]

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


@dataclass(frozen=True)
class AnalyticsQuestion:
    """What somebody asks for; None = the default."""

    first: date | None = None
    last: date | None = None
    time_zone: str | None = None
    platform: str | None = None
    connection_ids: tuple[ConnectionId, ...] = ()
    tags: tuple[str, ...] = ()
    tag_match: TagMatch = TagMatch.ANY
    basis: Basis = Basis.NET
    active_days: int = ACTIVE_DAYS_DEFAULT

    def checked(self, now: datetime, own_zone: str) -> "AnalyticsFilter":
        """The filter with its defaults; raises Invalid naming each bad field."""
        problems: list[FieldProblem] = []
        name = own_zone if self.time_zone is None else self.time_zone
        if name not in available_timezones():
            problems.append(FieldProblem("timeZone", "use a name such as Europe/Paris"))
            name = "UTC"
        zone = ZoneInfo(name)
        last = self.last or max(now.astimezone(zone).date(), self.first or FIRST_DAY)
        if self.last is None and self.first is not None:
            last = min(last, _later(self.first, DAYS_MAX - 1))
        first = self.first or max(last, FIRST_DAY) - timedelta(DAYS_DEFAULT - 1)
        problems += _range_problems(self.first, first, self.last, last)
        if self.platform is not None and self.platform not in PLATFORMS:
            problems.append(FieldProblem("platform", f"use one of: {', '.join(PLATFORMS)}"))
        if len(self.connection_ids) > CONNECTIONS_MAX:
            problems.append(FieldProblem("connectionId", f"use at most {CONNECTIONS_MAX}"))
        if not 1 <= self.active_days <= ACTIVE_DAYS_MAX:
            problems.append(FieldProblem("activeDays", f"use 1 to {ACTIVE_DAYS_MAX}"))
        tags = self.tags
        try:
            tags = tuple(sorted(read_tags(self.tags)))
        except ValueError as problem:
            problems.append(FieldProblem("tag", str(problem)))
        if problems:
            raise Invalid(*problems)
        return AnalyticsFilter(
            period=Period(first, last, zone),
            platform=self.platform,
            connection_ids=tuple(sorted(set(self.connection_ids))),
            tags=tags,
            tag_match=self.tag_match,
            basis=self.basis,
            active_days=self.active_days,
        )


def _later(day: date, days: int) -> date:
    return day + timedelta(min(days, (date.max - day).days))


def _range_problems(
    given_first: date | None, first: date, given_last: date | None, last: date
) -> Iterator[FieldProblem]:
    outside = [
        name
        for name, given in (("from", given_first), ("to", given_last))
        if given is not None and not FIRST_DAY <= given <= LAST_DAY
    ]
    for name in outside:
        yield FieldProblem(name, f"use a day from {FIRST_DAY} to {LAST_DAY}")
    if outside:
        return
    if first > last:
        yield FieldProblem("to", "use a day that is not before `from`")
    elif (last - first).days >= DAYS_MAX:
        yield FieldProblem("to", f"use at most {DAYS_MAX} days")


@dataclass(frozen=True)
class AnalyticsFilter:
    """A question that makes sense, with every default in its place."""

    period: Period
    platform: str | None
    connection_ids: tuple[ConnectionId, ...]
    tags: tuple[str, ...]
    tag_match: TagMatch
    basis: Basis
    active_days: int

    def key(self, *, period: bool = True) -> str:
        """Names what is counted, whichever way the money is shown."""
        days = f"{self.period.first}/{self.period.last}/{self.period.zone.key}" if period else ""
        return repr(
            (days, self.platform, self.connection_ids, self.tags, self.tag_match, self.active_days)
        )


@dataclass(frozen=True)
class Money:
    """Payments and what became of them. What was taken back stands in `refunded_cents` only."""

    gross_cents: int = 0
    net_cents: int = 0
    fees_cents: int = 0
    refunded_cents: int = 0
    purchases: int = 0

    def __add__(self, other: "Money") -> "Money":
        return Money(
            self.gross_cents + other.gross_cents,
            self.net_cents + other.net_cents,
            self.fees_cents + other.fees_cents,
            self.refunded_cents + other.refunded_cents,
            self.purchases + other.purchases,
        )

    def revenue_cents(self, basis: Basis) -> int:
        return self.net_cents if basis is Basis.NET else self.gross_cents


@dataclass(frozen=True)
class RevenueDay:
    """The money of one day; a day without any is there too."""

    day: date
    money: Money


@dataclass(frozen=True)
class FanCounts:
    """How many fans there are and what they are worth."""

    total: int
    active: int
    value_cents: int

    @property
    def average_cents(self) -> int | None:
        """To the nearest cent; None without fans."""
        return (2 * self.value_cents + self.total) // (2 * self.total) if self.total else None


@dataclass(frozen=True)
class MessageCounts:
    """What became of outgoing messages."""

    sent: int
    failed: int

    @property
    def failure_rate(self) -> float | None:
        done = self.sent + self.failed
        return round(self.failed / done, 4) if done else None


@dataclass(frozen=True)
class Kpis:
    """The tiles. The revenue is the sum of the days, so that tile and chart cannot differ."""

    fans: FanCounts
    money: Money
    messages: MessageCounts


@dataclass(frozen=True)
class TopFan:
    """One of the fans of the highest value, with what came from them in the period."""

    id: FanId
    name: str
    handle: str
    avatar: str | None
    value_cents: int
    money: Money


@dataclass(frozen=True)
class Quarter:
    """What happened in one quarter of an hour."""

    at: datetime
    sent: int = 0
    delivered: int = 0
    purchased: int = 0
    money: Money = Money()


@dataclass(frozen=True)
class Slot:
    """Messages that left at this hour or weekday, and the money that was paid at it."""

    name: str
    sent: int = 0
    delivered: int = 0
    purchased: int = 0
    money: Money = Money()

    def with_(self, one: Quarter) -> "Slot":
        return Slot(
            self.name,
            self.sent + one.sent,
            self.delivered + one.delivered,
            self.purchased + one.purchased,
            self.money + one.money,
        )


@dataclass(frozen=True)
class Rhythm:
    """The hours of the day and the days of the week, in the time zone of the filter."""

    hours: Sequence[Slot]
    weekdays: Sequence[Slot]


def rhythm_of(quarters: Sequence[Quarter], zone: ZoneInfo) -> Rhythm:
    """The hours and weekdays that these quarters fall into; every one is there."""
    hours = [Slot(f"{hour:02}") for hour in range(24)]
    weekdays = [Slot(name) for name in WEEKDAYS]
    for one in quarters:
        local = one.at.astimezone(zone)
        hours[local.hour] = hours[local.hour].with_(one)
        weekdays[local.weekday()] = weekdays[local.weekday()].with_(one)
    return Rhythm(hours, weekdays)
