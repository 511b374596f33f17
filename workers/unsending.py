"""The task that takes a sent message back."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.events import UnsendRequested
from domain.messages import MessageId
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off


def register(app: Celery, services: Services) -> None:
    """Add the task to the queue `messages`."""

    @app.task(name="unsend_message")
    def unsend_message(payload: dict[str, Any]) -> None:
        """Run for UnsendRequested: take the message back. A second run finds nothing to do."""
        try:
            asked = UnsendRequested.model_validate(payload)
        except ValidationError:
            raise Poison("not an UnsendRequested event") from None
        if not rest_if_off(services):
            services.unsending.unsend(MessageId(asked.message_id))
