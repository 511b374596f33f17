"""Reading what anybody may have put on a queue."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqs import released, requested

from infra.bus.envelope import Call, NotUnderstood, TooLarge, decode, encode
from infra.bus.routing import route_of

TASKS = frozenset({"deliver_requested", "deliver_released"})


def celery_message(arguments: Any, **headers: Any) -> str:
    headers = {"task": "deliver_released", "id": "t1", **headers}
    return json.dumps({"headers": headers, "body": json.dumps(arguments), "properties": {}})


def test_what_is_encoded_is_decoded() -> None:
    event = requested("Gr\u00fc\u00dfe")

    call = decode(encode(event, route_of(event.payload)), TASKS)

    assert call == Call(
        "deliver_requested", event.payload.wire(), event.event_id, event.correlation_id
    )


def test_an_event_without_a_correlation_begins_one() -> None:
    event = released(1)

    call = decode(encode(event, route_of(event.payload)), TASKS)

    assert call.correlation_id == event.event_id


def test_an_event_beyond_what_sqs_takes_is_not_encoded() -> None:
    event = requested("x" * 1_048_000)

    with pytest.raises(TooLarge):
        encode(event, route_of(event.payload))


def test_of_a_stranger_only_the_task_its_argument_two_ids_and_a_trace_are_taken() -> None:
    embed = {"callbacks": [{"task": "x"}], "chain": [{"task": "y"}]}
    body = celery_message(
        [[{"a": {"__type__": "uuid", "__value__": "?"}}], {}, embed],
        correlation_id="c1",
        eta="2999-01-01",
        expires="1999-01-01",
        reply_to="elsewhere",
    )

    assert decode(body, TASKS) == Call(
        "deliver_released", {"a": {"__type__": "uuid", "__value__": "?"}}, "t1", "c1"
    )


def test_a_trace_travels_and_without_one_nothing_is_written() -> None:
    event, trace = requested(), f"00-{'a' * 32}-{'b' * 16}-03"
    route = route_of(event.payload)

    assert decode(encode(replace(event, traceparent=trace), route), TASKS).traceparent == trace
    assert "traceparent" not in json.loads(encode(event, route))["headers"]


@pytest.mark.parametrize("strange", [None, 7, "x", f"00-{'0' * 32}-{'b' * 16}-01", {"a": 1}])
def test_what_is_no_trace_is_none(strange: object) -> None:
    assert decode(celery_message([[{}], {}, {}], traceparent=strange), TASKS).traceparent == ""


@pytest.mark.parametrize("strange", [None, 7, "", "x" * 129, ["t1"]])
def test_ids_that_are_none_are_made_up(strange: object) -> None:
    call = decode(celery_message([[{}], {}, {}], id=strange, correlation_id=strange), TASKS)

    assert len(call.task_id) == 32
    assert call.correlation_id == call.task_id


@pytest.mark.parametrize(
    "arguments",
    [[], {}, "text", None, [[], {}], [[1], {}], [[{}, {}], {}], [[{}], {"named": 1}], [[{}]]],
)
def test_anything_but_one_object_as_argument_is_not_understood(arguments: object) -> None:
    with pytest.raises(NotUnderstood, match="exactly one"):
        decode(celery_message(arguments), TASKS)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\ufeff{}",
        "NaN",
        "null",
        "[]",
        "{}",
        "9" * 5_000,
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"messageId": "m1"}',
        '{"headers": 1, "body": "[]"}',
        '{"headers": {}, "body": "[]"}',
        '{"headers": {"task": ["deliver_released"]}, "body": "[[{}],{}]"}',
        '{"headers": {"task": "deliver_released"}, "body": [[{}], {}]}',
        '{"headers": {"task": "deliver_released"}, "body": "gAR9lC4="}',
        '{"headers": {"task": "celery.chord"}, "body": "[[{}],{},{}]"}',
    ],
)
def test_garbage_is_not_understood(body: str) -> None:
    with pytest.raises(NotUnderstood):
        decode(body, TASKS)


def test_a_bare_object_is_only_for_the_queue_that_carries_its_task() -> None:
    bare = json.dumps(requested().payload.wire())

    assert decode(bare, TASKS).task == "deliver_requested"
    with pytest.raises(NotUnderstood):
        decode(bare, frozenset())
