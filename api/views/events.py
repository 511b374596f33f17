"""Stored webhooks as response bodies."""

from api.schemas import events as schemas
from domain.repositories import PlatformEvent


def event(one: PlatformEvent) -> schemas.EventView:
    return schemas.EventView(
        id=one.id,
        event=one.event,
        connection_id=one.connection_id,
        received_at=one.received_at,
        handled_at=one.handled_at,
        outcome=one.outcome,
        tries=one.wake_tries,
        replayable=bool(one.body),
    )
