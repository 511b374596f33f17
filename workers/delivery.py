"""The delivery tasks: doorways that take one dict, call one service, and map the outcome."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import Celery
from pydantic import ValidationError

from domain.errors import DomainError, Unavailable
from domain.events import MediaRequested, MessageReleased, MessageRequested
from domain.messages import MessageId
from infra.bus.broker import Poison
from infra.wiring import Services

# The tasks that one message waits for, with the events that say which.
OF_MESSAGES: dict[str, type[MessageRequested | MessageReleased | MediaRequested]] = {
    "deliver_requested": MessageRequested,
    "deliver_released": MessageReleased,
    "stage_media": MediaRequested,
}


def last_failure(services: Services) -> Callable[[str, dict[str, Any], str], None]:
    """What to do when a task fails for the last time, before its message becomes a dead letter:
    the row remembers it, so that the sender's status counts it. Healing still sends the row."""

    def remember(task: str, payload: dict[str, Any], reason: str) -> None:
        if task not in OF_MESSAGES:
            return
        with contextlib.suppress(ValidationError):
            about = OF_MESSAGES[task].model_validate(payload).message_id
            with services.open_unit_of_work() as work:
                work.messages.dead_letter(
                    about if isinstance(about, UUID) else MessageId(about), reason
                )
                work.commit()

    return remember


def register(app: Celery, services: Services) -> None:
    """Add the tasks of the queue `messages`."""

    @app.task(name="deliver_requested")
    def deliver_requested(payload: dict[str, Any]) -> None:
        """Run for MessageRequested: admit, and deliver what may go at once. A second run finds
        nothing left to admit."""
        try:
            request = MessageRequested.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a MessageRequested: {problem.error_count()} bad fields") from None
        try:
            services.delivery.requested(request, datetime.now(UTC))
        except Unavailable:
            raise  # back to the queue
        except DomainError as problem:
            raise Poison(f"{problem.code}: {problem.message}") from None

    @app.task(name="deliver_released")
    def deliver_released(payload: dict[str, Any]) -> None:
        """Run for MessageReleased: deliver one message under its permit. A second run finds the row
        claimed, or the permit stale, and ends."""
        try:
            released = MessageReleased.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a MessageReleased: {problem.error_count()} bad fields") from None
        services.delivery.deliver(released.permit())
