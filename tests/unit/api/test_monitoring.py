"""Everything at a glance, alarms, and what load balancers ask."""

from datetime import timedelta

from domain.alarms import RULES
from domain.messages import Outcome, State
from domain.repositories import Result
from tests.unit.api.conftest import World


def test_monitoring_answers_in_the_documented_shape(world: World) -> None:
    body = world.get("/api/monitoring/onlyfans").get_json()

    assert body == {
        "status": "ok",
        "asOf": "2026-11-23T12:00:00.000Z",
        "build": "dev",
        "dependencies": [
            {"name": name, "ok": True, "latencyMs": 0.0} for name in ("postgres", "redis", "sqs")
        ],
        "queues": [
            {"name": name, "depth": 0, "inFlight": 0, "oldestAgeSec": None, "dlqCount": 0}
            for name in ("messages", "campaigns", "imports", "inbound", "metrics")
        ],
        "limiter": [
            {
                "connectionId": world.connection,
                "nextFreeAt": "2026-11-23T12:00:00.000Z",
                "intervalMs": 6030.0,
                "reason": "default rate",
                "waiting": 0,
            }
        ],
        "alarms": [
            {
                "name": rule.name,
                "severity": rule.severity.value,
                "firing": False,
                "value": None if rule.name == "failure_rate" else 0.0,
                "threshold": float(rule.threshold),
                "why": rule.why,
            }
            for rule in RULES
        ],
    }


def alarms(world: World) -> dict[str, dict[str, object]]:
    body = world.get("/api/monitoring/onlyfans").get_json()
    return {one["name"]: one for one in body["alarms"]}


def test_the_depth_alarm_fires_above_a_hundred(world: World) -> None:
    for _ in range(100):
        world.send()
    assert not alarms(world)["queue_depth"]["firing"]

    world.send()

    assert (alarms(world)["queue_depth"]["firing"], alarms(world)["queue_depth"]["value"]) == (
        True,
        101.0,
    )


def test_the_failure_alarm_needs_twenty_sends_and_looks_back_a_quarter_of_an_hour(
    world: World,
) -> None:
    for number in range(20):
        world.send()
        message = world.data.messages()[-1]
        with world.data.open() as work:
            claim = work.messages.claim(message.id, timedelta(seconds=60))
            now = world.data.now()
            state = State.FAILED if number < 2 else State.SENT
            work.messages.record(
                claim,
                Result(Outcome.SENT, started_at=now, platform_message_id=str(number)),
                state,
                failures=0,
                key_no=0,
                delay=None,
                wake_in=None,
            )
            work.commit()
        if number == 18:
            assert not alarms(world)["failure_rate"]["firing"]
    found = alarms(world)["failure_rate"]
    assert (found["firing"], found["value"]) == (True, 0.1)

    world.let_time_pass(15 * 60 + 1)

    assert (alarms(world)["failure_rate"]["firing"]) is False


def test_dead_letters_are_counted_from_rows_while_sqs_is_away(world: World) -> None:
    world.send()
    with world.data.open() as work:
        work.messages.dead_letter(world.sent().public_id)
        work.commit()
    world.bus.away = True

    found = alarms(world)["dead_letters"]

    assert (found["value"], found["firing"]) == (1.0, False)
    assert found["why"].endswith("; counted from rows while SQS does not answer")


def test_monitoring_answers_whatever_is_away(world: World) -> None:
    world.get("/api/monitoring/onlyfans")
    world.away.update({"postgres", "redis", "sqs"})
    world.bus.away = world.room.unavailable = True
    world.let_time_pass(10)

    answer = world.get("/api/monitoring/onlyfans")

    body = answer.get_json()
    assert (answer.status_code, body["status"]) == (200, "down")
    assert [one["ok"] for one in body["dependencies"]] == [False, False, False]
    assert (body["queues"], body["limiter"]) == ([], [])


def test_health_answers_without_asking_anybody(world: World) -> None:
    world.away.update({"postgres", "redis", "sqs"})

    answer = world.client.get("/health")

    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "build": "dev"})


def test_ready_names_what_does_not_answer(world: World) -> None:
    good = world.client.get("/ready")
    world.away.add("redis")
    world.let_time_pass(10)
    bad = world.client.get("/ready")

    assert (good.status_code, good.get_json()["status"]) == (200, "ready")
    assert (bad.status_code, bad.get_json()["status"]) == (503, "not_ready")
    assert {one["name"]: one["ok"] for one in bad.get_json()["dependencies"]} == {
        "postgres": True,
        "redis": False,
        "sqs": True,
    }
