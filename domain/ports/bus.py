"""What the domain needs of SQS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.events import Event


@dataclass(frozen=True)
class QueueDepth:
    """A queue as SQS counts it (approximately)."""

    name: str
    depth: int
    in_flight: int
    oldest_age_seconds: int | None
    dead_letters: int


class Bus(Protocol):
    """Where events go."""

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        """Publish in batches, trying once; returns the events that were refused. Never raises.
        After a failure it refuses at once for two seconds, so an outage slows nobody down."""
        ...

    def depths(self, *queues: str) -> Sequence[QueueDepth]:
        """The depth of these queues, or of all; raises BusUnavailable."""
        ...


class BusUnavailable(Exception):
    """SQS does not answer."""
