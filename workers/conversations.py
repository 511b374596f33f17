"""The task that tells the platform what was read here."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.conversations import ConversationId
from domain.events import ConversationRead
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off


def register(app: Celery, services: Services) -> None:
    """Add the task to the queue `inbound`."""

    @app.task(name="tell_read")
    def tell_read(payload: dict[str, Any]) -> None:
        """Run for ConversationRead: tell the platform. A second run finds nothing to tell."""
        try:
            read = ConversationRead.model_validate(payload)
        except ValidationError:
            raise Poison("not a ConversationRead event") from None
        if not rest_if_off(services):
            services.read_marks.tell(ConversationId(read.conversation_id))
