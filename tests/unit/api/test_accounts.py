"""Fans, connected accounts and their pace."""

from datetime import timedelta

import pytest

from domain.connections import ConnectionState
from tests.unit.api.conftest import World


def test_fans_are_listed_in_the_documented_shape(world: World) -> None:
    body = world.get("/api/crm/fans").get_json()

    assert (body["total"], body["nextCursor"]) == (2, None)
    assert [one["id"] for one in body["fans"]] == [world.unlinked, world.fan]
    assert body["fans"][1] == {
        "id": world.fan,
        "userId": world.owner,
        "name": "John Doe",
        "platform": "onlyfans",
        "handle": f"@{world.fan}",
        "email": None,
        "avatar": None,
        "tags": [],
        "valueCents": 0,
        "lastSeenAt": None,
        "notes": None,
        "createdAt": "2026-11-23T12:00:00.000Z",
        "updatedAt": "2026-11-23T12:00:00.000Z",
        "version": 1,
        "tier": None,
        "subscription": None,
        "subscriptionEndsAt": None,
        "subscriptionTier": None,
        "connectionId": world.connection,
        "platformUserId": "501",
        "linked": True,
        "recipientId": f"fan_{world.fan}",
        "deletedAt": None,
    }
    assert body["fans"][0]["linked"] is False


def test_pages_of_fans_follow_each_other(world: World) -> None:
    first = world.get("/api/crm/fans?limit=1").get_json()
    second = world.get(f"/api/crm/fans?limit=1&cursor={first['nextCursor']}").get_json()

    assert [one["id"] for one in first["fans"] + second["fans"]] == [world.unlinked, world.fan]
    assert second["nextCursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("cursor=%00", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("page=2", "page"),
    ],
)
def test_a_bad_query_is_named(world: World, query: str, field: str) -> None:
    answer = world.get(f"/api/crm/fans?{query}")

    assert answer.status_code == 422
    assert [one["field"] for one in answer.get_json()["details"]] == [field]


def test_connections_are_listed(world: World) -> None:
    assert world.get("/api/connections").get_json() == {
        "connections": [
            {
                "connectionId": world.connection,
                "platform": "onlyfans",
                "name": "Luna",
                "accountId": "acct_luna",
                "state": "active",
                "stateReason": None,
                "ratePerMinute": None,
                "burst": None,
                "createdAt": "2026-11-23T12:00:00.000Z",
                "username": None,
                "campaignLimits": {
                    "perHour": None,
                    "perDay": None,
                    "perFanPerDay": None,
                    "hours": None,
                    "warmUpSince": None,
                    "heldUntil": None,
                    "heldReason": None,
                },
            }
        ]
    }


def test_a_connection_is_paused_and_resumed(world: World) -> None:
    paused = world.post(f"/api/connections/{world.connection}/pause")
    limited = world.get("/api/onlyfans/limiter").get_json()["connections"][0]
    resumed = world.post(f"/api/connections/{world.connection}/resume")

    assert (paused.status_code, paused.get_json()["state"]) == (200, "paused")
    assert (limited["reason"], limited["nextFreeAt"]) == ("paused: paused by hand", None)
    assert (resumed.status_code, resumed.get_json()["state"]) == (200, "active")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_foreign_or_impossible_connection_is_404(world: World, verb: str) -> None:
    foreign = world.client.post(
        f"/api/connections/{world.connection}/{verb}", headers=world.bearer(world.stranger)
    )

    assert foreign.status_code == 404
    for missing in ("999999", "x", "-1", "9" * 19, "9" * 5000):
        assert world.post(f"/api/connections/{missing}/{verb}").status_code == 404


def test_a_role_that_only_looks_may_not_pause(analyst: World) -> None:
    answer = analyst.post(f"/api/connections/{analyst.connection}/pause")

    assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")


def test_the_limiter_answers_in_the_documented_shape(world: World) -> None:
    assert world.get("/api/onlyfans/limiter").get_json() == {
        "asOf": "2026-11-23T12:00:00.000Z",
        "enabled": True,
        "connections": [
            {
                "connectionId": world.connection,
                "name": "Luna",
                "accountId": "acct_luna",
                "state": "active",
                "stateReason": None,
                "nextFreeAt": "2026-11-23T12:00:00.000Z",
                "intervalMs": 6030.0,
                "reason": "default rate",
                "waiting": 0,
                "waitingByPriority": {},
                "inFlight": 0,
                "permitsOut": 0,
                "slowdown": 0,
                "blockedUntil": None,
                "ratePerMinute": 10.0,
                "burst": 1,
            }
        ],
    }


# What the rows remember while Redis is away.
LEARNED = [
    ({"rate_per_minute": 20.0}, "own rate", 3015.0),
    ({"slowdown": 1}, "slowed down by the platform", 12_060.0),
    ({"slowdown": 9}, "slowed down by the platform", 60_000.0),
    (
        {"state": ConnectionState.PAUSED_AUTH, "state_reason": None},
        "paused: the platform no longer accepts its login",
        6030.0,
    ),
]


@pytest.mark.parametrize(("changes", "reason", "interval_ms"), LEARNED)
def test_the_limiter_explains_itself_without_redis(
    world: World, changes: dict[str, object], reason: str, interval_ms: float
) -> None:
    world.room.unavailable = True
    world.data.change_connection(world.connection, **changes)

    [line] = world.get("/api/onlyfans/limiter").get_json()["connections"]

    assert (line["reason"], line["intervalMs"]) == (reason, pytest.approx(interval_ms))
    assert (line["waiting"], line["nextFreeAt"], line["inFlight"]) == (None, None, None)


def test_an_open_breaker_says_until_when(world: World) -> None:
    world.room.unavailable = True
    until = world.data.now() + timedelta(seconds=15)
    world.data.change_connection(world.connection, failures=5, blocked_until=until)

    [line] = world.get("/api/onlyfans/limiter").get_json()["connections"]

    assert line["reason"] == "breaker: 5 troubled calls in a row, next try at 12:00:15 UTC"
    assert line["blockedUntil"] == "2026-11-23T12:00:15.000Z"
