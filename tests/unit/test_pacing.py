"""The bucket, the order of the queue and the promise, on exact numbers (T = 6,000 ms, lead 300)."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.messages import RoomSignal
from domain.pacing import (
    Bucket,
    BucketView,
    RoomRules,
    Waiting,
    interval_ms,
    pick,
    sends_before,
    slot_after,
)

T, LEAD, NOW = 6_000, 300, 1_000_000.0


def full(base_ms: float = T, burst: int = 1) -> Bucket:
    return Bucket(base_ms, burst, full_at_ms=0)


def look(bucket: Bucket, now: float = NOW) -> BucketView:
    return BucketView(
        connection_id=1,
        now_ms=now,
        next_free_ms=bucket.next_free(now),
        full_at_ms=bucket.full_at_ms,
        interval_ms=bucket.interval_ms,
        burst=bucket.burst,
        paused=False,
        slowdown=0,
        failures=0,
        blocked_until_ms=bucket.blocked_until_ms,
        waiting={},
        permits_out=0,
        in_flight=0,
        begun=frozenset(),
        passed_over=0,
    )


def test_ten_a_minute_is_an_interval_half_a_per_cent_longer_than_six_seconds():
    assert interval_ms(10) == pytest.approx(6_030)
    assert RoomRules().interval_ms == interval_ms(10)


@pytest.mark.parametrize(
    ("base", "slowdown", "widened"),
    [(6_000, 0, 6_000), (6_000, 3, 48_000), (6_000, 4, 60_000), (70_000, 2, 70_000)],
)
def test_the_interval_doubles_up_to_a_minute_and_never_gets_shorter(base, slowdown, widened):
    assert Bucket(base, 1, 0, slowdown=slowdown).interval_ms == widened


def test_a_bucket_of_which_nothing_is_known_is_empty_at_the_epoch():
    single, triple = full(), full(burst=3)

    for bucket in (single, triple):
        bucket.start_empty(NOW, LEAD)

    assert single.next_free(NOW) == triple.next_free(NOW) == NOW + 2 * LEAD + T
    assert triple.full_at_ms == NOW + 2 * LEAD + 3 * T


def test_slots_are_one_interval_apart_however_late_they_are_taken():
    bucket = full()

    slots = [bucket.charge(now) for now in (NOW, NOW, NOW + 7_000, NOW + 50_000)]

    assert slots == [NOW, NOW + T, NOW + 2 * T, NOW + 50_000]


def test_a_burst_is_earned_by_resting():
    bucket = full(burst=3)

    assert [bucket.charge(NOW) for _ in range(5)] == [NOW, NOW, NOW, NOW + T, NOW + 2 * T]


@pytest.mark.parametrize(
    ("base", "burst", "permits"),
    [(6_000, 1, 2), (6_000, 10, 2), (300, 1, 2), (299, 1, 3), (100, 1, 4), (100, 9, 9)],
)
def test_permits_out_cover_the_lead_or_the_burst_and_calls_in_flight_stay_few(base, burst, permits):
    bucket = full(base, burst)
    count = 0
    while bucket.has_room(LEAD):
        bucket.give_permit(NOW)
        count += 1

    assert count == permits


@pytest.mark.parametrize(("base", "calls"), [(1_000, 2), (999, 3), (100, 20), (6_000, 2)])
def test_two_calls_are_in_flight_or_two_seconds_of_them(base, calls):
    assert full(base, burst=99).has_room(LEAD)
    at_cap = replace(full(base, burst=99), in_flight=calls)
    below = replace(full(base, burst=99), in_flight=calls - 1)

    assert (at_cap.has_room(LEAD), below.has_room(LEAD)) == (False, True)


def test_an_open_breaker_lets_one_probe_out():
    bucket = replace(full(100), failures=5)
    assert bucket.has_room(LEAD)

    bucket.give_permit(NOW)

    assert not bucket.has_room(LEAD)


def test_a_paused_bucket_neither_releases_nor_begins():
    bucket = replace(full(), paused=True)

    assert not bucket.has_room(LEAD)
    assert not bucket.within_reach(NOW, LEAD)


def test_the_next_permit_of_a_rested_bucket_is_an_interval_away_and_nothing_is_lost():
    bucket = full()

    bucket.give_permit(NOW)

    assert bucket.due(LEAD) == NOW + T - LEAD
    assert bucket.next_free(NOW) == NOW


@pytest.mark.parametrize(("base", "reach"), [(6_000, 600), (100, 400)])
def test_a_call_may_begin_as_far_ahead_as_early_permits_make_it(base, reach):
    near, far = full(base), full(base)
    near.full_at_ms, far.full_at_ms = NOW + reach, NOW + reach + 1

    assert (near.within_reach(NOW, LEAD), far.within_reach(NOW, LEAD)) == (True, False)


def test_the_same_pace_changes_nothing():
    bucket = full()

    bucket.change_pace(NOW, T, 1, 0)

    assert bucket.full_at_ms == 0


@pytest.mark.parametrize(
    ("rested", "base", "burst", "next_free"),
    [
        (3_000, 1_000, 1, 500),  # half a token stays half a token
        (0, 12_000, 1, 12_000),
        (60_000, 12_000, 1, 0),
        (60_000, 6_000, 5, 0),
    ],
)
def test_a_new_pace_keeps_the_tokens_earned(rested, base, burst, next_free):
    bucket = full()
    bucket.charge(NOW)

    bucket.change_pace(NOW + rested, base, burst, 0)

    assert bucket.next_free(NOW + rested) == NOW + rested + next_free


def test_a_larger_burst_must_be_earned_and_a_smaller_one_caps():
    larger, smaller = full(burst=1), full(burst=5)

    larger.change_pace(NOW, T, 3, 0)
    smaller.change_pace(NOW, T, 2, 0)

    assert [larger.charge(NOW) for _ in range(2)] == [NOW, NOW + T]
    assert [smaller.charge(NOW) for _ in range(3)] == [NOW, NOW, NOW + T]


def test_slots_begun_ahead_are_kept_clear_of_when_the_pace_changes():
    bucket = full(100)
    last = [bucket.charge(NOW) for _ in range(4)][-1]

    bucket.change_pace(NOW, 50, 1, 0)

    assert (last, bucket.next_free(NOW)) == (NOW + 300, NOW + 350)


def test_a_block_is_never_shortened_and_saves_up_no_burst():
    bucket = full(burst=3)

    bucket.block(NOW + 10_000)
    bucket.block(NOW + 5_000)

    assert [bucket.charge(NOW) for _ in range(2)] == [NOW + 10_000, NOW + 16_000]


def test_a_call_that_was_not_made_teaches_nothing():
    bucket = replace(full(), failures=3, clean=4)

    assert not bucket.learn(None, NOW, 0)
    assert (bucket.failures, bucket.clean) == (3, 4)


@pytest.mark.parametrize(("advice", "wait"), [(0, 12_000), (30_000, 30_000)])
def test_a_429_widens_the_interval_and_honours_the_advice(advice, wait):
    bucket = full()

    assert bucket.learn(RoomSignal.THROTTLED, NOW, advice)
    assert (bucket.slowdown, bucket.blocked_until_ms) == (1, NOW + wait)


def test_a_429_at_the_slowest_only_blocks():
    bucket = replace(full(), slowdown=4)

    bucket.learn(RoomSignal.THROTTLED, NOW, 0)

    assert (bucket.slowdown, bucket.blocked_until_ms) == (4, NOW + 60_000)


def test_ten_clean_answers_in_a_row_halve_the_interval_back():
    bucket = replace(full(), slowdown=2)

    mirrored = [bucket.learn(RoomSignal.CLEAN, NOW, 0) for _ in range(20)]

    assert mirrored == ([False] * 9 + [True]) * 2
    assert (bucket.slowdown, bucket.clean) == (0, 0)


def test_clean_answers_at_full_speed_are_not_counted():
    bucket = full()

    assert not bucket.learn(RoomSignal.CLEAN, NOW, 0)
    assert bucket.clean == 0


def test_an_answer_in_good_order_forgets_failures_but_not_the_clean_count():
    bucket = replace(full(), slowdown=1, clean=3, failures=4)

    assert not bucket.learn(RoomSignal.ANSWERED, NOW, 0)
    assert (bucket.failures, bucket.clean) == (0, 3)


def test_the_breaker_opens_at_five_doubles_per_failed_probe_and_closes_at_one_success():
    bucket, now, waits = full(), NOW, []
    for _ in range(4):
        assert not bucket.learn(RoomSignal.TROUBLED, now, 0)
    for _ in range(7):
        assert bucket.learn(RoomSignal.TROUBLED, now, 0)
        waits.append((bucket.blocked_until_ms - now) / 1000)
        assert not bucket.learn(RoomSignal.TROUBLED, now, 0)  # begun before it opened
        now = bucket.blocked_until_ms

    assert waits == [15, 30, 60, 120, 240, 480, 480]
    assert bucket.learn(RoomSignal.CLEAN, now, 0)
    assert bucket.failures == 0


def test_the_most_urgent_goes_first_and_the_oldest_within():
    waiting = [Waiting(3, 5), Waiting(2, 5), Waiting(1, 8)]

    assert pick(waiting, 0) == (Waiting(2, 5), 1)


def test_the_oldest_less_urgent_goes_after_four_were_passed_over():
    waiting = [Waiting(1, 1), Waiting(9, 5), Waiting(4, 8)]

    assert pick(waiting, 3) == (Waiting(1, 1), 4)
    assert pick(waiting, 4) == (Waiting(4, 8), 0)


def test_with_nobody_less_urgent_the_count_starts_anew():
    assert pick([Waiting(1, 5)], 4) == (Waiting(1, 5), 0)


def test_nobody_waiting_is_nobody_to_pick():
    with pytest.raises(ValueError, match="empty"):
        pick([], 0)


def simulated(others: list[Waiting], me: Waiting, passed_over: int) -> int:
    waiting, sends = [*others, me], 0
    while True:
        chosen, passed_over = pick(waiting, passed_over)
        if chosen is me:
            return sends
        waiting.remove(chosen)
        sends += 1


queues = st.lists(st.integers(1, 10), max_size=60)


def line_up(priorities: list[int]) -> tuple[list[Waiting], Counter[int]]:
    return [Waiting(i, one) for i, one in enumerate(priorities, start=1)], Counter(priorities)


@settings(derandomize=True, database=None)
@given(queues, st.integers(1, 10), st.integers(0, 4))
@example([5] * 9, 8, 4)
def test_the_promise_is_never_too_early(priorities, priority, passed_over):
    others, counts = line_up(priorities)

    assert sends_before(priority, counts, passed_over) >= simulated(
        others, Waiting(100, priority), passed_over
    )


@settings(derandomize=True, database=None)
@given(
    st.lists(st.sampled_from((5, 8)), max_size=60),
    st.sampled_from((5, 8)),
    st.integers(0, 4),
)
def test_the_promise_is_exact_with_two_priorities_in_use(priorities, priority, passed_over):
    others, counts = line_up(priorities)

    assert sends_before(priority, counts, passed_over) == simulated(
        others, Waiting(100, priority), passed_over
    )


@settings(derandomize=True, database=None)
@given(queues, st.integers(1, 10), st.integers(0, 4))
def test_the_promise_is_exact_when_nothing_more_urgent_waits(priorities, offset, passed_over):
    others, counts = line_up(priorities)
    priority = max(1, min(priorities, default=offset))

    assert sends_before(priority, counts, passed_over) == simulated(
        others, Waiting(100, priority), passed_over
    )


@settings(derandomize=True, database=None)
@given(
    st.lists(st.sampled_from((1, 5, 8, 9)), max_size=60).filter(lambda them: 5 in them),
    st.integers(0, 4),
)
def test_with_one_more_urgent_priority_the_error_is_the_aged_sends_allowed_for(
    priorities, passed_over
):
    others, counts = line_up(priorities)
    ahead = counts[1] + counts[5]
    aged = min(counts[8] + counts[9], (ahead + passed_over) // 4)

    late = sends_before(5, counts, passed_over) - simulated(others, Waiting(100, 5), passed_over)

    assert 0 <= late <= aged


@settings(derandomize=True, database=None)
@given(
    st.integers(1, 5),
    st.floats(-50_000, 50_000),
    st.floats(-50_000, 50_000),
    st.integers(0, 20),
)
def test_the_promised_slot_is_the_one_that_so_many_sends_lead_to(burst, full_at, blocked, sends):
    bucket = Bucket(T, burst, NOW + full_at, blocked_until_ms=NOW + blocked)
    promised = slot_after(look(bucket), sends)

    for _ in range(sends):
        bucket.charge(NOW)

    assert promised == pytest.approx(bucket.next_free(NOW))
