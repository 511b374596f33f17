"""The queue as outside consumers and producers meet it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from mypy_boto3_sqs import SQSClient
from running import eventually
from system import System

pytestmark = pytest.mark.sqs


@pytest.fixture
def sqs(system: System) -> Iterator[SQSClient]:
    client = system.sqs()
    yield client
    client.close()


def queue(system: System) -> str:
    return system.environment["SQS_RATE_LIMITER_QUEUE_URL"]


def look(sqs: SQSClient, url: str) -> list[str]:
    """The bodies that are visible now; they stay visible."""
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=0
    )
    return [one["Body"] for one in answer.get("Messages", [])]


def payload_of(body: str) -> list[Any]:
    """The arguments of the task in a queue message."""
    message = json.loads(body)
    arguments, named, _ = json.loads(message["body"])
    assert named == {}
    found: list[Any] = arguments
    return found


def test_a_requested_message_reads_as_plain_json_with_the_documented_keys_and_its_version(
    system: System, sqs: SQSClient
) -> None:
    account = system.account()
    metadata = {"note": "stays with the row"}

    with system.frozen("worker-messages"):
        message_id = system.send(account.fans[0], "Read me", priority=2, metadata=metadata)
        body = eventually(
            lambda: next((one for one in look(sqs, queue(system)) if message_id in one), None),
            "the message on the queue",
        )
    [argument] = payload_of(body)
    row = system.sql("SELECT * FROM messages WHERE public_id = %s", message_id)[0]

    assert argument == {
        "v": 1,
        "messageId": message_id,
        "userId": str(row["user_id"]),
        "recipientId": account.fans[0],
        "content": "Read me",
        "metadata": {"conversationId": str(row["conversation_id"]), "priority": 2},
        "timestamp": argument["timestamp"],
    }
    assert datetime.fromisoformat(argument["timestamp"]) == row["queued_at"]
    system.until(message_id, "sent")
    assert system.texts(account) == ["Read me"]


def test_the_documented_object_of_another_producer_is_stored_and_delivered_once(
    system: System, sqs: SQSClient
) -> None:
    account, message_id = system.account(), str(uuid4())
    foreign = {
        "messageId": message_id,
        "userId": "1",
        "recipientId": account.fans[0],
        "content": "From elsewhere",
        "metadata": {"priority": 3},
        "timestamp": datetime.now(UTC).isoformat(),
    }

    for _ in range(3):
        sqs.send_message(QueueUrl=queue(system), MessageBody=json.dumps(foreign))
    eventually(lambda: system.states(account) == {"sent": 1}, "the foreign message")
    later = system.send(account.fans[0], "Afterwards")
    system.until(later, "sent")

    assert system.message(message_id)["priority"] == 3
    assert system.texts(account) == ["From elsewhere", "Afterwards"]


def test_garbage_ends_in_the_dead_letter_queue_and_stores_nothing(
    system: System, sqs: SQSClient
) -> None:
    stranger = {
        "messageId": str(uuid4()),
        "userId": "1",
        "recipientId": "fan_999999999",
        "content": "To nobody",
        "timestamp": datetime.now(UTC).isoformat(),
    }
    garbage = ["not json", '{"a": 1}', "[]", json.dumps(stranger), json.dumps({"messageId": 1})]
    [before] = system.sql("SELECT count(*) AS n FROM messages WHERE direction = 'out'")

    for body in garbage:
        sqs.send_message(QueueUrl=queue(system), MessageBody=body)

    seen: set[str] = set()

    def buried() -> bool:
        seen.update(look(sqs, f"{queue(system)}-dlq"))
        return seen >= set(garbage)

    eventually(buried, "all of it to be buried", lambda: set(garbage) - seen)
    assert system.sql("SELECT count(*) AS n FROM messages WHERE direction = 'out'") == [before]
