"""Dead letters: queue messages that were given up, and the rows that they were about.

Rows are truth: a dead letter is a lost wake-up. Redriving one wakes its row again, and the claim
decides whether anything is still to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.messages import Message, MessageId, State

# The states in which a message whose event was given up still counts as dead.
MAY_BE_DEAD = frozenset({State.QUEUED, State.SENDING, State.UNKNOWN, State.FAILED})


@dataclass(frozen=True)
class DeadMessage:
    """A message whose queue task failed at its last receive; `reason` is the fault's name."""

    message: Message
    reason: str | None

    @property
    def dead_at(self) -> datetime:
        assert self.message.dead_lettered_at is not None
        return self.message.dead_lettered_at

    @property
    def can_redrive(self) -> bool:
        """Not while a call may be running, or while it is being settled by itself."""
        if self.message.state is State.UNKNOWN:
            return self.message.wake_after is None
        return self.message.state in {State.QUEUED, State.FAILED}

    @property
    def remedy(self) -> str:
        match self.message.state:
            case State.QUEUED:
                return "nothing to do: it goes by itself; redrive it to try at once, or discard it"
            case State.FAILED:
                return "redrive it to send it again, or discard it"
            case State.UNKNOWN if self.can_redrive:
                return "look into the chat: redrive it to send it again, or confirm it as sent"
            case _:
                return "wait until it is settled"


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue. `task` is None for what is no task of its queue, and
    `reason` then says why. `payload` holds ids only, never a text. `row` is the message it is
    about, if it is about one."""

    id: str
    queue: str
    task: str | None
    reason: str | None
    payload: Mapping[str, object]
    sent_at: datetime
    row: UUID | MessageId | None = None


@dataclass(frozen=True)
class Moved:
    """What became of dead letters: those that were dealt with, and those that were left because
    they are no task of their queue or SQS did not take them."""

    done: tuple[DeadLetter, ...]
    left: tuple[DeadLetter, ...] = ()
