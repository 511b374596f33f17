"""One suite for the fake and for Redis, on a clock that the test moves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from redis import Redis

from domain.ports import QuotaUnavailable, RequestQuota, Taken
from infra.redis.quota import RedisRequestQuota
from tests.fakes.quota import FakeRequestQuota

MINUTE = timedelta(minutes=1)
START = 1_800_000_000.0


@dataclass
class World:
    now: float = START
    quota: RequestQuota = field(init=False)

    def take(self, subject: str = "user:1", limit: int = 3) -> Taken:
        return self.quota.take(subject, limit, MINUTE)


@pytest.fixture
def redis(redis_endpoint: str) -> Iterator[Redis]:
    host, port = redis_endpoint.split(":")
    client = Redis(host=host, port=int(port), decode_responses=True, protocol=2)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(params=["fake", "redis"])
def world(request: pytest.FixtureRequest) -> World:
    made = World()
    if request.param == "fake":
        made.quota = FakeRequestQuota(lambda: made.now)
    else:
        client = request.getfixturevalue("redis")
        made.quota = RedisRequestQuota(client, now_ms=lambda: made.now * 1000)
    return made


def seconds(taken: Taken) -> float:
    return round(taken.reset_after.total_seconds(), 3)


def test_as_many_as_the_limit_pass_and_each_says_what_is_left(world: World) -> None:
    taken = []
    for _ in range(4):
        taken.append(world.take())
        world.now += 10

    assert [(one.allowed, one.remaining, seconds(one)) for one in taken] == [
        (True, 2, 60),
        (True, 1, 50),
        (True, 0, 40),
        (False, 0, 30),
    ]
    assert {one.limit for one in taken} == {3}


def test_the_window_moves_so_no_minute_holds_more(world: World) -> None:
    world.take()
    world.now += 59
    world.take()
    world.take()
    world.now += 2

    assert [world.take().allowed for _ in range(2)] == [True, False]


def test_a_refused_request_is_allowed_when_it_was_told_so_and_not_earlier(world: World) -> None:
    for _ in range(3):
        world.take()
        world.now += 1
    refused = world.take()

    world.now += refused.reset_after.total_seconds() - 0.01
    early = world.take()
    world.now += 0.01
    on_time = world.take()

    assert (early.allowed, on_time.allowed) == (False, True)


def test_refused_requests_cost_nothing(world: World) -> None:
    for _ in range(20):
        world.take()
    world.now += 60

    assert [world.take().allowed for _ in range(4)] == [True, True, True, False]


def test_subjects_are_counted_apart(world: World) -> None:
    for _ in range(4):
        world.take("user:1")

    assert world.take("user:2").remaining == 2


def test_two_halves_given_back_make_room_for_one_more(world: World) -> None:
    first, second, _ = world.take(), world.take(), world.take()

    world.quota.give_back(first, half=True)
    after_one = world.take()
    world.quota.give_back(first, half=True)
    world.quota.give_back(second, half=True)
    after_two = world.take()

    assert (after_one.allowed, after_two.allowed, after_two.remaining) == (False, True, 0)


def test_what_is_given_back_whole_was_never_counted(world: World) -> None:
    for _ in range(10):
        world.quota.give_back(world.take())

    assert world.take().remaining == 2


def test_giving_back_a_refused_request_changes_nothing(world: World) -> None:
    for _ in range(3):
        world.take()
    world.quota.give_back(world.take())

    assert not world.take().allowed


def test_a_lowered_limit_holds_at_once(world: World) -> None:
    for _ in range(3):
        world.take(limit=3)
        world.now += 1

    lowered = world.take(limit=1)

    assert (lowered.allowed, lowered.remaining, seconds(lowered)) == (False, 0, 59)


def test_of_many_at_once_exactly_the_limit_passes(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: world.take(limit=25), range(60)))

    assert sum(one.allowed for one in taken) == 25


def test_the_log_of_redis_ends_by_itself(redis: Redis) -> None:
    RedisRequestQuota(redis).take("user:1", 3, MINUTE)

    assert 0 < redis.pttl("quota:user:1") <= 60_000


def test_without_a_given_clock_the_time_is_that_of_redis(redis: Redis) -> None:
    RedisRequestQuota(redis).take("user:1", 3, MINUTE)
    at, micros = redis.time()

    [(_, scored), _] = redis.zrange("quota:user:1", 0, -1, withscores=True)

    assert abs(scored - (at * 1000 + micros / 1000)) < 60_000


def test_while_redis_is_away_it_says_so_and_asks_again_only_after_a_rest() -> None:
    calls, now = [], 100.0

    class Away(Redis):
        def execute_command(self, *arguments: object, **options: object) -> object:
            calls.append(arguments)
            return super().execute_command(*arguments, **options)

    quota = RedisRequestQuota(Away(port=1), monotonic=lambda: now)
    for _ in range(5):
        with pytest.raises(QuotaUnavailable):
            quota.take("user:1", 3, MINUTE)
    assert len(calls) == 1
    now += 2.1

    with pytest.raises(QuotaUnavailable):
        quota.take("user:1", 3, MINUTE)

    assert len(calls) == 2
