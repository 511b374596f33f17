"""Saying which fan is which user of the platform: nothing can be sent to one that is not linked."""

import re
from datetime import timedelta

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, FieldProblem, Invalid, NotFound, Unavailable
from domain.fans import ChangedBy, ChangeSource, Fan, FanId, recipient_id
from domain.messages import Outcome
from domain.ports import Account, PlatformAccounts, PlatformRefused, PlatformUnavailable
from domain.repositories import OpenUnitOfWork, UnitOfWork
from domain.users import Caller, Permission

FIND_DEADLINE = timedelta(seconds=5)
_USER_ID = re.compile(r"[1-9][0-9]{0,18}")


class LinkingService:
    """The use cases of links."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork, accounts: PlatformAccounts) -> None:
        self._open = open_unit_of_work
        self._accounts = accounts

    def link(
        self,
        caller: Caller,
        fan_id: FanId,
        connection_id: ConnectionId,
        platform_user_id: str | None,
    ) -> Fan:
        """Link a fan by hand, or without an id by its handle among the account's fans.

        Raises Invalid, NotFound (also not_on_platform), Conflict (already_linked,
        messages_waiting, disconnected, the gateway's refusal), Unavailable."""
        caller.require(Permission.EDIT)
        if platform_user_id is not None and not _USER_ID.fullmatch(platform_user_id):
            raise Invalid(FieldProblem("platformUserId", "use the number of the platform's user"))
        with self._open() as work:
            fan = _fan(work, caller, fan_id)
            connection = work.connections.get(caller.owner_id, connection_id)
            if connection is None:
                raise NotFound(f"no connection {connection_id}")
            if connection.state is ConnectionState.DISCONNECTED:
                raise Conflict("it is disconnected: connect it again", code="disconnected")
            account = work.accounts.of(connection_id)
        found = platform_user_id or self._find(account, fan.handle)
        with self._open() as work:
            linked = self._put(work, caller, fan, connection, found)
            work.commit()
        return linked

    def unlink(self, caller: Caller, fan_id: FanId) -> None:
        """Forget which user of the platform a fan is; its conversations stay. A fan without a link
        stays as it is. Raises NotFound, Conflict (messages_waiting)."""
        caller.require(Permission.EDIT)
        with self._open() as work:
            fan = _fan(work, caller, fan_id)
            if fan.connection_id is not None:
                work.connections.lock(fan.connection_id)
            now = _locked(work, fan)
            if now.connection_id is None and now.platform_user_id is None:
                return
            _refuse_while_waiting(work, now)
            _change(work, caller, now, None, None)
            work.audit.add(caller, "fan.unlinked", "fan", fan_id)
            work.commit()

    def _put(
        self,
        work: UnitOfWork,
        caller: Caller,
        fan: Fan,
        connection: Connection,
        platform_user_id: str,
    ) -> Fan:
        # Connections first, in id order, then the fan: nobody waits in a circle.
        for one in sorted({connection.id, fan.connection_id or connection.id}):
            work.connections.lock(one)
        now = _locked(work, fan)
        if (now.connection_id, now.platform_user_id) == (connection.id, platform_user_id):
            return now
        holder = work.links.holder(connection.id, platform_user_id)
        if holder is not None:
            raise Conflict(
                f"{recipient_id(holder)} is linked to this user of the platform: merge the two,"
                " or unlink that one",
                code="already_linked",
            )
        _refuse_while_waiting(work, now)
        _change(work, caller, now, connection.id, platform_user_id)
        work.transactions.attach(connection.id, platform_user_id, fan.id)
        detail: dict[str, object] = {"connectionId": connection.id}
        work.audit.add(caller, "fan.linked", "fan", fan.id, detail)
        return _locked(work, fan)  # its money came with the link

    def _find(self, account: Account, handle: str) -> str:
        try:
            seen = self._accounts.find_fan(account, handle.removeprefix("@"), FIND_DEADLINE)
        except PlatformRefused as refusal:
            if refusal.outcome is Outcome.RATE_LIMITED:
                raise _away() from None
            raise Conflict(refusal.detail, code=str(refusal.outcome)) from None
        except PlatformUnavailable:
            raise _away() from None
        if seen is None:
            raise NotFound(
                "the account has no fan with this handle: check it, or give platformUserId",
                code="not_on_platform",
            )
        return seen.platform_user_id


def _fan(work: UnitOfWork, caller: Caller, fan_id: FanId) -> Fan:
    found = work.fans.get(caller.owner_id, fan_id)
    if found is None:
        raise _no_fan(fan_id)
    return found


def _locked(work: UnitOfWork, fan: Fan) -> Fan:
    """The fan as it is now, and stays until the transaction ends."""
    for now in work.fans.lock(fan.owner_id, [fan.id]):
        return now
    raise _no_fan(fan.id)


def _change(
    work: UnitOfWork,
    caller: Caller,
    fan: Fan,
    connection_id: ConnectionId | None,
    platform_user_id: str | None,
) -> Fan:
    values = {"connection_id": connection_id, "platform_user_id": platform_user_id}
    return work.fans.change(fan, values, ChangedBy(ChangeSource.PERSON, caller.user_id))


def _no_fan(fan_id: FanId) -> NotFound:
    return NotFound(f"no fan {fan_id}")


def _away() -> Unavailable:
    return Unavailable("the platform's gateway does not answer; nothing was stored")


def _refuse_while_waiting(work: UnitOfWork, fan: Fan) -> None:
    """A message that waits goes to the user that the fan is linked to."""
    if count := work.links.waiting(fan.id):
        raise Conflict(
            f"{count} messages to this fan wait: let them go, or cancel them first",
            code="messages_waiting",
        )
