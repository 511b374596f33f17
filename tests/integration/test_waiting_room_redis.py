"""The waiting room on a real Redis that is flushed, killed and lied about, on the real clock."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from queue import Empty, Queue
from random import Random
from threading import Event, Lock

import pytest
from redis import Redis

from domain.messages import RoomSignal
from domain.pacing import Beginning, Learned, Pace, Permit, RoomRules, Waiting
from domain.ports import RoomCold, RoomUnavailable
from infra.local.services import LocalServices, Service
from infra.redis.client import connect
from infra.redis.status_cache import RedisStatusCache
from infra.redis.waiting_room import RedisWaitingRoom
from infra.settings import Settings

INTERVAL_MS = 20
PACE = Pace(1, INTERVAL_MS)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Service]:
    """It keeps an append-only file, so that even a kill leaves it everything: the worst case."""
    with LocalServices(tmp_path_factory.mktemp("room"), durable=True) as services:
        services.redis()
        yield services.services["redis"]


def settings_for(port: int) -> Settings:
    return Settings(
        database_url="postgresql://nowhere",
        redis_endpoint=f"127.0.0.1:{port}",
        sqs_rate_limiter_queue_url="http://127.0.0.1:1/0/huntaze-rate-limiter-queue",
        jwt_secret="test-secret",
    )


@pytest.fixture
def raw(server) -> Iterator[Redis]:
    """An unguarded client, for looking and for sabotage; the server is empty at first."""
    client = Redis(port=server.port, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def open_room(server, raw) -> Iterator[Callable[[], RedisWaitingRoom]]:
    """Makes rooms as separate processes would, each with connections of its own."""
    clients = []

    def make() -> RedisWaitingRoom:
        clients.append(connect(settings_for(server.port)))
        return RedisWaitingRoom(clients[-1], RoomRules(permit_lease_ms=500))

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def room(open_room) -> RedisWaitingRoom:
    made = open_room()
    made.rebuild([])
    return made


def messages(count: int, first: int = 1) -> list[Waiting]:
    return [Waiting(first + i, 5) for i in range(count)]


class Fleet:
    """A pacer and eight workers over rows that stand in for PostgreSQL."""

    def __init__(self, room: RedisWaitingRoom, connections: int, each: int) -> None:
        self.room = room
        self.rows = {
            one.message_id: (Pace(c, INTERVAL_MS), one)
            for c in range(1, connections + 1)
            for one in messages(each, first=1_000 * c)
        }
        self.free = set(self.rows)  # queued, neither claimed nor sent
        self.sent: Counter[int] = Counter()
        self.slots: dict[int, list[float]] = defaultdict(list)
        self.lost = 0
        self.lock = Lock()
        self.permits: Queue[Permit] = Queue()
        self.over = Event()

    def waiting(self) -> dict[Pace, list[Waiting]]:
        with self.lock:
            queued = [self.rows[one] for one in sorted(self.free)]
        lanes = defaultdict(list)
        for pace, one in queued:
            lanes[pace].append(one)
        return lanes

    def pace(self) -> None:
        """Releases what is due, heals what is missing, rebuilds what was lost."""
        healed = 0.0
        while not self.over.is_set():
            try:
                for permit in self.room.release(100).permits:
                    self.permits.put(permit)
                if time.monotonic() - healed > 0.2:
                    healed = time.monotonic()
                    for pace, waiting in self.waiting().items():
                        self.room.admit(pace, waiting)
                time.sleep(0.002)
            except RoomCold:
                lanes = self.waiting()
                with suppress(RoomUnavailable):
                    self.room.rebuild([(pace, Learned(), some) for pace, some in lanes.items()])
            except RoomUnavailable:
                time.sleep(0.01)

    def work(self, seed: int) -> None:
        chance = Random(seed)
        while not self.over.is_set():
            try:
                permit = self.permits.get(timeout=0.02)
            except Empty:
                continue
            if chance.random() < 0.05:
                self.lost += 1
                continue
            with self.lock:
                claimed = permit.message_id in self.free
                self.free.discard(permit.message_id)
            try:
                status = self.deliver(permit) if claimed else None
            except RoomUnavailable:
                status = Beginning.STALE
            if claimed and status is not Beginning.OK:
                with self.lock:
                    self.free.add(permit.message_id)

    def deliver(self, permit: Permit) -> Beginning:
        begun = self.room.begin(permit)
        if begun.status is Beginning.OK:
            with self.lock:
                self.sent[permit.message_id] += 1
                self.slots[permit.connection_id].append(begun.slot_ms)
                if len(self.sent) == len(self.rows):
                    self.over.set()
            with suppress(RoomUnavailable):
                self.room.done(permit, RoomSignal.CLEAN)
        return begun.status

    def run(self, fault: Callable[[], object]) -> None:
        with ThreadPoolExecutor(9) as threads:
            jobs = [threads.submit(self.pace), *(threads.submit(self.work, i) for i in range(8))]
            while len(self.sent) < len(self.rows) // 2:
                time.sleep(0.01)
            fault()
            assert self.over.wait(60)
            for job in jobs:
                job.result()


@pytest.mark.parametrize("fault", ["none", "flush", "kill"])
def test_eight_threads_send_every_message_once_and_never_too_close(fault, server, raw, room):
    def kill() -> None:
        server.kill()
        server.start()

    fleet = Fleet(room, connections=3, each=100)
    fleet.run({"none": time.monotonic, "flush": raw.flushall, "kill": kill}[fault])

    assert fleet.lost > 0
    assert fleet.sent == dict.fromkeys(fleet.rows, 1)
    for slots in fleet.slots.values():
        gaps = [late - early for early, late in pairwise(sorted(slots))]
        assert min(gaps) >= INTERVAL_MS - 0.001


def test_a_killed_server_that_kept_its_file_is_cold_all_the_same(server, raw, room):
    room.admit(PACE, messages(3))

    server.kill()
    server.start()

    assert raw.exists("room:{0}:epoch", "room:{0}:lane:1:0:5") == 2
    assert room.cold()
    assert room.rebuild([(PACE, Learned(), messages(2))]) == 2
    assert room.view([1])[0].waiting == {5: 2}


def test_a_heartbeat_that_went_back_makes_it_cold(raw, open_room, room):
    other = open_room()
    for _ in range(3):
        room.beat()
        other.beat()

    raw.set("room:{0}:beat", 1)

    with pytest.raises(RoomCold):
        room.beat()
    assert room.cold()
    room.rebuild([])
    room.beat()
    other.beat()
    assert not room.cold()


def test_while_one_rebuilds_everybody_else_is_refused(open_room):
    first, second = open_room(), open_room()
    refused = []

    def rows():
        yield PACE, Learned(), messages(3)
        refused.append(second.rebuild([(PACE, Learned(), messages(9))]))
        with pytest.raises(RoomCold):
            second.admit(PACE, messages(1))
        with pytest.raises(RoomCold):
            second.release(1)

    assert first.rebuild(rows()) == 3
    assert refused == [0]
    assert second.view([1])[0].waiting == {5: 3}


def test_a_rebuild_that_breaks_off_leaves_it_cold_and_can_be_repeated(room, raw):
    def rows():
        yield PACE, Learned(), messages(1_500)
        raise LookupError("PostgreSQL went away")

    raw.flushall()
    with pytest.raises(LookupError):
        room.rebuild(rows())

    assert room.cold()
    assert room.rebuild([(PACE, Learned(), messages(2))]) == 2
    assert room.view([1])[0].waiting == {5: 2}


def test_a_rebuild_frozen_past_its_lock_touches_nothing_of_its_successor(open_room, raw):
    frozen, successor = open_room(), open_room()

    def rows():
        raw.delete("room:{0}:building")  # as its expiry would
        successor.rebuild([(PACE, Learned(), messages(2))])
        yield PACE, Learned(), messages(1_500)

    with pytest.raises(RoomCold):
        frozen.rebuild(rows())

    assert successor.view([1])[0].waiting == {5: 2}


def test_a_server_that_restarts_during_a_rebuild_does_not_open(server, open_room):
    room = open_room()

    def rows():
        server.kill()
        server.start()
        yield PACE, Learned(), messages(2)

    with pytest.raises(RoomCold):
        room.rebuild(rows())

    assert room.cold()
    assert room.rebuild([]) == 0
    assert not room.cold()


def test_keys_that_vanish_one_by_one_make_it_cold_instead_of_stuck(room, raw):
    room.admit(PACE, messages(2))
    time.sleep((room.release(0).next_in_ms or 0) / 1000)

    raw.delete("room:{0}:lane:1:0:5")

    with pytest.raises(RoomUnavailable):
        room.release(1)
    assert room.cold()


def test_a_server_demoted_to_a_replica_is_unavailable_until_it_is_primary_again(room, raw):
    raw.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(RoomUnavailable):
            room.admit(PACE, messages(1))
    finally:
        raw.replicaof("no", "one")

    assert list(room.admit(PACE, messages(1)).send_at_ms) == [1]


def test_without_a_server_every_method_says_so_and_the_cache_forgets():
    client = connect(settings_for(1))
    room, cache = RedisWaitingRoom(client, RoomRules()), RedisStatusCache(client)

    for refused in (room.cold, room.beat, lambda: room.release(1), lambda: room.rebuild([])):
        with pytest.raises(RoomUnavailable):
            refused()
    assert not room.wait_for_wake(0.01)
    cache.put("key", "value", timedelta(seconds=2))
    assert cache.get("key") is None


def test_the_pacer_is_woken_by_what_became_due_first(room):
    room.admit(Pace(2, 60_000), messages(1))
    with ThreadPoolExecutor(1) as threads:
        assert room.wait_for_wake(30)
        assert not room.wait_for_wake(0.01)
        woken = threads.submit(room.wait_for_wake, 30)

        room.admit(PACE, messages(1))

        assert woken.result(60)


def test_the_pacer_sleeps_on_when_something_later_is_admitted(room):
    room.admit(PACE, messages(1))
    room.wait_for_wake(0.01)

    room.admit(Pace(2, 60_000), messages(1))

    assert not room.wait_for_wake(0.2)


def test_more_than_one_batch_is_admitted_in_order(room):
    admission = room.admit(PACE, messages(2_500)[::-1])

    estimates = [admission.send_at_ms[one] for one in range(1, 2_501)]
    assert estimates == sorted(estimates)
    assert room.view([1])[0].waiting == {5: 2_500}


def test_an_idle_bucket_is_forgotten_and_a_busy_or_held_one_is_kept(room, raw):
    room.admit(PACE, [])
    assert 0 < raw.ttl("room:{0}:bucket:1") <= 601

    room.admit(PACE, messages(1))

    assert raw.ttl("room:{0}:bucket:1") == -1


def test_the_status_cache_remembers_as_long_as_it_was_told(server, raw):
    client = connect(settings_for(server.port), timeout_seconds=0.5)
    cache = RedisStatusCache(client)

    assert cache.get("sqs") is None
    cache.put("sqs", "{}", timedelta(seconds=2))

    assert cache.get("sqs") == "{}"
    assert 0 < raw.pttl("status:sqs") <= 2_000
    client.close()
