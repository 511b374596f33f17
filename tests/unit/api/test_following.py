"""Following messages and changing one's mind."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain.messages import Hold, Outcome, State
from domain.repositories import Result
from tests.unit.api.conftest import World

MESSAGES = "/api/onlyfans/messages"


def claimed(world: World):
    with world.data.open() as work:
        claim = work.messages.claim(world.sent().id, timedelta(seconds=60))
        work.commit()
    return claim


def called(world: World, outcome: Outcome, state: State, **facts: object) -> None:
    """Let a worker call the platform for the one stored message."""
    claim, now = claimed(world), world.data.now()
    result = Result(
        outcome,
        slot_at=now,
        started_at=now,
        finished_at=now + timedelta(seconds=1),
        http_status=200,
        **facts,
    )
    with world.data.open() as work:
        work.messages.record(claim, result, state, failures=0, key_no=0, delay=None, wake_in=None)
        work.commit()


def test_a_waiting_message_says_why_it_waits_and_its_place(world: World) -> None:
    for _ in range(2):
        world.send()
    message = world.data.messages()[1]
    with world.data.open() as work:
        waiting = work.queue.admissible(world.connection, message.id, 10)
        work.queue.admitted(
            {one.message_id: message.promised_at for one in waiting}, timedelta(seconds=60)
        )
        work.commit()
    connection = world.data.open().connections.by_id(world.connection)
    world.room.admit(rules_of(world).pace(connection), waiting)

    body = world.get(f"{MESSAGES}/{message.public_id}").get_json()

    assert body == {
        "messageId": str(message.public_id),
        "id": message.id,
        "status": "queued",
        "recipientId": f"fan_{world.fan}",
        "content": "Hello 👋",
        "priceCents": None,
        "mediaUrls": [],
        "metadata": {},
        "priority": 5,
        "queuedAt": "2026-11-23T12:00:00.000Z",
        "promisedSendTime": "2026-11-23T12:00:06.030Z",
        "estimatedSendTime": "2026-11-23T12:00:06.030Z",
        "sentAt": None,
        "delay": None,
        "wait": {
            "reason": "turn",
            "text": "next free slot after 1 message",
            "until": "2026-11-23T12:00:06.030Z",
            "ahead": 1,
        },
        "place": 2,
        "notice": {
            "text": "Queued, will be sent shortly",
            "reason": "next free slot after 1 message",
            "remedy": "nothing to do",
        },
        "attempts": [],
        "platformMessageId": None,
        "errorCode": None,
    }


def rules_of(world: World):
    return world.client.application.extensions["huntaze"][0].connections._rules


def test_the_evidence_holds_every_call(world: World) -> None:
    world.send()
    called(world, Outcome.SENT, State.SENT, platform_message_id="9900")
    message_id = str(world.sent().public_id)

    body = world.get(f"{MESSAGES}/{message_id}/evidence").get_json()

    assert body == {
        "messageId": message_id,
        "status": "sent",
        "promisedSendTime": "2026-11-23T12:00:00.000Z",
        "sentAt": "2026-11-23T12:00:00.000Z",
        "attempts": [
            {
                "attemptNo": 1,
                "sendKey": message_id,
                "claimedAt": "2026-11-23T12:00:00.000Z",
                "slotAt": "2026-11-23T12:00:00.000Z",
                "startedAt": "2026-11-23T12:00:00.000Z",
                "finishedAt": "2026-11-23T12:00:01.000Z",
                "outcome": "sent",
                "httpStatus": 200,
                "errorCode": None,
                "detail": None,
                "platformMessageId": "9900",
            }
        ],
    }


def test_a_failed_message_carries_its_notice(world: World) -> None:
    world.send()
    called(
        world, Outcome.REFUSED, State.FAILED, error_code="VALIDATION_ERROR", detail="banned word"
    )

    body = world.get(f"{MESSAGES}/{world.sent().public_id}").get_json()

    assert (body["status"], body["errorCode"], body["wait"]) == (
        "failed",
        "VALIDATION_ERROR",
        None,
    )
    assert body["notice"] == {
        "text": "Message failed to send",
        "reason": "the platform refused the message (banned word)",
        "remedy": "change what it names, or check that this fan can receive messages, then retry",
    }


def test_status_answers_in_the_documented_shape(world: World) -> None:
    world.send()
    called(world, Outcome.SENT, State.SENT, platform_message_id="9900")
    world.send()

    body = world.get(f"{MESSAGES}/status").get_json()

    assert body == {
        "queueDepth": 1,
        "messagesInFlight": 0,
        "dlqCount": 0,
        "lastProcessedAt": "2026-11-23T12:00:00.000Z",
        "metrics": {
            "messagesQueuedToday": 2,
            "messagesProcessedToday": 1,
            "failureRate": 0.0,
        },
        "asOf": "2026-11-23T12:00:00.000Z",
        "enabled": True,
        "reason": None,
        "unknown": 0,
        "timeZone": "UTC",
        "sqs": {"depth": 2, "inFlight": 0, "deadLetters": 0},
        "stale": False,
    }


def test_status_says_when_sending_is_off_or_sqs_is_away(make_world) -> None:
    world = make_world(rate_limiter_enabled=False)
    world.bus.away = True

    body = world.get(f"{MESSAGES}/status").get_json()

    assert (body["enabled"], body["reason"]) == (False, "disabled")
    assert (body["stale"], body["sqs"]) == (True, None)
    assert body["metrics"]["failureRate"] is None


def test_a_queued_message_is_cancelled_once(world: World) -> None:
    message_id = world.send().get_json()["messageId"]

    first = world.post(f"{MESSAGES}/{message_id}/cancel")
    second = world.post(f"{MESSAGES}/{message_id}/cancel")

    assert (first.status_code, first.get_json()) == (
        200,
        {
            "messageId": message_id,
            "status": "cancelled",
            "queuedAt": "2026-11-23T12:00:00.000Z",
            "estimatedSendTime": None,
        },
    )
    assert (second.status_code, second.get_json()["code"]) == (409, "not_queued")


def test_a_repeated_cancel_with_its_key_brings_back_the_first_answer(world: World) -> None:
    message_id = world.send().get_json()["messageId"]
    key = {"Idempotency-Key": "cancel-1"}
    first = world.post(f"{MESSAGES}/{message_id}/cancel", headers=key)

    second = world.post(f"{MESSAGES}/{message_id}/cancel", headers=key)

    assert (second.status_code, second.get_json()) == (200, first.get_json())
    assert second.headers["Idempotent-Replayed"] == "true"


def test_a_failed_message_is_retried(world: World) -> None:
    world.send()
    called(world, Outcome.REFUSED, State.FAILED)

    answer = world.post(f"{MESSAGES}/{world.sent().public_id}/retry")

    assert (answer.status_code, answer.get_json()["status"]) == (200, "queued")
    assert world.sent().state is State.QUEUED


def test_a_person_settles_an_unknown_message_as_sent(world: World) -> None:
    world.send()
    called(world, Outcome.UNCLEAR, State.UNKNOWN)

    answer = world.post(f"{MESSAGES}/{world.sent().public_id}/confirm")

    assert (answer.status_code, answer.get_json()["status"]) == (200, "sent")
    assert world.sent().state is State.SENT


@pytest.mark.parametrize(("verb", "code"), [("retry", "not_failed"), ("confirm", "not_unknown")])
def test_a_queued_message_is_neither_retried_nor_confirmed(
    world: World, verb: str, code: str
) -> None:
    world.send()

    answer = world.post(f"{MESSAGES}/{world.sent().public_id}/{verb}")

    assert (answer.status_code, answer.get_json()["code"]) == (409, code)
    assert world.sent().state is State.QUEUED


ONE_MESSAGE = [
    ("GET", ""),
    ("GET", "/evidence"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("POST", "/confirm"),
]


@pytest.mark.parametrize(("method", "ending"), ONE_MESSAGE)
def test_foreign_missing_and_malformed_ids_look_the_same(
    world: World, method: str, ending: str
) -> None:
    world.send()
    foreign = world.client.open(
        f"{MESSAGES}/{world.sent().public_id}{ending}",
        method=method,
        headers=world.bearer(world.stranger),
    )

    assert (foreign.status_code, foreign.get_json()["code"]) == (404, "not_found")
    for missing in (uuid4(), "42", "..%2f", "x" * 300):
        answer = world.client.open(
            f"{MESSAGES}/{missing}{ending}", method=method, headers=world.bearer()
        )
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
    assert world.sent().state is State.QUEUED


def test_a_held_message_says_what_it_waits_for(world: World) -> None:
    answer = world.send(mediaUrls=["https://s3.amazonaws.com/a.png"], priceCents=500)

    assert answer.get_json()["estimatedSendTime"] is None
    body = world.get(answer.get_json()["statusUrl"]).get_json()
    assert world.sent().hold is Hold.MEDIA
    assert (body["wait"]["reason"], body["mediaUrls"]) == (
        "media",
        ["https://s3.amazonaws.com/a.png"],
    )
