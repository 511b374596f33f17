"""Messages as earlier releases wrote them: what waits in a queue during a deployment is understood.

The file only grows. Whoever changes an event records a message of the new form and keeps the old."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.events import Event
from infra.bus.envelope import decode
from infra.bus.routing import ROUTES, tasks_on

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "envelopes.json").read_text()
)
EVENTS = {event.__name__: event for event in Event.EVENTS}


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one['recorded']}-{one['event']}")
def test_what_an_earlier_release_published_is_understood(one: dict[str, Any]) -> None:
    call = decode(one["body"], tasks_on(one["queue"]))
    payload = EVENTS[one["event"]].model_validate(call.payload)
    assert payload.wire() == call.payload
    assert (len(call.task_id), call.correlation_id) == (32, "c" * 32)


def test_every_route_has_a_recording() -> None:
    assert {(one["event"], one["queue"]) for one in RECORDED} == {
        (route.event.__name__, route.queue) for route in ROUTES
    }
