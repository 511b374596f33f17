"""Marks of having been read: here at once, on the platform as soon as it listens.

The row is the truth: `tell_read_after` says that the platform is still to be told. Such a call is
not paced, since only sends count against an account's pace.
"""

from datetime import timedelta

from domain.conversations import Conversation, ConversationId
from domain.errors import NotFound
from domain.events import ConversationRead, Event
from domain.messages import Outcome
from domain.ports import Journal, PlatformAccounts, PlatformRefused, PlatformUnavailable
from domain.repositories import OpenUnitOfWork, UnitOfWork
from domain.users import Caller, Permission

SWEEP_LIMIT = 500
# When a lost event, or a call that failed, is looked after.
WAKE = timedelta(seconds=30)
GIVE_UP = timedelta(days=1)
DEADLINE = timedelta(seconds=20)
# Refusals that heal when somebody acts; any other is the platform's last word on it.
HEALING = frozenset({Outcome.RATE_LIMITED, Outcome.AUTH_LOST, Outcome.QUOTA_EXHAUSTED})


class ReadMarkService:
    """The use cases of marking conversations."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, accounts: PlatformAccounts, journal: Journal
    ) -> None:
        self._open = open_unit_of_work
        self._accounts = accounts
        self._journal = journal

    def mark_read(self, caller: Caller, conversation_id: ConversationId) -> Conversation:
        """Everything the fan wrote is read. A second time changes nothing. Raises NotFound."""
        caller.require(Permission.SEND)
        with self._open() as work:
            found = self._locked(work, caller, conversation_id)
            if work.conversations.read(caller.owner_id, conversation_id, WAKE):
                payload = ConversationRead(conversation_id=conversation_id)
                work.emit(Event(payload, group=str(found.connection_id)))
                found = self._locked(work, caller, conversation_id)
            work.commit()
        return found

    def mark_unread(self, caller: Caller, conversation_id: ConversationId) -> Conversation:
        """The newest message of the fan is unread, unless one was. Raises NotFound."""
        caller.require(Permission.SEND)
        with self._open() as work:
            self._locked(work, caller, conversation_id)
            work.conversations.unread(caller.owner_id, conversation_id)
            found = self._locked(work, caller, conversation_id)
            work.commit()
        return found

    @staticmethod
    def _locked(work: UnitOfWork, caller: Caller, conversation_id: ConversationId) -> Conversation:
        found = work.conversations.get(caller.owner_id, conversation_id)
        if found is None:
            raise NotFound("no such conversation")
        # The connection's row first, as everybody does: nobody then waits in a circle.
        work.connections.lock(found.connection_id)
        return found

    def tell(self, conversation_id: ConversationId) -> None:
        """Tell the platform. A second run finds nothing to tell; a failed one is repeated by the
        sweep."""
        with self._open() as work:
            mark = work.conversations.read_mark(conversation_id)
        if mark is None:
            return
        try:
            self._accounts.mark_read(mark.account, mark.platform_user_id, DEADLINE)
        except PlatformUnavailable:
            self._journal.note("read_mark_postponed", conversationId=conversation_id)
            return
        except PlatformRefused as refusal:
            self._journal.note(
                "read_mark_refused", conversationId=conversation_id, outcome=str(refusal.outcome)
            )
            if refusal.outcome in HEALING:
                return
        with self._open() as work:
            work.conversations.told(mark)
            work.commit()

    def sweep(self) -> int:
        """Emit again what was lost or failed, ever more rarely, and forget it after a day."""
        with self._open() as work:
            due = work.conversations.to_tell(SWEEP_LIMIT, WAKE, GIVE_UP)
            for conversation_id, connection_id in due:
                payload = ConversationRead(conversation_id=conversation_id)
                work.emit(Event(payload, group=str(connection_id)))
            work.commit()
        return len(due)
