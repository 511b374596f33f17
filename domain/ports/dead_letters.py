"""What an operator does to dead-letter queues."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from domain.dead_letters import DeadLetter, Moved

# Called with a batch between its effect and its end.
Told = Callable[[Sequence[DeadLetter]], None]


class DeadLetterQueues(Protocol):
    """The dead-letter queue of each queue. Every call raises BusUnavailable."""

    def browse(self, queue: str, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` of them, oldest first as far as SQS keeps an order; all are visible again
        at once."""
        ...

    def redrive(self, queue: str, ids: Collection[str] | None, limit: int, told: Told) -> Moved:
        """Send them to their queue, tell of them, then delete them: one that is interrupted comes
        twice, never not at all. Without `ids` any, up to `limit`. What is no task stays."""
        ...

    def discard(self, queue: str, ids: Collection[str] | None, limit: int, told: Told) -> Moved:
        """Tell of them, then delete them."""
        ...
