"""What a message on SQS looks like: Celery's protocol 2 in plain JSON, no base64.

Reading trusts nobody. Of a message only the task's name, its one argument, two ids and the trace it
belongs to are taken, so that no `eta`, callback or tagged value of a stranger ever reaches Celery.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from domain.events import Event, MessageRequested
from infra.bus.routing import BY_EVENT, Route
from infra.tracing import known_traceparent

# What SQS takes, 1 MiB, less a group id.
LARGEST_BYTES = 1_048_000
# Longer ids are not ours: they would only swell logs.
LONGEST_ID = 128
# The task that a bare documented object, sent by somebody who knows no Celery, is meant for.
BARE_TASK = BY_EVENT[MessageRequested].task


class NotUnderstood(Exception):
    """A message that can never become a task. The text says why and quotes nothing of it."""


class TooLarge(ValueError):
    """SQS would never take this event."""


@dataclass(frozen=True)
class Call:
    """A task to run, as read from a queue."""

    task: str
    payload: dict[str, Any]
    task_id: str
    correlation_id: str
    traceparent: str = ""


def encode(event: Event, route: Route) -> str:
    """The SQS body of an event; raises TooLarge, or another ValueError for what is no JSON."""
    arguments = [[event.payload.wire()], {}, {}]
    message = {
        "body": json.dumps(arguments),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {
            "lang": "py",
            "task": route.task,
            "id": event.event_id,
            "root_id": event.event_id,
            "event": event.name,
            "event_id": event.event_id,
            "event_version": event.payload.v,
            "correlation_id": event.correlation_id or event.event_id,
            **({"traceparent": event.traceparent} if event.traceparent else {}),
        },
        "properties": {
            "body_encoding": "utf-8",
            "correlation_id": event.event_id,
            "delivery_tag": event.event_id,
            "delivery_info": {"exchange": "", "routing_key": route.queue},
            "MessageGroupId": event.group,
        },
    }
    # ASCII, since SQS refuses a message holding characters such as U+FFFF.
    text = json.dumps(message, separators=(",", ":"))
    if len(text) > LARGEST_BYTES:
        raise TooLarge(f"{len(text)} bytes")
    return text


def decode(body: str, tasks: AbstractSet[str]) -> Call:
    """The task call in a message body, for one of `tasks`; raises NotUnderstood."""
    message = parsed(body)
    if not isinstance(message, dict):
        raise NotUnderstood("not a JSON object")
    if "headers" in message or "body" in message:
        return celery_call(message, tasks)
    if BARE_TASK in tasks and "messageId" in message and "recipientId" in message:
        new = uuid4().hex
        return Call(BARE_TASK, message, task_id=new, correlation_id=new)
    raise NotUnderstood("neither a task nor a documented object")


def celery_call(message: Mapping[str, Any], tasks: AbstractSet[str]) -> Call:
    headers, body = message.get("headers"), message.get("body")
    if not isinstance(headers, dict) or not isinstance(body, str):
        raise NotUnderstood("no headers or no text body")
    task = headers.get("task")
    if not isinstance(task, str) or task not in tasks:
        raise NotUnderstood("no task of this queue")
    match parsed(body):
        case [[dict(payload)], {**named}, *_] if not named:
            task_id = readable_id(headers.get("id")) or uuid4().hex
            correlation_id = readable_id(headers.get("correlation_id")) or task_id
            traceparent = known_traceparent(headers.get("traceparent"))
            return Call(task, payload, task_id, correlation_id, traceparent)
    raise NotUnderstood("not exactly one JSON object as argument")


def parsed(text: str) -> Any:
    """JSON as the standard has it: no NaN, and no depth that ends the process."""
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise NotUnderstood("not JSON") from None


def refuse_constant(name: str) -> None:
    raise ValueError(name)


def readable_id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_ID else None


def group_of(body: str) -> str | None:
    """The group that `encode` wrote into a body: what keeps a busy connection fair. None for
    another producer's."""
    try:
        group = parsed(body)["properties"]["MessageGroupId"]
    except (NotUnderstood, LookupError, TypeError):
        return None
    return readable_id(group)
