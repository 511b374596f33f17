"""The inbound task: makes rows of a stored webhook."""

from datetime import UTC, datetime
from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.events import PlatformEventReceived
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off


def register(app: Celery, services: Services) -> None:
    """Add the tasks of the queue `inbound`."""

    @app.task(name="handle_platform_event")
    def handle_platform_event(payload: dict[str, Any]) -> None:
        """Run for PlatformEventReceived. A second run finds the event handled and ends; while the
        product is off it stays as it is, and its wake-up announces it again afterwards."""
        try:
            received = PlatformEventReceived.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a PlatformEventReceived: {problem.error_count()} fields") from None
        if not rest_if_off(services):
            services.inbound.handle(received.event_id, datetime.now(UTC))
