"""Accounts, connections and stored replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.messages import Delay
from domain.pacing import Learned
from domain.users import OwnerId, Role, User, UserId


@dataclass(frozen=True)
class Once:
    """A caller's Idempotency-Key, with where it was used and a digest of the body."""

    key: str
    route: str
    fingerprint: str


class UserRepository(Protocol):
    """Accounts. Emails are compared without regard to case; removed accounts are not found."""

    def by_email(self, email: str) -> tuple[User, str] | None:
        """The user and the password's hash."""
        ...

    def get(self, user_id: UserId) -> User | None: ...

    def add(
        self, email: str, password_hash: str, role: Role, owner_id: OwnerId | None, time_zone: str
    ) -> User:
        """Raises Conflict when the email is taken. Without `owner_id` the user owns itself."""
        ...

    def team(self, owner_id: OwnerId) -> Sequence[User]:
        """The owner and everybody who works on the owner's rows, oldest first."""
        ...

    def emails(self, owner_id: OwnerId) -> Mapping[UserId, str]:
        """Of everybody who works or worked on the owner's rows: histories name them."""
        ...

    def lock(self, user_id: UserId) -> None:
        """Until the transaction ends, nobody else gets past this for the same user."""
        ...

    def change(
        self,
        user_id: UserId,
        *,
        role: Role | None = None,
        time_zone: str | None = None,
        password_hash: str | None = None,
        tokens_after: datetime | None = None,
    ) -> None:
        """None stays as it is. Logins from before `tokens_after` are over."""
        ...

    def remove(self, user_id: UserId) -> bool:
        """The row stays, for what it did is remembered; False when it was removed before."""
        ...


class ConnectionRepository(Protocol):
    """Connected accounts."""

    def get(self, owner_id: OwnerId, connection_id: ConnectionId) -> Connection | None: ...

    def by_id(self, connection_id: ConnectionId) -> Connection | None:
        """For workers, which act for nobody in particular."""
        ...

    def lock(self, connection_id: ConnectionId) -> Connection:
        """Until the transaction ends, nobody else is numbered, counted or promised."""
        ...

    def list_of(self, owner_id: OwnerId) -> Sequence[Connection]: ...

    def set_state(
        self, connection_id: ConnectionId, state: ConnectionState, reason: str | None
    ) -> bool:
        """Also stops the wake-ups of its queued rows, which are PAUSED from then on (not active),
        or makes them due (active); media go on being staged, so held rows keep theirs. False when
        it already was in that state."""
        ...

    def learn(
        self, connection_id: ConnectionId, learned: Learned, reason: str | None, delay: Delay | None
    ) -> None:
        """Mirror what the waiting room learned of the platform's wishes; `delay` is why the rows
        that wait leave later."""
        ...

    def last_slot(self, connection_id: ConnectionId) -> datetime | None:
        """The latest slot in the ledger: the estimate's anchor while Redis is away."""
        ...


class IdempotencyRepository(Protocol):
    """Stored replies, kept 24 h."""

    def claim(self, user_id: UserId, once: Once) -> str | None:
        """Take the key in this transaction (None), or return the stored reply. Waits at most 2 s
        for a twin that is still running, then raises Conflict; raises Conflict, code
        `idempotency_key_reused`, when the key came with another body."""
        ...

    def store(self, user_id: UserId, once: Once, reply: str) -> None:
        """Keep the reply with the key, in the transaction of its effect."""
        ...

    def forget_old(self) -> int:
        """Delete keys older than 24 h."""
        ...
