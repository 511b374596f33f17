"""One suite for the fake and for Redis, on a clock that the test moves. T = 6,000 ms, lead 300."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from redis import Redis

from domain.messages import RoomSignal
from domain.pacing import Beginning, Begun, LaneVerb, Learned, Pace, Permit, RoomRules, Waiting
from domain.ports import RoomCold, WaitingRoom
from infra.redis.waiting_room import RedisWaitingRoom
from tests.fakes.waiting_room import FakeWaitingRoom

T, LEAD = 6_000, 300
START = 1_000_000_000.0
PACE = Pace(1, T)
OTHER = Pace(2, T)


@dataclass
class World:
    """A room, the clock that it reads, and a way to empty it."""

    now: float = 1.0
    room: WaitingRoom = field(init=False)
    flush: Callable[[], object] = field(init=False)

    def begin_next(self) -> tuple[Permit, float]:
        [permit] = self.room.release(1).permits
        begun = self.room.begin(permit)
        assert begun.status is Beginning.OK
        return permit, begun.slot_ms

    def send_next(self, signal: RoomSignal = RoomSignal.CLEAN, **how) -> tuple[Permit, Learned]:
        """Wait for the next permit, begin it and finish it at its slot."""
        self.now += self.room.release(0).next_in_ms or 0
        permit, slot = self.begin_next()
        self.now = slot
        return permit, self.room.done(permit, signal, **how)

    def view(self, connection_id=1):
        return self.room.view([connection_id])[0]


@pytest.fixture
def redis(redis_endpoint) -> Iterator[Redis]:
    host, port = redis_endpoint.split(":")
    client = Redis(host=host, port=int(port), decode_responses=True, protocol=2)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(params=["fake", "redis"])
def world(request) -> World:
    """An open room, long after its epoch, so that every bucket is full."""
    made, rules = World(), RoomRules(lead_ms=LEAD, interval_ms=T)
    if request.param == "fake":
        fake = FakeWaitingRoom(lambda: made.now, rules)
        made.room, made.flush = fake, fake.flush
    else:
        client = request.getfixturevalue("redis")
        made.room = RedisWaitingRoom(client, rules, now_ms=lambda: made.now)
        made.flush = client.flushall
        made.room.rebuild([])
    made.now = START
    return made


def some(*ids: int, priority: int = 5, campaign: int | None = None) -> list[Waiting]:
    return [Waiting(one, priority, campaign) for one in ids]


def ids(permits) -> list[int]:
    return [permit.message_id for permit in permits]


def test_a_rested_connection_lets_one_go_at_once_and_promises_the_rest(world):
    admission = world.room.admit(PACE, some(1, 2, 3), go=True)

    assert admission.go.message_id == 1
    assert admission.send_at_ms == {2: START + T, 3: START + 2 * T}


def test_admitting_without_go_hands_out_nothing(world):
    admission = world.room.admit(PACE, some(1, 2))

    assert admission.go is None
    assert admission.send_at_ms == {1: START, 2: START + T}


def test_go_is_for_the_head_of_the_queue_and_not_for_the_newcomer(world):
    world.room.admit(PACE, some(1))

    admission = world.room.admit(PACE, some(2), go=True)

    assert admission.go.message_id == 1
    assert admission.send_at_ms == {2: START + T}


def test_a_permit_leaves_the_lead_before_its_slot_and_not_earlier(world):
    world.room.admit(PACE, some(1, 2))
    permit, _ = world.begin_next()
    world.room.done(permit, RoomSignal.CLEAN)

    world.now = START + T - LEAD - 1
    early = world.room.release(10)
    world.now = START + T - LEAD
    due = world.room.release(10)

    assert (early.permits, early.next_in_ms) == ([], 1)
    assert (ids(due.permits), due.next_in_ms) == ([2], None)


def test_begin_takes_the_slot_although_the_permit_came_the_lead_earlier(world):
    world.room.admit(PACE, some(1, 2))
    world.begin_next()
    world.now = START + T - LEAD

    permit, slot = world.begin_next()

    assert (permit.message_id, slot) == (2, START + T)


def test_the_token_is_charged_when_the_call_begins(world):
    world.room.admit(PACE, some(1, 2, 3))
    [permit] = world.room.release(1).permits
    world.now += 4_000

    slot = world.room.begin(permit).slot_ms
    world.room.done(permit, RoomSignal.CLEAN)

    assert slot == START + 4_000
    assert world.room.release(5).next_in_ms == T - LEAD


def test_a_permit_that_nobody_begins_costs_no_token_and_returns_after_its_lease(world):
    world.room.admit(PACE, some(1))
    [lost] = world.room.release(1).permits
    world.now += 90_000

    [again] = world.room.release(1).permits

    assert again.message_id == 1
    assert world.room.begin(lost).status is Beginning.STALE
    assert world.room.begin(again).slot_ms == world.now


def test_an_expired_permit_is_stale_even_before_anybody_swept_it(world):
    world.room.admit(PACE, some(1))
    [permit] = world.room.release(1).permits
    world.now += 90_000

    assert world.room.begin(permit).status is Beginning.STALE
    assert ids(world.room.release(1).permits) == [1]


def test_a_call_that_nobody_finished_is_freed_after_its_lease_but_not_put_back(world):
    world.room.admit(PACE, some(1))
    permit, _ = world.begin_next()
    assert world.view().begun == {1}
    world.now += 60_000

    released = world.room.release(1)

    assert (released.permits, world.view().in_flight) == ([], 0)
    assert world.room.done(permit, RoomSignal.THROTTLED) == Learned()
    assert world.view().slowdown == 0


def test_a_second_begin_gives_the_first_slot_up_and_takes_a_new_one(world):
    world.room.admit(PACE, some(1), go=False)
    permit, first = world.begin_next()
    world.now += T - LEAD

    second = world.room.begin(permit)

    assert (first, second.slot_ms) == (START, START + T)
    assert world.view().next_free_ms == START + 2 * T


def test_a_slow_connection_has_at_most_two_messages_in_flight(world):
    world.room.admit(PACE, some(1, 2, 3))
    first, _ = world.begin_next()
    world.now += T
    world.begin_next()
    world.now += T
    assert world.room.release(5).permits == []

    world.room.done(first, RoomSignal.CLEAN)

    assert ids(world.room.release(5).permits) == [3]


def test_a_fast_connection_has_enough_permits_out_to_cover_the_lead(world):
    world.room.admit(Pace(1, 100), some(*range(1, 30)))

    released = world.room.release(30)

    assert ids(released.permits) == [1, 2, 3, 4]
    slots = [world.room.begin(permit).slot_ms for permit in released.permits]
    assert slots == [START, START + 100, START + 200, START + 300]


def test_a_burst_goes_at_once_and_then_one_per_interval(world):
    world.room.admit(Pace(1, 500, burst=3), some(*range(1, 9)))

    permits = world.room.release(10).permits
    slots = [world.room.begin(permit).slot_ms for permit in permits]

    assert slots == [START] * 3
    for permit in permits:
        world.room.done(permit, RoomSignal.CLEAN)
    assert world.room.release(10).next_in_ms == 200
    assert world.room.place(1, some(5)[0]) == (1, START + 1_000)


def test_priorities_go_first_and_aging_lets_every_fifth_slot_to_the_less_urgent(world):
    world.room.admit(PACE, some(1, 2, 3, priority=8, campaign=7))
    world.room.admit(PACE, some(*range(11, 20), priority=5) + some(20, priority=1))

    order = [world.send_next()[0].message_id for _ in range(13)]

    assert order == [20, 11, 12, 13, 1, 14, 15, 16, 17, 2, 18, 19, 3]


def test_the_promise_knows_priorities_and_aging(world):
    world.room.admit(PACE, some(*range(1, 9), priority=5))

    [bulk] = world.room.admit(PACE, some(9, priority=8)).send_at_ms.values()
    [urgent] = world.room.admit(PACE, some(10, priority=1)).send_at_ms.values()
    [last] = world.room.admit(PACE, some(11, priority=5)).send_at_ms.values()

    # The urgent one came later: before it, the bulk message was fifth.
    assert (bulk, urgent) == (START + 4 * T, START)
    assert last == START + 10 * T


def test_places_count_interleaved_lanes_of_one_priority(world):
    world.room.admit(PACE, some(1, 4, 7, 10, campaign=7))
    admission = world.room.admit(PACE, some(2, 3, 5, 6, 8, 9, campaign=8))

    assert admission.send_at_ms == {one: START + (one - 1) * T for one in (2, 3, 5, 6, 8, 9)}
    assert world.room.place(1, some(10, campaign=7)[0]) == (9, START + 9 * T)


def test_admitting_twice_changes_nothing_and_promises_the_same(world):
    world.room.admit(PACE, some(1, 2, 3))
    world.begin_next()

    admission = world.room.admit(PACE, some(1, 2, 3))

    assert admission.send_at_ms == {2: START + T, 3: START + 2 * T}
    assert world.view().waiting == {5: 2}


def test_a_message_put_back_returns_to_its_own_place(world):
    world.room.admit(PACE, some(1, 2))
    [permit] = world.room.release(1).permits

    world.room.done(permit, None, put_back=True)

    assert ids(world.room.release(1).permits) == [1]


def test_permits_that_could_not_be_published_are_given_back(world):
    world.room.admit(PACE, some(1))
    world.room.admit(OTHER, some(2))
    permits = world.room.release(10).permits

    world.room.give_back([*permits, replace(permits[0], lease="stale")])

    assert sorted(ids(world.room.release(10).permits)) == [1, 2]


def test_a_429_doubles_the_interval_and_waits_as_long_as_it_was_told(world):
    world.room.admit(PACE, some(1, 2))

    permit, learned = world.send_next(
        RoomSignal.THROTTLED, put_back=True, retry_after=timedelta(seconds=30)
    )

    assert learned == Learned(1, 0, START + 30_000, changed=True)
    assert world.view().interval_ms == 2 * T
    assert world.room.release(5).next_in_ms == 30_000 - LEAD
    assert world.room.place(1, some(2)[0]) == (1, START + 30_000 + 2 * T)
    world.now = START + 30_000
    [again] = world.room.release(1).permits
    assert again.message_id == permit.message_id
    assert world.room.begin(again) == Begun(Beginning.OK, world.now, world.now, T)


def test_a_429_without_advice_waits_one_widened_interval_and_at_most_a_minute(world):
    world.room.admit(PACE, some(*range(1, 8)))

    waits = []
    for _ in range(5):
        _, learned = world.send_next(RoomSignal.THROTTLED)
        waits.append(learned.blocked_until_ms - world.now)

    assert waits == [12_000, 24_000, 48_000, 60_000, 60_000]
    assert world.view().slowdown == 4


def test_a_429_saves_up_no_burst(world):
    world.room.admit(Pace(1, 2_000, burst=2), some(1, 2, 3, 4))
    world.send_next(RoomSignal.THROTTLED)

    slots = []
    for _ in range(3):
        world.send_next()
        slots.append(world.now - START)

    assert slots == [4_000, 8_000, 12_000]


def test_ten_clean_sends_halve_the_interval_back(world):
    world.room.admit(PACE, some(*range(1, 31)))
    world.send_next(RoomSignal.THROTTLED)

    for _ in range(9):
        assert not world.send_next()[1].changed
    world.send_next(RoomSignal.ANSWERED)
    _, learned = world.send_next()

    assert learned == Learned(0, 0, START + 2 * T, changed=True)
    assert world.view().interval_ms == T


def test_trouble_starts_the_count_of_clean_sends_anew(world):
    world.room.admit(PACE, some(*range(1, 31)))
    world.send_next(RoomSignal.THROTTLED)
    for _ in range(9):
        world.send_next()

    world.send_next(RoomSignal.TROUBLED)
    for _ in range(9):
        assert not world.send_next()[1].changed

    assert world.send_next()[1].changed


def test_five_troubles_open_the_breaker_and_one_probe_at_a_time_closes_it(world):
    pace = Pace(1, 100)
    world.room.admit(pace, some(*range(1, 40)))
    for expected in (1, 2, 3, 4):
        assert world.send_next(RoomSignal.TROUBLED)[1] == Learned(0, expected, 0)

    waits = []
    for _ in range(7):
        _, learned = world.send_next(RoomSignal.TROUBLED)
        waits.append(learned.blocked_until_ms - world.now)
        assert learned.changed
        assert world.room.release(9).permits == []
    world.now += 480_000
    probe = world.room.release(9).permits

    assert waits == [15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 480_000]
    assert len(probe) == 1
    world.room.begin(probe[0])
    learned = world.room.done(probe[0], RoomSignal.ANSWERED)
    assert (learned.failures, learned.changed) == (0, True)
    assert len(world.room.release(9).permits) == 3


def test_calls_that_were_already_running_do_not_prolong_an_open_breaker(world):
    world.room.admit(Pace(1, 100), some(*range(1, 40)))
    flying = []
    for _ in range(8):
        world.now += 100
        flying.append(world.begin_next()[0])

    learned = [world.room.done(permit, RoomSignal.TROUBLED) for permit in flying]

    assert [one.failures for one in learned] == [1, 2, 3, 4, 5, 5, 5, 5]
    assert learned[-1].blocked_until_ms == world.now + 15_000
    assert [one.changed for one in learned] == [False] * 4 + [True] + [False] * 3


def test_one_success_forgets_fewer_than_five_troubles_without_a_mirror(world):
    world.room.admit(PACE, some(1, 2, 3))
    world.send_next(RoomSignal.TROUBLED)

    assert world.send_next()[1] == Learned(0, 0, 0)


def test_a_permit_out_when_a_429_arrives_is_parked(world):
    world.room.admit(PACE, some(1, 2))
    first, _ = world.begin_next()
    world.now += T - LEAD
    [second] = world.room.release(1).permits
    world.room.done(first, RoomSignal.THROTTLED)

    assert world.room.begin(second).status is Beginning.PARKED
    assert world.view().waiting == {5: 1}
    assert world.room.begin(second).status is Beginning.STALE


def test_pausing_a_connection_parks_its_permits_and_stops_its_release(world):
    world.room.admit(PACE, some(1, 2))
    [permit] = world.room.release(1).permits

    admission = world.room.admit(replace(PACE, paused=True), some(3))

    assert admission.send_at_ms == {}
    assert world.room.begin(permit).status is Beginning.PARKED
    assert world.room.release(9).permits == []
    assert world.view().waiting == {5: 3}
    world.room.admit(PACE, [])
    assert ids(world.room.release(9).permits) == [1]


def test_a_rate_change_keeps_earned_tokens_and_moves_the_next_slot_in_proportion(world):
    world.room.admit(PACE, some(1, 2))
    world.send_next()
    world.now += 3_000

    world.room.admit(Pace(1, 1_000), [])

    assert world.view().next_free_ms == world.now + 500


def test_a_smaller_burst_caps_the_tokens_and_a_larger_one_gives_none(world):
    world.room.admit(Pace(1, T, burst=4), [])
    world.room.admit(Pace(1, T, burst=2), some(1, 2, 3, 4))
    world.room.admit(Pace(1, T, burst=3), [])

    slots = [world.begin_next()[1] for _ in range(2)]

    assert slots == [START, START]
    assert world.view().next_free_ms == START + T


def test_pausing_resuming_and_cancelling_a_campaign_moves_its_lanes_only(world):
    world.room.admit(PACE, some(1, 2, priority=8, campaign=7) + some(3, priority=5, campaign=7))
    world.room.admit(PACE, some(4, priority=8))

    assert world.room.lane(1, 7, LaneVerb.PAUSE) == 3
    assert world.room.lane(1, 7, LaneVerb.PAUSE) == 0
    assert world.view().waiting == {8: 1}
    assert world.room.place(1, some(1, priority=8, campaign=7)[0]) is None
    assert world.room.admit(PACE, some(5, priority=8, campaign=7)).send_at_ms == {}
    assert world.room.lane(1, 7, LaneVerb.RESUME) == 4
    assert world.room.lane(1, 7, LaneVerb.RESUME) == 0
    assert world.view().waiting == {5: 1, 8: 4}
    world.room.lane(1, 7, LaneVerb.PAUSE)
    assert world.room.lane(1, 7, LaneVerb.CANCEL) == 4
    assert world.room.lane(1, 7, LaneVerb.CANCEL) == 0
    assert world.view().waiting == {8: 1}
    world.room.admit(PACE, some(6, priority=8, campaign=7))
    assert world.view().waiting == {8: 2}


def test_a_permit_of_a_paused_campaign_returns_to_its_held_lane(world):
    world.room.admit(PACE, some(1, campaign=7))
    [permit] = world.room.release(1).permits
    world.room.lane(1, 7, LaneVerb.PAUSE)

    world.room.done(permit, None, put_back=True)

    assert world.room.release(1).permits == []
    assert world.room.lane(1, 7, LaneVerb.RESUME) == 1
    assert ids(world.room.release(1).permits) == [1]


def test_removing_takes_one_waiting_message_held_or_not(world):
    world.room.admit(PACE, some(1, 2))
    world.room.admit(PACE, some(3, campaign=7))
    world.room.lane(1, 7, LaneVerb.PAUSE)

    assert world.room.remove(1, some(1)[0])
    assert not world.room.remove(1, some(1)[0])
    assert world.room.remove(1, some(3, campaign=7)[0])
    assert ids(world.room.release(5).permits) == [2]
    assert not world.room.remove(1, some(2)[0])
    assert world.view().waiting == {}


def test_a_message_that_does_not_wait_has_no_place(world):
    assert world.room.place(1, some(1)[0]) is None


def test_release_takes_the_longest_due_first_and_stops_at_its_limit(world):
    world.room.admit(OTHER, some(2))
    world.now += 1
    world.room.admit(PACE, some(1))
    world.now += 1
    world.room.admit(Pace(3, T), some(3))

    first = world.room.release(2)
    second = world.room.release(2)

    assert [len(ids(first.permits)), first.next_in_ms] == [2, 0]
    assert [len(ids(second.permits)), second.next_in_ms] == [1, None]


def test_a_long_queue_of_one_connection_does_not_delay_another(world):
    world.room.admit(PACE, some(*range(1, 2_001), priority=1))

    admission = world.room.admit(OTHER, some(5_000, priority=10), go=True)

    assert admission.go.message_id == 5_000


def test_an_unknown_connection_shows_the_defaults(world):
    view = world.view(99)

    assert (view.interval_ms, view.burst, view.paused, view.waiting) == (T, 1, False, {})
    assert view.next_free_ms == world.now == START


def test_views_come_in_the_order_asked(world):
    world.room.admit(PACE, some(1))

    views = world.room.view([2, 1])

    assert [(one.connection_id, one.waiting) for one in views] == [(2, {}), (1, {5: 1})]


def test_a_cold_room_refuses_everything_until_it_is_rebuilt(world):
    world.room.admit(PACE, some(1))
    [permit] = world.room.release(1).permits
    world.flush()

    assert world.room.cold()
    for refused in (
        lambda: world.room.admit(PACE, some(1), go=True),
        lambda: world.room.release(1),
        lambda: world.room.begin(permit),
        lambda: world.room.done(permit, RoomSignal.CLEAN),
        lambda: world.room.give_back([permit]),
        lambda: world.room.remove(1, some(1)[0]),
        lambda: world.room.lane(1, 7, LaneVerb.PAUSE),
        lambda: world.room.place(1, some(1)[0]),
        lambda: world.room.view([1]),
    ):
        with pytest.raises(RoomCold):
            refused()


def test_a_rebuild_starts_every_bucket_empty_and_lets_nothing_go_twice(world):
    world.room.admit(PACE, some(1, 2))
    [permit] = world.room.release(1).permits
    world.flush()

    assert world.room.rebuild([(PACE, Learned(), some(1, 2)), (OTHER, Learned(), [])]) == 2
    assert not world.room.cold()
    assert world.room.rebuild([(PACE, Learned(), some(9))]) == 0
    assert world.room.begin(permit).status is Beginning.STALE
    assert world.view().next_free_ms == START + 2 * LEAD + T
    assert world.view(2).next_free_ms == START + 2 * LEAD + T
    assert world.room.release(9).next_in_ms == LEAD + T


def test_a_rebuild_keeps_its_distance_to_slots_that_were_begun_ahead(world):
    fast = Pace(1, 100)
    world.room.admit(fast, some(*range(1, 9)))
    slots = [world.room.begin(permit).slot_ms for permit in world.room.release(9).permits]
    world.flush()

    world.room.rebuild([(fast, Learned(), some(*range(5, 9)))])

    assert slots[-1] == START + LEAD
    assert world.view().next_free_ms == START + 2 * LEAD + 100


def test_a_rebuild_remembers_what_was_learned(world):
    world.flush()

    world.room.rebuild(
        [
            (PACE, Learned(2, 0, START + 90_000), some(1)),
            (replace(OTHER, paused=True), Learned(0, 6, 0), some(2)),
        ]
    )

    throttled, paused = world.room.view([1, 2])
    assert (throttled.interval_ms, throttled.next_free_ms) == (4 * T, START + 90_000)
    assert (paused.failures, paused.paused, paused.waiting) == (6, True, {5: 1})


def test_a_begun_call_from_before_a_flush_teaches_nothing(world):
    world.room.admit(PACE, some(1))
    permit, _ = world.begin_next()
    world.flush()
    world.room.rebuild([])

    assert world.room.done(permit, RoomSignal.THROTTLED) == Learned()
