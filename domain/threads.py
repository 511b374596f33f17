"""The messages of a thread, both ways: what became of each, and whether it can be taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.connections import ConnectionId
from domain.conversations import Conversation, ConversationId, Direction
from domain.fans import FanId
from domain.messages import Attachment, Message, MessageId, PublicId, State
from domain.notices import Notice, Wait
from domain.users import OwnerId

# The platform takes messages back that are younger than this.
UNSEND_WINDOW = timedelta(hours=24)
SEARCH_LONGEST = 200


@dataclass(frozen=True)
class ThreadMessage:
    """A message of either direction. `outgoing` is all that sending knows of it, None for what the
    fan wrote; a message written outside of Huntaze has one too."""

    id: MessageId
    public_id: PublicId
    owner_id: OwnerId
    connection_id: ConnectionId
    conversation_id: ConversationId
    fan_id: FanId
    direction: Direction
    text: str
    price_cents: int | None
    read: bool
    attachments: tuple[Attachment, ...]
    sent_by_ai: bool
    created_at: datetime
    opened_at: datetime | None
    purchased_at: datetime | None
    deleted_at: datetime | None
    is_unsending: bool
    outgoing: Message | None

    def unsend_problem(self, now: datetime) -> str | None:
        """Why it cannot be taken back, as the code of the refusal; None when it can."""
        sent = self.outgoing
        if sent is None or sent.state not in {State.SENT, State.DELIVERED}:
            return "not_sent"
        if sent.platform_message_id is None:
            return "not_sent"
        if self.purchased_at is not None:
            return "purchased"
        return "too_late" if now >= self.unsend_until else None

    @property
    def unsend_until(self) -> datetime:
        sent_at = self.outgoing.sent_at if self.outgoing else None
        return (sent_at or self.created_at) + UNSEND_WINDOW


@dataclass(frozen=True)
class Bubble:
    """A message as somebody looks at it now: why it waits, what to tell, what may be done."""

    message: ThreadMessage
    wait: Wait | None
    notice: Notice | None
    can_unsend: bool


@dataclass(frozen=True)
class Stretch:
    """A part of a thread, oldest message first. `older` leads back in time, `newer` forward; None
    where the thread ends (`newer`: only where it is empty)."""

    messages: Sequence[ThreadMessage]
    total: int
    is_capped: bool
    older: str | None
    newer: str | None


@dataclass(frozen=True)
class MessageFilter:
    """Which messages to show, across conversations; what is None does not narrow."""

    direction: Direction | None = None
    state: State | None = None
    connection_id: ConnectionId | None = None
    fan_id: FanId | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str | None = None


@dataclass(frozen=True)
class Changes:
    """What changed since a token, each row at least once, and the token to go on with. `is_more`:
    it goes on at once."""

    messages: Sequence[ThreadMessage]
    conversations: Sequence[Conversation]
    token: str
    is_more: bool
