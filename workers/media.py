"""The staging task: a doorway that takes one dict and calls one service."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.events import MediaRequested
from domain.messages import MessageId
from infra.bus.broker import Poison
from infra.wiring import Services


def register(app: Celery, services: Services) -> None:
    """Add the media task to the queue `imports`."""

    @app.task(name="stage_media")
    def stage_media(payload: dict[str, Any]) -> None:
        """Run for MediaRequested: put a held message's files into the vault. A second run finds
        them there, or the message let go."""
        try:
            request = MediaRequested.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a MediaRequested: {problem.error_count()} bad fields") from None
        services.media.stage(MessageId(request.message_id))
