"""Dead letters: a sender's own messages, and an operator's queues.

Neither ever sends: a message that is redriven is woken, and its claim decides."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from domain.dead_letters import DeadLetter, DeadMessage, Moved
from domain.errors import Conflict, NotFound
from domain.messages import State
from domain.paging import Page
from domain.ports import DeadLetterQueues, Journal
from domain.repositories import OpenUnitOfWork
from domain.services.messages import MessageService
from domain.services.results import SendResult, queued
from domain.services.wake_ups import wake_up
from domain.users import Caller, Permission

REDRIVEN, DISCARDED = "dead_letter.redriven", "dead_letter.discarded"


class DeadLetterService:
    """The use cases of dead letters."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        messages: MessageService,
        queues: DeadLetterQueues,
        journal: Journal,
    ) -> None:
        self._open = open_unit_of_work
        self._messages = messages
        self._queues = queues
        self._journal = journal

    # A sender's

    def list_messages(self, caller: Caller, limit: int, cursor: str | None) -> Page[DeadMessage]:
        """The caller's dead-lettered messages, the newest death first; raises Invalid."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.dead_letters.page(caller.owner_id, limit, cursor)

    def redrive_message(self, caller: Caller, public_id: UUID, now: datetime) -> SendResult:
        """Wake a queued message at once; send a failed one again, as `retry` does. Raises NotFound
        when it is not dead (any more), and Conflict while it is sent or settled."""
        caller.require(Permission.SEND)
        with self._open() as work:
            dead = work.dead_letters.get(caller.owner_id, public_id)
            if dead is None:
                raise NotFound("no such dead letter")
            if not dead.can_redrive:
                raise Conflict(f"it is {dead.message.state}: {dead.remedy}", code="in_progress")
            work.audit.add(caller, REDRIVEN, "message", str(public_id))
            if dead.message.state is State.QUEUED:
                work.dead_letters.revive([public_id])
                work.emit(wake_up(dead.message))
                work.commit()
                return queued(dead.message)
            work.commit()
        return self._messages.retry(caller, public_id, now)

    def discard_message(self, caller: Caller, public_id: UUID) -> None:
        """Count it as dead no longer; one that is queued is cancelled and never sent. Raises
        NotFound, and Conflict when it has just left the queue."""
        caller.require(Permission.SEND)
        with self._open() as work:
            dead = work.dead_letters.get(caller.owner_id, public_id)
        if dead is None:
            raise NotFound("no such dead letter")
        if dead.message.state is State.QUEUED:
            self._messages.cancel(caller, public_id)
        with self._open() as work:
            work.dead_letters.revive([public_id])
            work.audit.add(caller, DISCARDED, "message", str(public_id))
            work.commit()

    # An operator's

    def browse(self, queue: str, limit: int) -> Sequence[DeadLetter]:
        """What a dead-letter queue holds; raises BusUnavailable."""
        return self._queues.browse(queue, limit)

    def redrive(self, queue: str, ids: Collection[str] | None, limit: int) -> Moved:
        """Give them back to their queue. A second run finds nothing, or wakes a row twice, which
        changes nothing. Raises BusUnavailable, and Unavailable: what was not told of stays."""
        return self._queues.redrive(queue, ids, limit, lambda some: self._told(some, REDRIVEN))

    def discard(self, queue: str, ids: Collection[str] | None, limit: int) -> Moved:
        """Delete them; their rows go on as they are. Raises BusUnavailable, Unavailable."""
        return self._queues.discard(queue, ids, limit, lambda some: self._told(some, DISCARDED))

    def _told(self, letters: Sequence[DeadLetter], deed: str) -> None:
        """Their rows are dead no longer, and the audit log of each owner says what was done."""
        rows = [one.row for one in letters if one.row is not None]
        with self._open() as work:
            for owner_id, public_id in work.dead_letters.revive(rows):
                work.audit.add(owner_id, deed, "message", str(public_id))
            work.commit()
        for one in letters:
            self._journal.note(
                deed.replace(".", "_"), queue=one.queue, letterId=one.id, task=one.task
            )
