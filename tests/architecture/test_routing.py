"""Every event has a way to a task, and every queue somebody who works on it."""

import re
from collections import Counter
from pathlib import Path

import pytest
from sqs import settings_for

from domain.events import Event, Probed
from infra.bus.envelope import BARE_TASK
from infra.bus.routing import ROUTES, tasks_on
from infra.settings import QUEUES
from infra.wiring import build as build_services
from workers.app import build

ROOT = Path(__file__).parents[2]


def test_every_event_has_exactly_one_route_and_the_probe_one_for_each_queue() -> None:
    routes = Counter(route.event for route in ROUTES)

    assert routes.pop(Probed) == len(QUEUES)
    assert routes == Counter(set(Event.EVENTS) - {Probed})


def test_every_event_has_a_task_of_its_own() -> None:
    tasks = {(route.event, route.task) for route in ROUTES}

    assert max(Counter(task for _, task in tasks).values()) == 1


def test_every_route_leads_to_a_queue() -> None:
    assert {route.queue for route in ROUTES} <= set(QUEUES)


def test_every_queue_has_its_worker_in_the_procfile() -> None:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    workers = [re.fullmatch(r"worker-(\w+): python -m workers\.app (\w+)", one) for one in lines]

    assert [(one[1], one[2]) for one in workers if one] == [(queue, queue) for queue in QUEUES]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_has_exactly_the_tasks_that_its_queue_carries(queue: str) -> None:
    settings = settings_for("http://127.0.0.1:1")
    services = build_services(settings)
    try:
        app = build(queue, settings, services)
    finally:
        services.close()

    app.finalize()
    assert {name for name in app.tasks if not name.startswith("celery.")} == tasks_on(queue)


def test_the_bare_documented_object_has_a_task() -> None:
    assert BARE_TASK == "deliver_requested"
