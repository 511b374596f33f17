"""Analytics: the numbers of a page and of its files.

Counting a million fans takes longer than a page may, so what was counted is kept for half a minute
and shown with its time. Pages and files share it: they cannot differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from domain.analytics import (
    TOP_FANS,
    AnalyticsFilter,
    AnalyticsQuestion,
    FanCounts,
    Kpis,
    MessageCounts,
    Money,
    Part,
    RevenueDay,
    Rhythm,
    TopFan,
    rhythm_of,
)
from domain.ports import StatusCache
from domain.repositories import AnalyticsRepository, OpenUnitOfWork
from domain.users import Caller, Permission

KEPT = timedelta(seconds=30)
T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was counted, by which filter, and when: the oldest number of it."""

    value: T
    which: AnalyticsFilter
    as_of: datetime


@dataclass(frozen=True)
class Counted(Generic[T]):
    """A number with its time, as the cache holds it."""

    value: T
    as_of: datetime


Counts = TypeAdapter(Counted[FanCounts])
Days = TypeAdapter(Counted[list[RevenueDay]])
Sent = TypeAdapter(Counted[MessageCounts])
Tops = TypeAdapter(Counted[list[TopFan]])
Rhythms = TypeAdapter(Counted[Rhythm])


class AnalyticsService:
    """The use cases of analytics. Every one asks for the right to see money."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork, cache: StatusCache) -> None:
        self._open = open_unit_of_work
        self._cache = cache

    def overview(self, caller: Caller, asked: AnalyticsQuestion, now: datetime) -> Answer[Kpis]:
        """The tiles; the money is the sum of the days. Raises Invalid."""
        which = self._which(caller, asked, now)
        fans = self._fans(caller, which, now)
        days = self._days(caller, which, now)
        sent = self._count(
            f"sent:{caller.owner_id}:{which.key()}",
            Sent,
            lambda found: found.messages(caller.owner_id, which),
            now,
        )
        kpis = Kpis(fans.value, sum((one.money for one in days.value), Money()), sent.value)
        return Answer(kpis, which, min(fans.as_of, days.as_of, sent.as_of))

    def days(
        self, caller: Caller, asked: AnalyticsQuestion, now: datetime
    ) -> Answer[Sequence[RevenueDay]]:
        """The money day by day. Raises Invalid."""
        which = self._which(caller, asked, now)
        days = self._days(caller, which, now)
        return Answer(days.value, which, days.as_of)

    def top_fans(
        self, caller: Caller, asked: AnalyticsQuestion, now: datetime
    ) -> Answer[Sequence[TopFan]]:
        """The fans of the highest value. Raises Invalid."""
        which = self._which(caller, asked, now)
        found = self._count(
            f"top:{caller.owner_id}:{which.key()}",
            Tops,
            lambda found: list(found.top_fans(caller.owner_id, which, TOP_FANS)),
            now,
        )
        return Answer(found.value, which, found.as_of)

    def messages(self, caller: Caller, asked: AnalyticsQuestion, now: datetime) -> Answer[Rhythm]:
        """When messages leave and money comes. Raises Invalid."""
        which = self._which(caller, asked, now)
        found = self._count(
            f"rhythm:{caller.owner_id}:{which.key()}",
            Rhythms,
            lambda found: rhythm_of(found.quarters(caller.owner_id, which), which.period.zone),
            now,
        )
        return Answer(found.value, which, found.as_of)

    def export(
        self, caller: Caller, part: Part, asked: AnalyticsQuestion, now: datetime
    ) -> Answer[Any]:
        """What the page shows of this part, to be written to a file. Raises Invalid."""
        caller.require(Permission.EXPORT)
        looks: dict[Part, Callable[..., Answer[Any]]] = {
            Part.OVERVIEW: self.overview,
            Part.DAYS: self.days,
            Part.TOP_FANS: self.top_fans,
            Part.MESSAGES: self.messages,
        }
        answer = looks[part](caller, asked, now)
        period = answer.which.period
        facts = {"part": part, "from": str(period.first), "to": str(period.last)}
        with self._open() as work:
            work.audit.add(caller, "analytics.exported", "analytics", None, facts)
            work.commit()
        return answer

    def _which(self, caller: Caller, asked: AnalyticsQuestion, now: datetime) -> AnalyticsFilter:
        caller.require(Permission.MONEY)
        own_zone = "UTC"
        if asked.time_zone is None:
            with self._open() as work:
                user = work.users.get(caller.user_id)
            own_zone = user.time_zone if user else own_zone
        return asked.checked(now, own_zone)

    def _fans(self, caller: Caller, which: AnalyticsFilter, now: datetime) -> Counted[FanCounts]:
        return self._count(
            f"fans:{caller.owner_id}:{which.key(period=False)}",
            Counts,
            lambda found: found.fans(caller.owner_id, which, now),
            now,
        )

    def _days(
        self, caller: Caller, which: AnalyticsFilter, now: datetime
    ) -> Counted[list[RevenueDay]]:
        return self._count(
            f"days:{caller.owner_id}:{which.key()}",
            Days,
            lambda found: list(found.days(caller.owner_id, which)),
            now,
        )

    def _count(
        self,
        key: str,
        kind: TypeAdapter[Counted[T]],
        look: Callable[[AnalyticsRepository], T],
        now: datetime,
    ) -> Counted[T]:
        """What was counted at most KEPT ago, or is counted now."""
        if remembered := self._cache.get(f"analytics:{key}"):
            return kind.validate_json(remembered)
        with self._open() as work:
            counted = Counted(look(work.analytics), now)
        self._cache.put(f"analytics:{key}", kind.dump_json(counted).decode(), KEPT)
        return counted
