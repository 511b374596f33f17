"""Connected accounts: connecting, looking, limits, keys, pausing, resuming, disconnecting.

The row is changed first; the waiting room is told afterwards and may miss it: the claim refuses
whatever the row does not allow. No transaction is open while the gateway is asked.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from domain.connections import (
    Connection,
    ConnectionDraft,
    ConnectionId,
    ConnectionState,
    LimitsDraft,
    check_connection,
    check_key,
    check_limits,
)
from domain.errors import Conflict, FieldProblem, Invalid, NotFound, Unavailable
from domain.messages import Outcome
from domain.pacing import BucketView
from domain.ports import (
    Account,
    PlatformAccounts,
    PlatformRefused,
    PlatformUnavailable,
    Profile,
    RoomUnavailable,
    WaitingRoom,
)
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.services.rules import SendingRules
from domain.users import Caller, OwnerId, Permission

# A person waits for the answer.
CHECK_DEADLINE = timedelta(seconds=5)


@dataclass(frozen=True)
class ConnectionPace:
    """A connection with its bucket; `bucket` is None while Redis is away."""

    connection: Connection
    bucket: BucketView | None


@dataclass(frozen=True)
class ConnectionReport:
    """One connection, how many of its messages wait or are being sent, and its bucket."""

    connection: Connection
    waiting: int
    bucket: BucketView | None


@dataclass(frozen=True)
class Connected:
    """The answer to connecting; `replayed` says that an Idempotency-Key brought it back."""

    connection: Connection
    replayed: bool = False


class ConnectionService:
    """The use cases of connections."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        room: WaitingRoom,
        rules: SendingRules,
        accounts: PlatformAccounts,
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._rules = rules
        self._accounts = accounts

    # Looking

    def list_paces(self, caller: Caller) -> Sequence[ConnectionPace]:
        """Every connection of the caller with its next free slot, interval, and who waits."""
        caller.require(Permission.READ)
        with self._open() as work:
            connections = work.connections.list_of(caller.owner_id)
        buckets = self._buckets([connection.id for connection in connections])
        return [
            ConnectionPace(connection, bucket)
            for connection, bucket in zip(connections, buckets, strict=True)
        ]

    def look(self, caller: Caller, connection_id: ConnectionId) -> ConnectionReport:
        """One connection: its state, limits and health. Raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            connection = _owned(work, caller.owner_id, connection_id)
            waiting = work.queue.unfinished(connection_id)
        [bucket] = self._buckets([connection_id])
        return ConnectionReport(connection, waiting, bucket)

    # Connecting

    def connect(
        self, caller: Caller, draft: ConnectionDraft, once: Once | None = None
    ) -> Connected:
        """Connect an account that the gateway knows; one that was disconnected comes back with all
        that waits on it. Raises Invalid (refused key or id), Conflict (connection_exists,
        account_taken, quota_exhausted, idempotency_*), Unavailable; nothing is stored then."""
        caller.require(Permission.MANAGE)
        check_connection(draft)
        draft = replace(draft, name=draft.name.strip() if draft.name else None)
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                return _again(work, stored)
            if work.accounts.live(caller.owner_id, draft.platform, draft.account_id):
                raise Conflict("this account is connected already", code="connection_exists")
        profile = self._check(Account(draft.account_id, draft.access_key))
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                return _again(work, stored)
            made = work.accounts.connect(caller.owner_id, draft, profile)
            work.audit.add(caller, "connection.connected", "connection", made)
            if once:
                work.idempotency.store(caller.user_id, once, str(made))
            work.commit()
        return Connected(self._tell(made))

    def replace_key(
        self, caller: Caller, connection_id: ConnectionId, access_key: str
    ) -> Connection:
        """Use another access key, after asking the gateway with it; an account whose session had
        ended sends again. Raises Invalid, NotFound, Conflict (disconnected), Unavailable."""
        caller.require(Permission.MANAGE)
        check_key(access_key)
        with self._open() as work:
            connection = _changeable(work, caller.owner_id, connection_id)
        self._check(Account(connection.account_id, access_key))

        def change(work: UnitOfWork, now: Connection) -> None:
            work.accounts.set_key(connection_id, access_key)
            if now.state is ConnectionState.PAUSED_AUTH:
                work.connections.set_state(connection_id, ConnectionState.ACTIVE, None)
            work.audit.add(caller, "connection.key_replaced", "connection", connection_id)

        return self._change(caller, connection_id, change)

    def disconnect(self, caller: Caller, connection_id: ConnectionId) -> None:
        """Stop using an account and forget its key; what waits stays, and says why. A second time
        changes nothing. Raises NotFound."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            _owned(work, caller.owner_id, connection_id)
            now = work.connections.lock(connection_id)
            if now.state is ConnectionState.DISCONNECTED:
                return
            work.connections.set_state(
                connection_id, ConnectionState.DISCONNECTED, "disconnected by hand"
            )
            work.accounts.set_key(connection_id, None)
            work.audit.add(caller, "connection.disconnected", "connection", connection_id)
            work.commit()
        self._tell(connection_id)

    # Changing

    def change_limits(
        self, caller: Caller, connection_id: ConnectionId, draft: LimitsDraft
    ) -> Connection:
        """Rename it, or change its pace or limits from the next message on. Raises Invalid,
        NotFound, Conflict (disconnected)."""
        caller.require(Permission.MANAGE)
        check_limits(draft)
        values: dict[str, object] = {
            "name": (draft.name or "").strip(),
            "rate_per_minute": draft.rate_per_minute,
            "burst": draft.burst,
        }
        changes = {name: value for name, value in values.items() if name in draft.given}

        def change(work: UnitOfWork, current: Connection) -> None:
            if changes:
                work.accounts.change(connection_id, changes)
                fields: dict[str, object] = {"fields": sorted(changes)}
                work.audit.add(caller, "connection.changed", "connection", connection_id, fields)
            if "campaign_limits" in draft.given:
                limits, since = draft.campaign_limits, current.bulk_limits.warm_up_since
                if limits and limits.warm_up_since and since:
                    limits = replace(limits, warm_up_since=since)  # It began then.
                work.bulk_limits.change(connection_id, limits)
                work.audit.add(
                    caller,
                    "connection.limited",
                    "connection",
                    connection_id,
                    limits.record() if limits else {},
                )

        return self._change(caller, connection_id, change)

    def pause(self, caller: Caller, connection_id: ConnectionId) -> Connection:
        """Stop sending on a connection; what waits stays. Raises NotFound, Conflict."""
        return self._set(caller, connection_id, ConnectionState.PAUSED, "paused by hand")

    def resume(self, caller: Caller, connection_id: ConnectionId) -> Connection:
        """Send again on a paused connection, also after reconnecting or topping up credits; every
        waiting message goes, paced. Raises NotFound, Conflict when it is disconnected."""
        return self._set(caller, connection_id, ConnectionState.ACTIVE, None)

    def _set(
        self,
        caller: Caller,
        connection_id: ConnectionId,
        state: ConnectionState,
        reason: str | None,
    ) -> Connection:
        caller.require(Permission.MANAGE)
        deed = "connection.resumed" if state is ConnectionState.ACTIVE else "connection.paused"

        def change(work: UnitOfWork, _now: Connection) -> None:
            if work.connections.set_state(connection_id, state, reason):
                work.audit.add(caller, deed, "connection", connection_id)

        return self._change(caller, connection_id, change)

    def _change(
        self,
        caller: Caller,
        connection_id: ConnectionId,
        change: Callable[[UnitOfWork, Connection], None],
    ) -> Connection:
        """Change a connection under its lock, then tell the waiting room."""
        with self._open() as work:
            _changeable(work, caller.owner_id, connection_id)
            now = work.connections.lock(connection_id)
            _refuse_disconnected(now)
            change(work, now)
            work.commit()
        return self._tell(connection_id)

    def _tell(self, connection_id: ConnectionId) -> Connection:
        """The connection as it is now, which the waiting room hears of."""
        with self._open() as work:
            changed = work.connections.by_id(connection_id)
        assert changed is not None
        with contextlib.suppress(RoomUnavailable):
            self._room.admit(self._rules.pace(changed), [])
        return changed

    def _buckets(self, ids: Sequence[ConnectionId]) -> Sequence[BucketView | None]:
        with contextlib.suppress(RoomUnavailable):
            return self._room.view(ids)
        return [None] * len(ids)

    def _check(self, account: Account) -> Profile:
        """Ask the gateway whose account it is: proof that the id and the key are good."""
        try:
            return self._accounts.profile(account, CHECK_DEADLINE)
        except PlatformRefused as refusal:
            raise _refused(refusal, has_key=account.access_key is not None) from None
        except PlatformUnavailable:
            raise _away() from None


def _owned(work: UnitOfWork, owner_id: OwnerId, connection_id: ConnectionId) -> Connection:
    connection = work.connections.get(owner_id, connection_id)
    if connection is None:
        raise NotFound(f"no connection {connection_id}")
    return connection


def _changeable(work: UnitOfWork, owner_id: OwnerId, connection_id: ConnectionId) -> Connection:
    connection = _owned(work, owner_id, connection_id)
    _refuse_disconnected(connection)
    return connection


def _refuse_disconnected(connection: Connection) -> None:
    if connection.state is ConnectionState.DISCONNECTED:
        raise Conflict("it is disconnected: connect it again", code="disconnected")


def _again(work: UnitOfWork, stored: str) -> Connected:
    connection = work.connections.by_id(ConnectionId(int(stored)))
    assert connection is not None
    return Connected(connection, replayed=True)


def _away() -> Unavailable:
    return Unavailable("the platform's gateway does not answer; nothing was stored")


def _refused(refusal: PlatformRefused, *, has_key: bool) -> Exception:
    if refusal.outcome is Outcome.AUTH_LOST:
        why = "the gateway does not accept it: check it, and the account's session at the gateway"
        return Invalid(FieldProblem("accessKey" if has_key else "accountId", why))
    if refusal.outcome is Outcome.QUOTA_EXHAUSTED:
        return Conflict(refusal.detail, code="quota_exhausted")
    if refusal.outcome is Outcome.RATE_LIMITED:
        return _away()
    return Invalid(
        FieldProblem("accountId", "the gateway does not know this account: check its id there")
    )
