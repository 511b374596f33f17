"""What a team sees when something is wrong: each of the owner's alarms fires one above its threshold,
and not at it, on the real queues, rows and counters."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from running import eventually
from system import System

from infra.redis.worker_errors import RedisWorkerErrors

RECIPIENTS = 20


@pytest.fixture
def calm(system: System) -> Iterator[System]:
    """No dead letters and no worker errors of another test, and none left for the next."""
    settle(system)
    yield system
    settle(system)


def settle(system: System) -> None:
    with closing(system.sqs()) as queues:
        for url in queues.list_queues()["QueueUrls"]:
            if url.endswith("-dlq"):
                queues.purge_queue(QueueUrl=url)
    with closing(system.redis()) as client:
        for key in client.scan_iter("worker-errors:*"):
            client.delete(key)


def alarm(system: System, name: str, value: float, token: str | None = None) -> dict[str, Any]:
    """The alarm, once it has seen this value."""

    def seen() -> dict[str, Any] | None:
        answer = system.api("GET", "/api/monitoring/onlyfans", token=token)
        [found] = [one for one in answer.json()["alarms"] if one["name"] == name]
        return found if found["value"] == pytest.approx(value) else None

    return eventually(seen, f"{name} at {value}")


def told(found: dict[str, Any]) -> tuple[str, bool]:
    return found["severity"], found["firing"]


def test_a_hundred_waiting_are_quiet_and_one_more_is_a_warning(system: System) -> None:
    owner, email = system.owner()
    account, token = system.account(owner=owner), system.login(email)
    system.api("POST", f"/api/connections/{account.id}/pause", token=token)
    for number in range(100):
        system.send(account.fans[0], f"Waits {number}", token=token)
    assert told(alarm(system, "queue_depth", 100, token)) == ("warning", False)

    system.send(account.fans[0], "Waits as well", token=token)

    assert told(alarm(system, "queue_depth", 101, token)) == ("warning", True)


@pytest.mark.sqs
def test_ten_dead_letters_are_quiet_and_one_more_is_critical(calm: System) -> None:
    url = calm.environment["SQS_RATE_LIMITER_QUEUE_URL"] + "-dlq"
    with closing(calm.sqs()) as queues:
        for number in range(10):
            queues.send_message(QueueUrl=url, MessageBody=f"given up {number}")
        assert told(alarm(calm, "dead_letters", 10)) == ("critical", False)

        queues.send_message(QueueUrl=url, MessageBody="given up as well")

    assert told(alarm(calm, "dead_letters", 11)) == ("critical", True)


@pytest.mark.parametrize(("failures", "fires"), [(5, False), (6, True)])
def test_six_failures_of_a_hundred_are_a_warning_and_five_are_quiet(
    system: System, failures: int, *, fires: bool
) -> None:
    owner, email = system.owner()
    token = system.login(email)
    accounts = [system.account(fans=RECIPIENTS, owner=owner) for _ in range(100 // RECIPIENTS)]
    for number in range(failures):
        system.fault("refuse_422", accounts[number % len(accounts)], times=1)

    for account in accounts:
        for fan in account.fans:
            system.send(fan, "One of a hundred", token=token)

    eventually(
        lambda: system.states(*accounts) == {"sent": 100 - failures, "failed": failures},
        "a hundred sent or failed",
        lambda: system.states(*accounts),
    )
    assert told(alarm(system, "failure_rate", failures / 100, token)) == ("warning", fires)


def test_ten_worker_errors_in_a_minute_are_quiet_and_one_more_is_critical(calm: System) -> None:
    minute = datetime.now(UTC)
    with closing(calm.redis()) as client:
        errors = RedisWorkerErrors(client, now=lambda: minute)
        for _ in range(10):
            errors.note()
        assert told(alarm(calm, "worker_errors", 10)) == ("critical", False)

        errors.note()

    assert told(alarm(calm, "worker_errors", 11)) == ("critical", True)
