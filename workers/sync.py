"""The synchronisation task: a doorway that takes one dict and calls one service."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.connections import ConnectionId
from domain.events import SyncDue
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off


def register(app: Celery, services: Services) -> None:
    """Add the synchronisation to the queue `inbound`."""

    @app.task(name="sync_connection")
    def sync_connection(payload: dict[str, Any]) -> None:
        """Run for SyncDue: read what the platform lists, as far as one run may go. A second run
        finds nothing due, or the lease taken, and ends."""
        try:
            due = SyncDue.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a SyncDue: {problem.error_count()} bad fields") from None
        if not rest_if_off(services):  # else it stays due
            services.sync.run(ConnectionId(due.connection_id))
