"""Users, connections, fans and idempotency keys in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.conversations import ConversationId
from domain.errors import Conflict, FieldProblem, Invalid, NotFound, Unavailable
from domain.fans import Fan, FanId
from domain.messages import Delay, State
from domain.pacing import Learned
from domain.paging import Page
from domain.repositories import Once, Recipient
from domain.segments import FanFilter, FanSort
from domain.users import OwnerId, Role, User, UserId
from tests.fakes.tables import Reply, Session

KEPT = timedelta(hours=24)


class FakeUserRepository:
    """UserRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_email(self, email: str) -> tuple[User, str] | None:
        rows = self._session.rows.users.values()
        return next((row for row in rows if row[0].email.lower() == email.lower()), None)

    def get(self, user_id: UserId) -> User | None:
        found = self._session.rows.users.get(user_id)
        return found[0] if found else None

    def add(
        self, email: str, password_hash: str, role: Role, owner_id: OwnerId | None, time_zone: str
    ) -> User:
        rows = self._session.write()
        if self.by_email(email):
            raise Conflict(f"{email} already has an account", code="email_taken")
        user_id = UserId(self._session.next_id())
        user = User(
            id=user_id,
            owner_id=owner_id or OwnerId(user_id),
            email=email,
            role=role,
            time_zone=time_zone,
            created_at=self._session.now,
        )
        rows.users[user_id] = user, password_hash
        return user


class FakeConnectionRepository:
    """ConnectionRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner_id: OwnerId, connection_id: ConnectionId) -> Connection | None:
        found = self.by_id(connection_id)
        return found if found and found.owner_id == owner_id else None

    def by_id(self, connection_id: ConnectionId) -> Connection | None:
        return self._session.rows.connections.get(connection_id)

    def lock(self, connection_id: ConnectionId) -> Connection:
        found = self._session.write().connections.get(connection_id)
        if found is None:
            raise NotFound(f"connection {connection_id} does not exist")
        return found

    def list_of(self, owner_id: OwnerId) -> Sequence[Connection]:
        rows = self._session.rows.connections.values()
        return sorted((one for one in rows if one.owner_id == owner_id), key=lambda one: one.id)

    def set_state(
        self, connection_id: ConnectionId, state: ConnectionState, reason: str | None
    ) -> bool:
        rows = self._session.write()
        connection = rows.connections[connection_id]
        if connection.state is state:
            return False
        rows.connections[connection_id] = replace(connection, state=state, state_reason=reason)
        due = self._session.now if state is ConnectionState.ACTIVE else None
        for message in list(rows.messages.values()):
            if message.connection_id == connection_id and message.state is State.QUEUED:
                delay = message.delay if due else message.delay or Delay.PAUSED
                wake_after = message.wake_after if message.hold else due
                rows.messages[message.id] = replace(message, wake_after=wake_after, delay=delay)
        return True

    def learn(
        self, connection_id: ConnectionId, learned: Learned, reason: str | None, delay: Delay | None
    ) -> None:
        rows, until = self._session.write(), learned.blocked_until_ms
        rows.connections[connection_id] = replace(
            rows.connections[connection_id],
            slowdown=learned.slowdown,
            failures=learned.failures,
            blocked_until=datetime.fromtimestamp(until / 1000, tz=UTC) if until else None,
            blocked_reason=reason,
        )
        for message in list(rows.messages.values()):
            if message.connection_id == connection_id and message.state is State.QUEUED:
                rows.messages[message.id] = replace(message, delay=message.delay or delay)

    def last_slot(self, connection_id: ConnectionId) -> datetime | None:
        rows = self._session.rows
        return max(
            (
                attempt.slot_at
                for message_id, attempts in rows.attempts.items()
                if rows.messages[message_id].connection_id == connection_id
                for attempt in attempts
                if attempt.slot_at
            ),
            default=None,
        )


class FakeFanRepository:
    """FanRepository in memory, as far as sending needs it; the cursor is the last id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None:
        rows = self._session.rows
        fan = rows.fans.get(fan_id)
        if fan is None or fan.owner_id != owner_id or fan.deleted_at is not None:
            return None
        linked = rows.connections.get(fan.connection_id) if fan.connection_id else None
        return Recipient(fan, linked)

    def kept(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Mapping[FanId, FanId]:
        found: dict[FanId, FanId] = {}
        for first in fan_ids:
            fan = self.get(owner_id, first, deleted=True)
            while fan is not None and fan.merged_into is not None:
                found[first] = fan.merged_into
                fan = self.get(owner_id, fan.merged_into, deleted=True)
        return found

    def get(self, owner_id: OwnerId, fan_id: FanId, *, deleted: bool = False) -> Fan | None:
        fan = self._session.rows.fans.get(fan_id)
        if fan is None or fan.owner_id != owner_id or (fan.deleted_at and not deleted):
            return None
        return fan

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        filters: Sequence[FanFilter] = (),
        sort: FanSort = FanSort.NEWEST,
    ) -> Page[Fan]:
        assert not any(one.record() for one in filters), "the fake does not filter"
        assert sort is FanSort.NEWEST, "the fake knows one order"
        rows = self._session.rows.fans.values()
        fans = sorted((one for one in rows if one.owner_id == owner_id), key=lambda one: -one.id)
        total = len(fans)
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit()):
                raise Invalid(FieldProblem("cursor", "use the nextCursor of the page before"))
            fans = [one for one in fans if one.id < int(cursor)]
        page = fans[:limit]
        more = str(page[-1].id) if len(fans) > limit else None
        return Page(page, total, is_capped=False, next_cursor=more)

    def conversation(self, fan: Fan) -> ConversationId:
        key = fan.id, fan.connection_id
        if key not in self._session.rows.conversations:
            conversations = self._session.write().conversations
            if key not in conversations:
                conversations[key] = ConversationId(self._session.next_id())
        return self._session.rows.conversations[key]


class FakeIdempotencyRepository:
    """IdempotencyRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(self, user_id: UserId, once: Once) -> str | None:
        try:
            replies = self._session.write().replies
        except Unavailable:
            raise Conflict(
                "the first request with this Idempotency-Key still runs: ask again",
                code="idempotency_in_progress",
            ) from None
        found = replies.get((user_id, once.key))
        if found is None or found.created_at < self._session.now - KEPT:
            replies[user_id, once.key] = Reply(once, None, self._session.now)
            return None
        if found.once != once:
            raise Conflict(
                "this Idempotency-Key was used for another request: use a new one",
                code="idempotency_key_reused",
            )
        return found.text

    def store(self, user_id: UserId, once: Once, reply: str) -> None:
        replies = self._session.write().replies
        replies[user_id, once.key] = replace(replies[user_id, once.key], text=reply)

    def forget_old(self) -> int:
        replies = self._session.write().replies
        limit = self._session.now - KEPT
        old = [key for key, reply in replies.items() if reply.created_at < limit]
        for key in old:
            del replies[key]
        return len(old)
