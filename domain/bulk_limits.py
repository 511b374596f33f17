"""How much of campaigns an account may send: hours and caps, several windows at once, beside its
pace. Whatever the account calls counts; only messages of campaigns wait for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from domain.errors import FieldProblem, Invalid

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PER_HOUR_MAX, PER_DAY_MAX, PER_FAN_MAX = 3_600, 20_000, 100
# A new account begins with 100 a day and doubles daily: on the ninth day it is beyond the 14,400
# that ten a minute allow. The numbers are ours; no platform publishes its own.
WARM_UP_FIRST, WARM_UP_DAYS = 100, 8
# A cap is over in a day, and hours open each day: hours that never meet are all that lasts longer.
NEVER = timedelta(days=8)


class Held(StrEnum):
    """Why an account sends nothing of its campaigns now."""

    HOURS = "sending_hours"
    PER_HOUR = "hour_cap"
    PER_DAY = "day_cap"
    WARM_UP = "warm_up"


@dataclass(frozen=True)
class Hours:
    """The hours of the day in which something is sent, in a time zone; over midnight if it closes
    before it opens."""

    opens: time
    closes: time
    zone: str

    def window(self, now: datetime) -> tuple[datetime, bool]:
        """Until when it is open (True), or when it opens next (False).

        A time that the clock skips when summer begins counts as if it had not, and one that it
        shows twice in autumn is the first: hours that this leaves empty do not open that day."""
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        over_midnight = self.closes <= self.opens
        openings = []
        for days in range(-1, 3):
            day = today + timedelta(days=days)
            opens = datetime.combine(day, self.opens, zone)
            closes = datetime.combine(day + timedelta(days=over_midnight), self.closes, zone)
            opens, closes = opens.astimezone(UTC), closes.astimezone(UTC)
            if opens <= now < closes:
                return closes, True
            if now < opens < closes:
                openings.append(opens)
        return min(openings), False

    def record(self) -> dict[str, str]:
        """As JSON holds them."""
        return {"from": f"{self.opens:%H:%M}", "to": f"{self.closes:%H:%M}", "timeZone": self.zone}


def read_hours(record: Mapping[str, str], field: str = "hours") -> Hours:
    """Hours from their JSON; raises Invalid."""
    problems = []
    read: dict[str, time] = {}
    for name in ("from", "to"):
        try:
            read[name] = datetime.strptime(record[name], "%H:%M").time()  # noqa: DTZ007  # a time of day
        except (ValueError, KeyError):
            problems.append(FieldProblem(f"{field}.{name}", "use a time such as 09:00"))
    try:
        ZoneInfo(record["timeZone"])
    except (ValueError, KeyError, OSError):  # ZoneInfoNotFoundError is a KeyError
        problems.append(FieldProblem(f"{field}.timeZone", "use a zone such as Europe/Paris"))
    if not problems and read["from"] == read["to"]:
        problems.append(FieldProblem(f"{field}.to", "use another time than from"))
    if problems:
        raise Invalid(*problems)
    return Hours(read["from"], read["to"], record["timeZone"])


@dataclass(frozen=True)
class BulkLimits:
    """Hours and caps of an account; None and empty are no limit. An hour and a day are the last 60
    minutes and 24 hours, whatever the clock says. `per_fan`: messages of campaigns that one fan
    gets within 24 hours."""

    per_hour: int | None = None
    per_day: int | None = None
    per_fan: int | None = None
    hours: tuple[Hours, ...] = ()
    warm_up_since: datetime | None = None

    def within(self, hours: Hours | None) -> "BulkLimits":
        """These, and a campaign's own hours."""
        return self if hours is None else replace(self, hours=(*self.hours, hours))

    def next_open(self, at: datetime, calls: Sequence[datetime]) -> tuple[datetime, Held | None]:
        """The first instant from `at` on at which a campaign may send one more, and what holds it
        until then; NEVER later for hours that never meet. `calls`: the account's calls of the last
        day, oldest first."""
        held: Held | None = None
        never = at + NEVER
        while at < never:
            later, why = max(self._earliest(at, calls), key=lambda one: one[0])
            if later <= at:
                break
            at, held = later, why
        return at, held

    def _earliest(self, at: datetime, calls: Sequence[datetime]) -> list[tuple[datetime, Held]]:
        """When each limit by itself allows one more, from `at` on."""
        found = self._uncapped(at, calls)
        for hours in self.hours:
            until, is_open = hours.window(at)
            found.append((at if is_open else until, Held.HOURS))
        return found

    def _uncapped(self, at: datetime, calls: Sequence[datetime]) -> list[tuple[datetime, Held]]:
        return [
            (_room_in(at, calls, HOUR, self.per_hour), Held.PER_HOUR),
            (_room_in(at, calls, DAY, self.per_day), Held.PER_DAY),
            (self._warm(at, calls), Held.WARM_UP),
        ]

    def _warm(self, at: datetime, calls: Sequence[datetime]) -> datetime:
        if self.warm_up_since is None:
            return at
        day = max(0, (at - self.warm_up_since) // DAY)
        if day >= WARM_UP_DAYS:
            return at
        open_at = _room_in(at, calls, DAY, WARM_UP_FIRST * 2**day)
        return open_at if open_at <= at else min(open_at, self.warm_up_since + (day + 1) * DAY)

    def forecast(
        self, instants: Sequence[datetime], calls: Sequence[datetime]
    ) -> Sequence[datetime]:
        """Slots in their order, each put off to when the limits allow it: what comes later
        follows, at its distance."""
        late, moved, all_calls = timedelta(0), [], list(calls)
        open_until = datetime.min.replace(tzinfo=UTC)  # Asked again only then: zones cost time.
        for instant in instants:
            at = instant + late
            if at >= open_until or max(self._uncapped(at, all_calls))[0] > at:
                at, _ = self.next_open(at, all_calls)
                closings = [hours.window(at)[0] for hours in self.hours]
                open_until = min(closings, default=datetime.max.replace(tzinfo=UTC))
            late = at - instant
            all_calls.append(at)
            moved.append(at)
        return moved

    def fan_free_at(self, got: Sequence[datetime]) -> datetime | None:
        """When a fan may get one more after these messages of campaigns, oldest first; None: any
        time."""
        if self.per_fan is None or len(got) < self.per_fan:
            return None
        return got[-self.per_fan] + DAY

    def record(self) -> dict[str, Any]:
        """As JSON holds them."""
        return {
            "perHour": self.per_hour,
            "perDay": self.per_day,
            "perFanPerDay": self.per_fan,
            "hours": [one.record() for one in self.hours],
            "warmUpSince": self.warm_up_since and self.warm_up_since.isoformat(),
        }


def _room_in(
    at: datetime, calls: Sequence[datetime], window: timedelta, most: int | None
) -> datetime:
    """When fewer than `most` calls lie within the window."""
    if most is None or len(calls) < most:
        return at
    return max(at, calls[-most] + window)


def read_limits(record: Mapping[str, Any] | None) -> BulkLimits:
    """Limits from their JSON."""
    if not record:
        return BulkLimits()
    since = record["warmUpSince"]
    return BulkLimits(
        per_hour=record["perHour"],
        per_day=record["perDay"],
        per_fan=record["perFanPerDay"],
        hours=tuple(map(read_hours, record["hours"])),
        warm_up_since=datetime.fromisoformat(since) if since else None,
    )


def bulk_problems(limits: BulkLimits) -> list[FieldProblem]:
    """What is wrong with them."""
    most = (
        ("perHour", limits.per_hour, PER_HOUR_MAX),
        ("perDay", limits.per_day, PER_DAY_MAX),
        ("perFanPerDay", limits.per_fan, PER_FAN_MAX),
    )
    return [
        FieldProblem(f"campaignLimits.{name}", f"use 1 to {limit}, or null for no limit")
        for name, value, limit in most
        if value is not None and not 1 <= value <= limit
    ]
