"""A unit of work in memory, trusted because tests/contract runs one suite on it and on PostgreSQL."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from domain.campaigns import CampaignId, CampaignStatus
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.events import Event
from domain.fans import Fan, FanId
from domain.messages import Message, MessageId
from domain.ports import Bus
from domain.repositories import (
    AuditRepository,
    BannedWordRepository,
    ConnectionRepository,
    FanRepository,
    IdempotencyRepository,
    LedgerRepository,
    MessageRepository,
    QueueRepository,
    UserRepository,
)
from domain.users import OwnerId, Role, User
from tests.fakes.access import FakeAuditRepository
from tests.fakes.ledger import FakeLedgerRepository
from tests.fakes.messages import FakeMessageRepository
from tests.fakes.people import (
    FakeConnectionRepository,
    FakeFanRepository,
    FakeIdempotencyRepository,
    FakeUserRepository,
)
from tests.fakes.queue import FakeQueueRepository
from tests.fakes.screening import FakeBannedWordRepository
from tests.fakes.tables import Session, Store

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class FakeUnitOfWork:
    """UnitOfWork on a FakeDatabase."""

    users: UserRepository
    connections: ConnectionRepository
    fans: FanRepository
    messages: MessageRepository
    queue: QueueRepository
    idempotency: IdempotencyRepository
    ledger: LedgerRepository
    audit: AuditRepository
    banned_words: BannedWordRepository

    def __init__(self, store: Store, bus: Bus) -> None:
        self._session = session = Session(store)
        self._bus = bus
        self._events: list[Event] = []
        self.users = FakeUserRepository(session)
        self.connections = FakeConnectionRepository(session)
        self.fans = FakeFanRepository(session)
        self.messages = FakeMessageRepository(session)
        self.queue = FakeQueueRepository(session)
        self.idempotency = FakeIdempotencyRepository(session)
        self.ledger = FakeLedgerRepository(session)
        self.audit = FakeAuditRepository(session)
        self.banned_words = FakeBannedWordRepository(session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.roll_back()

    def emit(self, event: Event) -> None:
        self._events.append(event)

    def commit(self) -> None:
        self._session.commit()
        events, self._events = self._events, []
        refused = self._bus.publish(events) if events else []
        rows = [MessageId(event.row) for event in refused if event.row is not None]
        if rows:
            self.queue.wake(rows, timedelta(seconds=1))
            self._session.commit()


class FakeDatabase:
    """Rows in memory, with a clock that stands still until somebody lets time pass."""

    def __init__(self, bus: Bus, clock: Callable[[], datetime] = lambda: START) -> None:
        self._bus = bus
        self._passed = timedelta()
        self._store = Store(lambda: clock() + self._passed)

    def open(self) -> FakeUnitOfWork:
        return FakeUnitOfWork(self._store, self._bus)

    def now(self) -> datetime:
        return self._store.clock()

    def let_time_pass(self, by: timedelta) -> None:
        self._passed += by

    def messages(self) -> Sequence[Message]:
        """Every stored message, oldest first."""
        return list(self._store.committed.messages.values())

    def replies(self) -> int:
        """How many Idempotency-Keys are kept."""
        return len(self._store.committed.replies)

    def add_user(
        self,
        email: str,
        role: Role = Role.OWNER,
        owner_id: OwnerId | None = None,
        *,
        password_hash: str = "hash",
        time_zone: str = "UTC",
    ) -> OwnerId:
        """Returns the owner's id: the user's own for an owner."""
        return self.new_user(
            email, role, owner_id, password_hash=password_hash, time_zone=time_zone
        ).owner_id

    def new_user(
        self,
        email: str,
        role: Role = Role.OWNER,
        owner_id: OwnerId | None = None,
        *,
        password_hash: str = "hash",
        time_zone: str = "UTC",
    ) -> User:
        with self.open() as work:
            user = work.users.add(email, password_hash, role, owner_id, time_zone)
            work.commit()
        return user

    def remove_user(self, user: User) -> None:
        del self._store.committed.users[user.id]

    def change_role(self, user: User, role: Role) -> None:
        _, password_hash = self._store.committed.users[user.id]
        self._store.committed.users[user.id] = replace(user, role=role), password_hash

    def add_connection(
        self,
        owner_id: OwnerId,
        account_id: str,
        *,
        access_key: str = "secret-key",
        **changes: object,
    ) -> ConnectionId:
        connection = Connection(
            id=ConnectionId(next(self._store.ids)),
            owner_id=owner_id,
            platform="onlyfans",
            name="Luna",
            account_id=account_id,
            state=ConnectionState.ACTIVE,
            state_reason=None,
            rate_per_minute=None,
            burst=None,
            slowdown=0,
            failures=0,
            blocked_until=None,
            blocked_reason=None,
            created_at=self.now(),
        )
        self._store.committed.connections[connection.id] = replace(connection, **changes)
        self._store.committed.access_keys[connection.id] = access_key
        return connection.id

    def change_connection(self, connection_id: ConnectionId, **changes: object) -> None:
        rows = self._store.committed.connections
        rows[connection_id] = replace(rows[connection_id], **changes)

    def add_fan(
        self,
        owner_id: OwnerId,
        connection_id: ConnectionId | None,
        platform_user_id: str | None,
        **changes: object,
    ) -> FanId:
        fan_id = FanId(next(self._store.ids))
        fan = Fan(
            id=fan_id,
            owner_id=owner_id,
            name="Fan",
            platform="onlyfans",
            handle=f"@{fan_id}",
            email=None,
            avatar=None,
            tags=(),
            value_cents=0,
            last_seen_at=None,
            notes=None,
            tier=None,
            connection_id=connection_id,
            platform_user_id=platform_user_id,
            version=1,
            created_at=self.now(),
            updated_at=self.now(),
        )
        self._store.committed.fans[fan_id] = replace(fan, **changes)
        return fan_id

    def delete_fan(self, fan_id: FanId) -> None:
        fans = self._store.committed.fans
        fans[fan_id] = replace(fans[fan_id], deleted_at=self.now())

    def add_campaign(self, status: CampaignStatus = CampaignStatus.ACTIVE) -> CampaignId:
        campaign_id = CampaignId(next(self._store.ids))
        self._store.committed.campaigns[campaign_id] = status
        return campaign_id

    def change_message(self, message: Message, **changes: object) -> Message:
        """Overwrite a row, for states that only a worker or time would lead to."""
        rows = self._store.committed.messages
        rows[message.id] = changed = replace(rows[message.id], **changes)
        return changed
