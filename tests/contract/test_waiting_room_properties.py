"""Random histories: the oracle and the Lua answer alike, number by number, and what must hold holds.

Histories contain lost permits and calls, 429s and trouble, pauses, resumes and cancels, changes of
rate, duplicates, expired leases, and flushes with a rebuild.
"""

from collections import defaultdict
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from domain.messages import RoomSignal
from domain.pacing import Beginning, LaneVerb, Learned, Pace, RoomRules, Waiting
from infra.redis.waiting_room import RedisWaitingRoom
from tests.fakes.waiting_room import FakeWaitingRoom

RULES = RoomRules(lead_ms=300, interval_ms=6_030)
CONNECTIONS = (1, 2, 13)
PREFIX = "room:{0}:"

connections = st.sampled_from(CONNECTIONS)
campaigns = st.sampled_from((7, 8))
paces = st.tuples(
    st.sampled_from((40.2, 100.5, 603.0, 6_030.0, 70_000.0)),
    st.sampled_from((1, 1, 3, 10)),
    st.sampled_from((False, False, False, True)),
)
newcomers = st.lists(
    st.tuples(st.sampled_from((1, 5, 5, 8, 8, 10)), st.sampled_from((None, 7, 8))), max_size=12
)
signals = st.sampled_from(
    (None, *RoomSignal, RoomSignal.CLEAN, RoomSignal.TROUBLED, RoomSignal.TROUBLED)
)
steps = st.sampled_from((0.0, 0.5, 17.25, 100.0, 300.0, 1_000.0, 6_030.0, 20_000.0, 95_000.0))
picks = st.integers(0, 10_000)


class Histories(RuleBasedStateMachine):
    def __init__(self, client: Redis) -> None:
        super().__init__()
        self.now = 1_795_000_000_000.0
        self.client = client
        client.flushall()
        self.oracle = FakeWaitingRoom(lambda: self.now, RULES)
        self.oracle.flush()
        self.redis = RedisWaitingRoom(client, RULES, now_ms=lambda: self.now)
        self.paces = {one: Pace(one, 6_030.0) for one in CONNECTIONS}
        self.known = {}  # message id -> (connection, Waiting)
        self.inside = set()  # ids that the room answers for
        self.permits = []
        self.begun = {}  # permit -> deadline of its call
        self.slots = defaultdict(list)  # connection -> slots since its interval last changed
        self.both("rebuild", [])

    def both(self, name, *arguments, **options):
        expected = getattr(self.oracle, name)(*arguments, **options)
        assert getattr(self.redis, name)(*arguments, **options) == expected
        return expected

    def set_pace(self, pace: Pace) -> None:
        old = self.paces[pace.connection_id]
        if (old.interval_ms, old.burst) != (pace.interval_ms, pace.burst):
            self.slots[pace.connection_id].clear()
        self.paces[pace.connection_id] = pace

    @rule(step=steps)
    def time_passes(self, step):
        self.now += step

    @rule(connection=connections, new=newcomers, go=st.booleans(), again=picks)
    def admit(self, connection, new, go, again):
        first = len(self.known) + 1
        asked = [Waiting(first + i, *one) for i, one in enumerate(new)]
        for one in asked:
            self.known[one.message_id] = (connection, one)
        twice = self.known.get(again % 40)
        if twice and twice[0] == connection and twice[1] not in asked:
            asked.append(twice[1])
        admission = self.both("admit", self.paces[connection], asked, go=go)
        self.inside |= {one.message_id for one in asked}
        if admission.go:
            self.permits.append(admission.go)

    @rule(connection=connections, pace=paces)
    def change_pace(self, connection, pace):
        self.set_pace(Pace(connection, *pace))
        self.both("admit", self.paces[connection], [])

    @rule(limit=st.sampled_from((1, 3, 100)))
    def release(self, limit):
        self.permits += self.both("release", limit).permits
        for permit in [one for one, deadline in self.begun.items() if deadline <= self.now]:
            del self.begun[permit]
            self.inside.discard(permit.message_id)

    @precondition(lambda self: self.permits)
    @rule(which=picks)
    def begin(self, which):
        permit = self.permits[which % len(self.permits)]
        begun = self.both("begin", permit)
        if begun.status is Beginning.OK:
            self.begun[permit] = self.now + RULES.send_lease_ms
            self.slots[permit.connection_id].append(begun.slot_ms)
        elif begun.status is Beginning.PARKED:
            self.begun.pop(permit, None)

    @precondition(lambda self: self.permits)
    @rule(
        which=picks,
        signal=signals,
        put_back=st.booleans(),
        wait=st.sampled_from((None, timedelta(seconds=5), timedelta(seconds=100))),
        forget=st.booleans(),
    )
    def done(self, which, signal, put_back, wait, forget):
        permit = self.permits[which % len(self.permits)]
        connection = permit.connection_id
        held = permit.lease in self.leases(connection).values()
        before = self.oracle.view([connection])[0].interval_ms
        self.both("done", permit, signal, put_back=put_back, retry_after=wait)
        if self.oracle.view([connection])[0].interval_ms != before:
            self.slots[connection].clear()
        self.begun.pop(permit, None)
        if held and not put_back:
            self.inside.discard(permit.message_id)
        if forget:
            self.permits.remove(permit)

    @precondition(lambda self: self.permits)
    @rule(count=st.integers(1, 3))
    def give_back(self, count):
        fresh = [one for one in self.permits if one not in self.begun][:count]
        self.both("give_back", fresh)

    @rule(connection=connections, campaign=campaigns, verb=st.sampled_from(LaneVerb))
    def lane(self, connection, campaign, verb):
        waiting = self.queued()
        self.both("lane", connection, campaign, verb)
        if verb is LaneVerb.CANCEL:
            self.inside -= waiting - self.queued()

    @precondition(lambda self: self.known)
    @rule(which=picks)
    def remove(self, which):
        connection, waiting = self.known[which % len(self.known) + 1]
        if self.both("remove", connection, waiting):
            self.inside.discard(waiting.message_id)

    @precondition(lambda self: self.known)
    @rule(which=picks)
    def place(self, which):
        connection, waiting = self.known[which % len(self.known) + 1]
        self.both("place", connection, waiting)

    @rule(
        learned=st.tuples(st.integers(0, 3), st.sampled_from((0, 6)), st.sampled_from((0, 9_000))),
        later=st.sampled_from((1.0, 50.0, 9_000.0)),
        keep=st.integers(1, 3),
    )
    def flush_and_rebuild(self, learned, later, keep):
        """What is rebuilt is what PostgreSQL holds: here, some of all that was ever known."""
        before = {one.connection_id: one.interval_ms for one in self.oracle.view(CONNECTIONS)}
        self.client.flushall()
        self.oracle.flush()
        self.now += later
        slowdown, failures, wait = learned
        memory = Learned(slowdown, failures, self.now + wait if wait else 0)
        kept = {one: self.known[one] for one in self.inside if one % keep == 0}
        rows = [
            (pace, memory, [waiting for where, waiting in kept.values() if where == connection])
            for connection, pace in self.paces.items()
        ]
        self.both("rebuild", rows)
        self.inside, self.begun = set(kept), {}
        for one in self.oracle.view(CONNECTIONS):
            if one.interval_ms != before[one.connection_id]:
                self.slots[one.connection_id].clear()

    @invariant()
    def buckets_look_the_same(self):
        self.both("view", [*CONNECTIONS, 99])

    @invariant()
    def every_message_waits_or_is_in_flight(self):
        flying = {int(one) for each in CONNECTIONS for one in self.leases(each)}
        assert self.queued() | flying == self.inside
        assert not self.queued() & flying

    @invariant()
    def slots_are_an_interval_apart(self):
        for view in self.oracle.view(CONNECTIONS):
            slots = self.slots[view.connection_id]
            if view.burst == 1 and len(slots) > 1:
                assert slots[-1] - slots[-2] >= view.interval_ms - 1e-3

    @invariant()
    def the_index_agrees_with_what_it_indexes(self):
        for view in self.oracle.view(CONNECTIONS):
            check_index(self.client, view)

    def queued(self) -> set[int]:
        keys = self.client.keys(f"{PREFIX}lane:*")
        return {int(one) for key in keys for one in self.client.zrange(key, 0, -1)}

    def leases(self, connection) -> dict[str, str]:
        flights = self.client.hgetall(f"{PREFIX}flights:{connection}")
        return {one: record.split("|")[0] for one, record in flights.items()}

    def teardown(self):
        """Everybody dies. The leases alone bring every message out again, once."""
        for connection, pace in self.paces.items():
            self.both("admit", Pace(connection, pace.interval_ms, pace.burst), [])
            for campaign in (7, 8):
                self.both("lane", connection, campaign, LaneVerb.RESUME)
        calling = {one.message_id for one in self.begun}
        self.now += 100_000
        sent = []
        for _ in range(20 * len(self.inside) + 10):
            released = self.both("release", 100)
            for permit in released.permits:
                if self.both("begin", permit).status is Beginning.OK:
                    self.both("done", permit, RoomSignal.CLEAN)
                    sent.append(permit.message_id)
            self.now += released.next_in_ms or 0
        assert sorted(sent) == sorted(self.inside - calling)


def check_index(client: Redis, view) -> None:
    """Lanes, counters, leases, `due` and TTL of one connection tell one story."""
    connection = view.connection_id
    lanes = dict(client.zrange(f"{PREFIX}lanes:{connection}", 0, -1, withscores=True))
    waiting = defaultdict(int)
    for lane, score in lanes.items():
        priority = int(lane.split(":")[1])
        members = client.zrange(f"{PREFIX}lane:{connection}:{lane}", 0, -1)
        assert score == priority * 2**45 + int(members[0])
        waiting[priority] += len(members)
    assert view.waiting == waiting
    flights = client.hgetall(f"{PREFIX}flights:{connection}")
    leased = client.zrange(f"{PREFIX}leases", 0, -1)
    assert view.in_flight == len(flights) == sum(one.startswith(f"{connection}:") for one in leased)
    assert view.permits_out == sum(one.endswith("|permit") for one in flights.values())
    busy = view.waiting or view.in_flight or view.slowdown or view.failures
    if busy or client.exists(f"{PREFIX}held:{connection}"):
        assert client.ttl(f"{PREFIX}bucket:{connection}") in (-1, -2 if not busy else -1)
    permits = max(-(-RULES.lead_ms // view.interval_ms) + 1, view.burst)
    cap = 2 if view.interval_ms >= 1_000 else -(-2_000 // view.interval_ms)
    cap = 1 if view.failures >= 5 else cap
    room = view.permits_out < permits and view.in_flight < cap
    armed = client.zscore(f"{PREFIX}due", connection) is not None
    assert armed == bool(waiting and room and not view.paused)


def test_oracle_and_lua_agree_over_random_histories(redis_endpoint):
    host, port = redis_endpoint.split(":")
    client = Redis(host=host, port=int(port), decode_responses=True, protocol=2)
    run_state_machine_as_test(
        lambda: Histories(client),
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    client.close()
