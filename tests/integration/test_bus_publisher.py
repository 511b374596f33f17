"""What leaves for SQS, byte by byte and request by request."""

import json

import pytest
from celery import Celery
from faults import FaultProxy
from prometheus_client import REGISTRY
from sqs import Sqs, released, requested, settings_for

from domain.ports import BusUnavailable
from infra.bus.broker import make_celery
from infra.bus.publisher import SqsBus

pytest_plugins = ["sqs_fixtures"]


def test_a_requested_message_is_plain_json_with_the_documented_keys(sqs: Sqs) -> None:
    event = requested(
        "Grüße \U0001f600 \uffff",
        media_urls=("https://s3.amazonaws.com/a.jpg",),
        metadata={"conversation_id": 5, "campaign_id": "c9", "priority": 2},
    )

    assert SqsBus(settings_for(sqs.url)).publish([event]) == []

    [found] = sqs.take()
    message = json.loads(found["Body"])
    assert json.loads(message["body"])[0] == [
        {
            "messageId": str(event.payload.message_id),
            "userId": "7",
            "recipientId": "u42",
            "content": "Grüße \U0001f600 \uffff",
            "mediaUrls": ["https://s3.amazonaws.com/a.jpg"],
            "metadata": {"conversationId": "5", "campaignId": "c9", "priority": 2},
            "timestamp": "2026-01-02T03:04:05Z",
            "v": 1,
        }
    ]
    assert message["headers"] == {
        "lang": "py",
        "task": "deliver_requested",
        "id": event.event_id,
        "root_id": event.event_id,
        "event": "MessageRequested",
        "event_id": event.event_id,
        "event_version": 1,
        "correlation_id": event.correlation_id,
    }
    assert found["Attributes"]["MessageGroupId"] == "3"


def test_absent_optional_keys_are_left_out(sqs: Sqs) -> None:
    SqsBus(settings_for(sqs.url)).publish([requested()])

    [found] = sqs.take()
    [payload] = json.loads(json.loads(found["Body"])["body"])[0]
    assert sorted(payload) == ["content", "messageId", "recipientId", "timestamp", "userId", "v"]


def test_a_plain_celery_application_reads_it_too(sqs: Sqs) -> None:
    event = requested()
    SqsBus(settings_for(sqs.url)).publish([event])
    app = Celery(set_as_current=False)
    options = {"predefined_queues": {"messages": {"url": sqs.queue_url("messages")}}}

    with app.connection(
        f"sqs://local:local@127.0.0.1:{sqs.port}", transport_options=options
    ) as connection:
        message = connection.default_channel.basic_get("messages")
        message.ack()

    assert message.headers["task"] == "deliver_requested"
    assert message.payload == [[event.payload.wire()], {}, {}]
    assert sqs.left() == (0, 0)


def test_25_events_are_three_requests(sqs: Sqs) -> None:
    assert SqsBus(settings_for(sqs.url)).publish([released(n) for n in range(25)]) == []

    assert sqs.requests()["SendMessageBatch"] == {
        "requests": 3, "messages": 25, "empty": 0, "failed": 0
    }  # fmt: skip


def test_a_request_stays_below_a_megabyte(sqs: Sqs) -> None:
    events = [requested("x" * 300_000) for _ in range(7)]

    assert SqsBus(settings_for(sqs.url), patient=True).publish(events) == []

    assert sqs.requests()["SendMessageBatch"]["requests"] == 3


def test_after_a_failure_sqs_is_left_alone_for_two_seconds(sqs: Sqs, proxy: FaultProxy) -> None:
    now = 0.0
    bus = SqsBus(settings_for(proxy.url), clock=lambda: now)
    proxy.answers.append(("SendMessageBatch", 503))
    events = [released(n) for n in range(25)]
    assert bus.publish(events) == events
    assert bus.publish(events) == events
    assert proxy.seen["SendMessageBatch"] == 1

    now = 2.0

    assert bus.publish(events) == []
    assert proxy.seen["SendMessageBatch"] == 4


def test_an_answer_of_somebody_else_accepts_nothing(sqs: Sqs, proxy: FaultProxy) -> None:
    bus = SqsBus(settings_for(proxy.url))
    events = [released(1), released(2)]
    proxy.answers.extend([("SendMessageBatch", 200), ("GetQueueAttributes", 200)])

    assert bus.publish(events) == events
    with pytest.raises(BusUnavailable):
        bus.depths()


def test_a_dead_connection_is_given_up(sqs: Sqs, proxy: FaultProxy) -> None:
    now = 0.0
    bus = SqsBus(settings_for(proxy.url), clock=lambda: now)
    assert bus.publish([released(1)]) == []
    proxy.freeze()

    assert len(bus.publish([released(2)])) == 1

    now = 2.0
    assert bus.publish([released(2)]) == []


def test_events_are_counted_by_result(sqs: Sqs, proxy: FaultProxy) -> None:
    def count(result: str) -> float:
        labels = {"event": "MessageReleased", "result": result}
        return REGISTRY.get_sample_value("huntaze_events_published_total", labels) or 0

    before = count("accepted"), count("refused")
    bus = SqsBus(settings_for(proxy.url))
    bus.publish([released(1)])
    proxy.answers.append(("SendMessageBatch", 403))
    bus.publish([released(2), released(3)])

    assert (count("accepted") - before[0], count("refused") - before[1]) == (1, 2)


def test_a_closing_channel_hands_back_what_nobody_settled(sqs: Sqs) -> None:
    SqsBus(settings_for(sqs.url)).publish([released(n) for n in range(13)])
    app = make_celery(settings_for(sqs.url), "messages", wait_seconds=1)
    received = []

    with app.connection_for_read() as connection:
        consumer = app.amqp.TaskConsumer(connection, on_message=received.append)
        consumer.qos(prefetch_count=12)
        consumer.consume()
        connection.drain_events(timeout=1)
        connection.drain_events(timeout=1)
        received[0].ack()
        assert sqs.left() == (1, 11)

    assert sqs.left() == (12, 0)
    assert sqs.requests()["ChangeMessageVisibilityBatch"]["requests"] == 2
