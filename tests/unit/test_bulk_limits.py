"""Hours and caps of an account's campaigns, against a rule that looks at every instant."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bulk_limits import (
    DAY,
    HOUR,
    NEVER,
    BulkLimits,
    Held,
    Hours,
    bulk_problems,
    read_hours,
    read_limits,
)
from domain.errors import Invalid

PARIS = Hours(time(9), time(21), "Europe/Paris")
GAP = Hours(time(2, 30), time(3, 10), "Europe/Paris")
NIGHT = Hours(time(22), time(6), "Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "until", "is_open"),
    [
        (PARIS, "2025-06-01T10:00+02:00", "2025-06-01T21:00+02:00", True),
        (PARIS, "2025-06-01T08:59+02:00", "2025-06-01T09:00+02:00", False),
        (PARIS, "2025-06-01T21:00+02:00", "2025-06-02T09:00+02:00", False),
        (NIGHT, "2025-06-01T23:00+02:00", "2025-06-02T06:00+02:00", True),
        (NIGHT, "2025-06-01T05:59+02:00", "2025-06-01T06:00+02:00", True),
        (NIGHT, "2025-06-01T12:00+02:00", "2025-06-01T22:00+02:00", False),
        # The night of an hour less, and of an hour more.
        (NIGHT, "2025-03-30T00:00+01:00", "2025-03-30T06:00+02:00", True),
        (NIGHT, "2025-10-26T00:00+02:00", "2025-10-26T06:00+01:00", True),
        (PARIS, "2025-03-29T22:00+01:00", "2025-03-30T09:00+02:00", False),
        # From 2:30 to 3:10 on the day on which the clock goes from 2 to 3: not that day.
        (GAP, "2025-03-29T12:00+01:00", "2025-03-31T02:30+02:00", False),
    ],
)
def test_hours_open_and_close(hours: Hours, now: str, until: str, *, is_open: bool) -> None:
    assert hours.window(at(now)) == (at(until), is_open)


def test_what_does_not_fit_before_the_end_goes_on_when_it_opens_again() -> None:
    start = at("2025-06-01T20:59:50+02:00")
    moved = BulkLimits(hours=(PARIS,)).forecast(
        [start + timedelta(seconds=6 * number) for number in range(4)], ()
    )
    assert moved == [
        start,
        start + timedelta(seconds=6),
        at("2025-06-02T09:00+02:00"),
        at("2025-06-02T09:00:06+02:00"),
    ]


@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=20).map(sorted),
    st.sampled_from([PARIS, NIGHT, Hours(time(0), time(0, 30), "America/New_York")]),
)
def test_moved_instants_keep_their_order_and_are_open(seconds: list[int], hours: Hours) -> None:
    start = at("2025-10-25T12:00+02:00")
    instants = [start + timedelta(seconds=one) for one in seconds]
    moved = BulkLimits(hours=(hours,)).forecast(instants, ())
    assert list(moved) == sorted(moved)
    for before, after in zip(instants, moved, strict=True):
        assert after >= before
        assert hours.window(after)[1]


NOON = at("2025-06-01T12:00+00:00")


def minutes(*numbers: float) -> list[datetime]:
    return [NOON + timedelta(minutes=number) for number in numbers]


@pytest.mark.parametrize(
    ("limits", "calls", "opens_in", "why"),
    [
        (BulkLimits(), minutes(-2, -1), 0, None),
        (BulkLimits(per_hour=3), minutes(-2, -1), 0, None),
        (BulkLimits(per_hour=2), minutes(-50, -1), 10, Held.PER_HOUR),
        (BulkLimits(per_hour=2), minutes(-60, -1), 0, None),
        (BulkLimits(per_hour=1, per_day=2), minutes(-70, -50), 23 * 60 - 10, Held.PER_DAY),
        (BulkLimits(per_day=1), minutes(-1440), 0, None),
        # 100 on the first day, 200 on the second, beyond any pace on the ninth.
        (BulkLimits(warm_up_since=NOON - HOUR), minutes(*[-30] * 100), 23 * 60, Held.WARM_UP),
        (BulkLimits(warm_up_since=NOON - DAY), minutes(*[-30] * 100), 0, None),
        (BulkLimits(warm_up_since=NOON - DAY), minutes(*[-30] * 200), 23.5 * 60, Held.WARM_UP),
        (BulkLimits(warm_up_since=NOON - 8 * DAY), minutes(*[-30] * 20_000), 0, None),
        # An hour's cap that is over when the hours have closed.
        (
            BulkLimits(per_hour=1, hours=(Hours(time(8), time(12, 30), "UTC"),)),
            minutes(-1),
            20 * 60,
            Held.HOURS,
        ),
    ],
)
def test_the_first_instant_that_all_limits_allow(
    limits: BulkLimits, calls: Sequence[datetime], opens_in: float, why: Held | None
) -> None:
    assert limits.next_open(NOON, calls) == (NOON + timedelta(minutes=opens_in), why)


def test_hours_that_never_meet_are_said_to_be_far_away() -> None:
    morning, evening = Hours(time(6), time(9), "UTC"), Hours(time(18), time(21), "UTC")
    opens, why = BulkLimits(hours=(morning,)).within(evening).next_open(NOON, ())
    assert opens >= NOON + NEVER
    assert why is Held.HOURS


@given(
    st.lists(st.integers(0, 3000), max_size=12).map(sorted),
    st.lists(st.integers(-1500, 0), max_size=12).map(sorted),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 8),
    st.booleans(),
)
def test_a_forecast_breaks_no_limit_and_waits_no_minute_too_long(
    slots: list[int],
    before: list[int],
    per_hour: int | None,
    per_day: int | None,
    closes: bool,  # noqa: FBT001  # by position
) -> None:
    hours = (Hours(time(6), time(18), "UTC"),) if closes else ()
    limits = BulkLimits(per_hour=per_hour, per_day=per_day, hours=hours)
    calls = minutes(*before)
    expected, all_calls, late = [], list(calls), timedelta(0)
    for slot in minutes(*slots):  # Minute by minute, until nothing is in the way.
        instant = slot + late
        while not _allowed(instant, all_calls, per_hour, per_day, hours):
            instant += timedelta(minutes=1)
        late = instant - slot
        all_calls.append(instant)
        expected.append(instant)
    assert limits.forecast(minutes(*slots), calls) == expected


def _allowed(
    instant: datetime,
    calls: Sequence[datetime],
    per_hour: int | None,
    per_day: int | None,
    hours: Sequence[Hours],
) -> bool:
    within = {window: sum(call > instant - window for call in calls) for window in (HOUR, DAY)}
    return (
        (per_hour is None or within[HOUR] < per_hour)
        and (per_day is None or within[DAY] < per_day)
        and all(one.window(instant)[1] for one in hours)
    )


def test_a_fan_gets_so_many_within_a_day() -> None:
    two = BulkLimits(per_fan=2)
    assert two.fan_free_at(minutes(-1)) is None
    assert two.fan_free_at(minutes(-90, -60, -1)) == NOON - HOUR + DAY
    assert BulkLimits().fan_free_at(minutes(-1)) is None


def test_limits_survive_their_json() -> None:
    limits = BulkLimits(10, 100, 1, (PARIS,), NOON)
    assert read_limits(limits.record()) == limits
    assert read_limits(None) == BulkLimits()


def test_what_is_wrong_with_limits_is_named() -> None:
    assert [one.field for one in bulk_problems(BulkLimits(0, 20_001, 101))] == [
        "campaignLimits.perHour",
        "campaignLimits.perDay",
        "campaignLimits.perFanPerDay",
    ]
    with pytest.raises(Invalid) as refusal:
        read_hours({"from": "9 am", "to": "25:00", "timeZone": "Mars"})
    assert len(refusal.value.problems) == 3
    with pytest.raises(Invalid):
        read_hours({"from": "09:00:10", "to": "10:00", "timeZone": "UTC"})
