"""Taking sent messages back, within the platform's 24 hours.

The row is the truth: `unsend_after` says that a message is still to be taken back. These calls are
not paced by the bucket of sends: they free the fan's chat instead of filling it, and a sweep lets
at most one an account leave in a second.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.errors import Conflict, NotFound
from domain.events import Event, UnsendRequested
from domain.messages import MessageId, State
from domain.ports import Journal, PlatformAccounts, PlatformRefused, PlatformUnavailable
from domain.repositories import Once, OpenUnitOfWork, Unsend
from domain.services.messages import refuse_deleted
from domain.services.read_marks import HEALING
from domain.threads import UNSEND_WINDOW, ThreadMessage
from domain.users import Caller, Permission

SWEEP_LIMIT = 500
# When a lost event is looked after; a failed call is repeated after 5 s, doubling to 10 min.
WAKE = timedelta(seconds=30)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
DEADLINE = timedelta(seconds=20)
FAILED = "unsend_failed"

REFUSALS = {
    "not_sent": "only a message that stands in the fan's chat can be taken back",
    "purchased": "the fan has bought it: it cannot be taken back",
    "too_late": "it is older than 24 hours: the platform no longer takes it back",
}


@dataclass(frozen=True)
class Unsending:
    """A message that is on its way back; the platform must agree before `until`."""

    message: ThreadMessage
    until: datetime
    replayed: bool = False


class UnsendingService:
    """The use cases of taking messages back."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, accounts: PlatformAccounts, journal: Journal
    ) -> None:
        self._open = open_unit_of_work
        self._accounts = accounts
        self._journal = journal

    def ask(
        self, caller: Caller, public_id: UUID, now: datetime, once: Once | None = None
    ) -> Unsending:
        """Remember to take a message back. Asking again changes nothing. Raises NotFound, and
        Conflict: `not_sent`, `purchased` or `too_late`."""
        caller.require(Permission.SEND)
        with self._open() as work:
            stored = once and work.idempotency.claim(caller.user_id, once)
            found = work.threads.find(caller.owner_id, public_id)
            if found is None:
                raise NotFound("no such message")
            if stored:
                return Unsending(found, found.unsend_until, replayed=True)
            work.connections.lock(found.connection_id)
            work.messages.lock(caller.owner_id, public_id)
            found = work.threads.find(caller.owner_id, public_id)
            assert found is not None
            if not found.is_unsending:
                refuse_deleted(work, caller.owner_id, found.fan_id)
                if problem := found.unsend_problem(now):
                    raise Conflict(REFUSALS[problem], code=problem)
                others = work.unsending.others(found.connection_id)
                work.unsending.ask(found.id, timedelta() if others else WAKE)
                if not others:
                    work.emit(requested(found.id, str(found.connection_id)))
            if once:
                work.idempotency.store(caller.user_id, once, "asked")
            work.commit()
        return Unsending(found, found.unsend_until)

    def unsend(self, message_id: MessageId) -> None:
        """Take it back. A second run finds nothing to do; a failed one is repeated by the sweep."""
        with self._open() as work:
            asked = work.unsending.get(message_id)
        if asked is None:
            return
        if asked.is_purchased:
            self._give_up(asked, REFUSALS["purchased"])
            return
        try:
            self._accounts.unsend(
                asked.account, asked.platform_user_id, asked.platform_message_id, DEADLINE
            )
        except PlatformUnavailable:
            self._put_off(asked)
            return
        except PlatformRefused as refusal:
            if refusal.outcome in HEALING:
                self._put_off(asked)
            else:
                self._give_up(asked, refusal.detail)
            return
        self._done(asked)

    def _done(self, asked: Unsend) -> None:
        message = asked.message
        with self._open() as work:
            work.connections.lock(message.connection_id)
            current = work.messages.lock(message.owner_id, message.public_id)
            # The platform's own word of it may have come first.
            if current is not None and current.state is not State.UNSENT:
                work.messages.move(current, State.UNSENT)
            work.unsending.forget(message.id, None, None)
            work.commit()
        self._journal.note("message_unsent", messageId=str(message.public_id))

    def _put_off(self, asked: Unsend) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(asked.tries, 20), LONGEST_PAUSE)
        with self._open() as work:
            work.unsending.put_off(asked.message.id, pause)
            work.commit()
        self._journal.note("unsend_postponed", messageId=str(asked.message.public_id))

    def _give_up(self, asked: Unsend, detail: str) -> None:
        with self._open() as work:
            work.unsending.forget(asked.message.id, FAILED, detail)
            work.commit()
        self._journal.note("unsend_refused", messageId=str(asked.message.public_id))

    def sweep(self) -> int:
        """Emit again what was lost, failed or had to wait, and give up after 24 hours."""
        with self._open() as work:
            expired = work.unsending.expire(SWEEP_LIMIT, UNSEND_WINDOW)
            due = work.unsending.due(SWEEP_LIMIT, WAKE)
            for message_id, connection_id in due:
                work.emit(requested(message_id, str(connection_id)))
            work.commit()
        return expired + len(due)


def requested(message_id: MessageId, group: str) -> Event:
    """The event that wakes a worker to take this message back."""
    return Event(UnsendRequested(message_id=message_id), group=group)
