"""What the fake database holds, and who may write to it: one transaction at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from threading import Lock

from domain.campaigns import CampaignId, CampaignStatus
from domain.connections import Connection, ConnectionId
from domain.conversations import ConversationId
from domain.errors import Unavailable
from domain.fans import Fan, FanId
from domain.messages import Attempt, Claim, Message, MessageId
from domain.pacing import Waiting
from domain.repositories import AuditLine, Once
from domain.users import OwnerId, User, UserId

LOCK_SECONDS = 2


@dataclass(frozen=True)
class Reply:
    once: Once
    text: str | None
    created_at: datetime


@dataclass
class Tables:
    """Rows by key. Values are immutable, so a copy of the dicts is a snapshot."""

    users: dict[UserId, tuple[User, str]] = field(default_factory=dict)
    connections: dict[ConnectionId, Connection] = field(default_factory=dict)
    access_keys: dict[ConnectionId, str] = field(default_factory=dict)
    fans: dict[FanId, Fan] = field(default_factory=dict)
    conversations: dict[tuple[FanId, ConnectionId | None], ConversationId] = field(
        default_factory=dict
    )
    last_message_at: dict[ConversationId, datetime] = field(default_factory=dict)
    campaigns: dict[CampaignId, CampaignStatus] = field(default_factory=dict)
    messages: dict[MessageId, Message] = field(default_factory=dict)
    failed_at: dict[MessageId, datetime] = field(default_factory=dict)
    attempts: dict[MessageId, tuple[Attempt, ...]] = field(default_factory=dict)
    replies: dict[tuple[UserId, str], Reply] = field(default_factory=dict)
    audit: dict[int, tuple[OwnerId, AuditLine]] = field(default_factory=dict)
    banned_words: dict[OwnerId, Sequence[str]] = field(default_factory=dict)

    def copy(self) -> "Tables":
        return Tables(**{one.name: dict(getattr(self, one.name)) for one in fields(self)})


class Session:
    """One transaction: reads see what is committed until it first writes, then its own copy."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._own: Tables | None = None

    @property
    def rows(self) -> Tables:
        return self._own if self._own is not None else self._store.committed

    @property
    def now(self) -> datetime:
        """The database's clock."""
        return self._store.clock()

    def next_id(self) -> int:
        return next(self._store.ids)

    def write(self) -> Tables:
        """The rows to change; raises Unavailable when another transaction does not end."""
        if self._own is None:
            if not self._store.writing.acquire(timeout=LOCK_SECONDS):
                raise Unavailable("the database does not answer; nothing was changed")
            self._own = self._store.committed.copy()
        return self._own

    def commit(self) -> None:
        if self._own is not None:
            self._store.committed, self._own = self._own, None
            self._store.writing.release()

    def roll_back(self) -> None:
        if self._own is not None:
            self._own = None
            self._store.writing.release()


class Store:
    """The committed rows and the right to change them."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.committed = Tables()
        self.clock = clock
        self.writing = Lock()
        self.ids = count(1)


def waiting_of(message: Message) -> Waiting:
    return Waiting(message.id, message.priority, message.campaign_id)


def claim_of(rows: Tables, message: Message, attempt_no: int) -> Claim:
    connection, fan = rows.connections[message.connection_id], rows.fans[message.fan_id]
    return Claim(
        message_id=message.id,
        public_id=message.public_id,
        owner_id=message.owner_id,
        connection_id=message.connection_id,
        campaign_id=message.campaign_id,
        fan_id=message.fan_id,
        priority=message.priority,
        attempt_no=attempt_no,
        failures=message.failures,
        key_no=message.key_no,
        account_id=connection.account_id,
        access_key=rows.access_keys.get(connection.id),
        platform_user_id=fan.platform_user_id or "",
        text=message.text,
        price_cents=message.price_cents,
        media_ids=tuple(one.media_id for one in message.attachments if one.media_id),
        queued_at=message.queued_at,
    )
