"""Accepting messages, promising when they leave, and answering what became of them.

Nothing here calls the platform: a message is a committed row, and everything after is a wake-up.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain.campaigns import CampaignStatus
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.events import MessageRequested, RequestMetadata
from domain.fans import Fan, FanId, parse_recipient, recipient_id
from domain.messages import (
    KEY_LIFETIME,
    Delay,
    Draft,
    Hold,
    Message,
    NewMessage,
    PublicId,
    State,
    attachments_of,
    generate_message_id,
    validate,
)
from domain.ports import (
    Bus,
    RoomUnavailable,
    StatusCache,
    WaitingRoom,
)
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.services.promises import Promises
from domain.services.reports import MessageReport, ReportReader
from domain.services.results import REFUSED, SendResult, queued, result_from, result_text
from domain.services.rules import SendingRules
from domain.services.screening import screen
from domain.services.status import QueueStatus, StatusReader
from domain.services.wake_ups import waiting, wake_up
from domain.users import Caller, OwnerId, Permission

Addressee = Callable[[UnitOfWork], Fan]
Change = Callable[[UnitOfWork, Message], Message]


class MessageService:
    """The use cases of single messages."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        room: WaitingRoom,
        bus: Bus,
        cache: StatusCache,
        rules: SendingRules,
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._rules = rules
        self._status = StatusReader(open_unit_of_work, bus, cache, rules)
        self._reports = ReportReader(open_unit_of_work, room, rules)

    # Sending

    def send_message(
        self, caller: Caller, recipient: str, draft: Draft, now: datetime, once: Once | None = None
    ) -> SendResult:
        """Accept one message: committed as `queued`, numbered, promised, and announced.

        Raises Invalid (fields), NotFound (recipient_not_found), Conflict (fan_not_linked,
        connection_disconnected, idempotency_*), Forbidden, Unavailable."""

        def addressee(work: UnitOfWork) -> Fan:
            return self.addressee(work, caller.owner_id, recipient)

        return self.send_to(caller, addressee, draft, now, once)

    def send_to(
        self,
        caller: Caller,
        addressee: Addressee,
        draft: Draft,
        now: datetime,
        once: Once | None = None,
    ) -> SendResult:
        """Like send_message, to the fan that `addressee` finds in the same transaction."""
        caller.require(Permission.SEND)
        draft = self.validate_message(draft)
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                return result_from(stored)
            fan, connection = self._locked(work, addressee)
            message = self._accept(work, self._promises(work, now), fan, connection, draft)
            result = queued(message)
            if once:
                work.idempotency.store(caller.user_id, once, result_text(result))
            work.commit()
        return result

    def send_batch(
        self, caller: Caller, items: Sequence[tuple[str, Draft]], now: datetime
    ) -> Sequence[SendResult]:
        """Accept many messages in one transaction: one result per input, in input order. A bad
        item is `failed` with its error and stores nothing; the rest are unaffected."""
        caller.require(Permission.SEND)
        with self._open() as work:
            checked = [self._check(work, caller, recipient, draft) for recipient, draft in items]
            # In one order for everybody: two batches never wait for each other in a circle.
            ids = {fan.connection_id for fan, *_ in checked if fan and fan.connection_id}
            locked = {one: work.connections.lock(one) for one in sorted(ids)}
            promises = self._promises(work, now)
            results = [
                self._accept_one(work, promises, fan, locked, draft) if fan else refusal
                for fan, draft, refusal in checked
            ]
            work.commit()
        return results

    def _check(
        self, work: UnitOfWork, caller: Caller, recipient: str, draft: Draft
    ) -> tuple[Fan | None, Draft, SendResult]:
        """One item of a batch: its fan, or why there is none."""
        try:
            draft = self.validate_message(draft)
            fan = self.addressee(work, caller.owner_id, recipient)
            screen(work, caller.owner_id, draft.content, draft.fields.text)
            return fan, draft, REFUSED
        except (Invalid, NotFound, Conflict) as problem:
            return None, draft, replace(REFUSED, error=problem.message)

    def _accept_one(
        self,
        work: UnitOfWork,
        promises: Promises,
        fan: Fan,
        locked: Mapping[ConnectionId, Connection],
        draft: Draft,
    ) -> SendResult:
        """One item of a batch, whose connection is locked."""
        assert fan.connection_id is not None
        try:
            self._still(work, fan, lambda work: self._of_id(work, fan))
        except (NotFound, Conflict) as problem:
            return replace(REFUSED, error=problem.message)
        return queued(self._accept(work, promises, fan, locked[fan.connection_id], draft))

    def _of_id(self, work: UnitOfWork, fan: Fan) -> Fan:
        return self.addressee(work, fan.owner_id, recipient_id(fan.id))

    def _locked(self, work: UnitOfWork, addressee: Addressee) -> tuple[Fan, Connection]:
        """The fan and its connection, as they stay until the transaction ends: whoever deletes,
        unlinks or merges the fan, or disconnects its account, locks the connection before."""
        fan = addressee(work)
        assert fan.connection_id is not None
        connection = work.connections.lock(fan.connection_id)
        return self._still(work, fan, addressee), connection

    @staticmethod
    def _still(work: UnitOfWork, fan: Fan, addressee: Addressee) -> Fan:
        found = addressee(work)
        if found.connection_id != fan.connection_id:
            raise Conflict("this fan has just been linked elsewhere: try again", code="changed")
        return found

    def validate_message(self, draft: Draft) -> Draft:
        """The draft, normalised; raises Invalid naming each bad field."""
        metadata = json.dumps(dict(draft.metadata), ensure_ascii=False).encode()
        return validate(draft, len(metadata), self._rules.media_hosts)

    @staticmethod
    def generate_message_id() -> PublicId:
        """A new message id, UUID version 4."""
        return generate_message_id()

    def accept_foreign(self, payload: MessageRequested, now: datetime) -> Message:
        """Store what another producer put on the queue, after the same checks; raises the errors
        of `send_message`. The id is the producer's, so a second delivery stores nothing new."""
        metadata = payload.metadata or RequestMetadata()
        draft = self.validate_message(
            Draft(
                content=payload.content,
                attachments=attachments_of(payload.media_urls or ()),
                priority=metadata.priority or Draft.priority,
            )
        )
        if not payload.user_id.isdigit():
            raise NotFound("userId is no number of ours", code="user_not_found")
        with self._open() as work:
            owner_id = OwnerId(int(payload.user_id))
            fan, connection = self._locked(
                work, lambda work: self.addressee(work, owner_id, payload.recipient_id)
            )
            promises = self._promises(work, now)
            message = self._accept(
                work, promises, fan, connection, draft, public_id=PublicId(payload.message_id)
            )
            work.commit()
        return message

    @staticmethod
    def addressee(work: UnitOfWork, owner_id: OwnerId, recipient: str) -> Fan:
        """The fan, if a message can reach it; raises NotFound or Conflict."""
        found = work.fans.recipient(owner_id, parse_recipient(recipient))
        if found is None:
            raise NotFound(f"no fan {recipient}", code="recipient_not_found")
        if found.connection is None or not found.fan.linked:
            raise Conflict(
                "this fan is not linked to a connected account yet: link the fan first",
                code="fan_not_linked",
            )
        if found.connection.state is ConnectionState.DISCONNECTED:
            raise Conflict(
                "the account is disconnected: connect it first", code="connection_disconnected"
            )
        return found.fan

    def _promises(self, work: UnitOfWork, now: datetime) -> Promises:
        return Promises(work, self._room, self._rules, now)

    def _accept(
        self,
        work: UnitOfWork,
        promises: Promises,
        fan: Fan,
        connection: Connection,
        draft: Draft,
        *,
        public_id: PublicId | None = None,
    ) -> Message:
        """Store, number and promise one message over its locked connection, and announce it after
        the commit. Raises Invalid for banned words."""
        screen(work, fan.owner_id, draft.content, draft.fields.text)
        if draft.snippet_id is not None and not work.snippets.use(fan.owner_id, draft.snippet_id):
            raise Invalid(FieldProblem("snippetId", "no such snippet"))
        hold = Hold.MEDIA if draft.attachments else None
        message = work.messages.add(
            NewMessage(
                public_id=public_id or generate_message_id(),
                owner_id=fan.owner_id,
                connection_id=connection.id,
                conversation_id=work.fans.conversation(fan),
                fan_id=fan.id,
                campaign_id=None,
                text=draft.content,
                price_cents=draft.price_cents,
                attachments=draft.attachments,
                metadata=draft.metadata,
                priority=draft.priority,
                hold=hold,
                queued_at=promises.now,
                promised_at=None if hold else promises.next(connection, draft.priority),
                sent_by_ai=draft.sent_by_ai,
                snippet_id=draft.snippet_id,
            ),
            wake_in=self._rules.wake_after,
        )
        work.emit(wake_up(message))
        return message

    # Changing one's mind

    def cancel(self, caller: Caller, public_id: UUID, once: Once | None = None) -> SendResult:
        """Cancel a queued message: after the answer it is never sent. Raises NotFound, and Conflict
        when it has left the queue already."""
        caller.require(Permission.SEND)

        def change(work: UnitOfWork, message: Message) -> Message:
            if message.state is not State.QUEUED or not work.messages.move(
                message, State.CANCELLED
            ):
                raise Conflict(f"it is {message.state} and cannot be cancelled", code="not_queued")
            return replace(message, state=State.CANCELLED, estimated_send_at=None)

        result, message = self._change(caller, public_id, change, once)
        if message is not None:
            # The claim refuses a cancelled row: its place in the room is harmless.
            with contextlib.suppress(RoomUnavailable):
                self._room.remove(message.connection_id, waiting(message))
        return result

    def retry(
        self, caller: Caller, public_id: UUID, now: datetime, once: Once | None = None
    ) -> SendResult:
        """Send a failed message again, or an `unknown` one that a person has judged not sent.

        Raises NotFound, and Conflict when it is in another state or its campaign was cancelled. A
        completed campaign is active again."""
        caller.require(Permission.SEND)

        def change(work: UnitOfWork, message: Message) -> Message:
            refuse_deleted(work, message.owner_id, message.fan_id)
            refuse_cancelled(work, message)
            waits_for_person = message.state is State.UNKNOWN and message.wake_after is None
            if message.state is not State.FAILED and not waits_for_person:
                raise Conflict(
                    f"it is {message.state}; only a failed message, or one that could not be"
                    " proved, can be retried",
                    code="not_failed",
                )
            found = work.fans.get(message.owner_id, message.fan_id, deleted=True)
            if found is None or found.platform_user_id is None:
                # Nobody could send it: it would wait for good.
                raise Conflict(
                    "this fan is no longer linked to an account: link the fan first",
                    code="fan_not_linked",
                )
            connection = work.connections.lock(message.connection_id)
            estimate = None
            if message.hold is None:
                estimate = self._promises(work, now).next(connection, message.priority)
            moved = work.messages.move(
                message,
                State.QUEUED,
                delay=Delay.RETRY,
                key_no=self._key_for_retry(work, message, now),
                estimated_send_at=estimate,
                wake_in=self._rules.wake_after,
            )
            if not moved:
                raise Conflict("it has just changed: look again", code="changed")
            work.emit(wake_up(message))
            return replace(message, state=State.QUEUED, estimated_send_at=estimate)

        return self._change(caller, public_id, change, once)[0]

    @staticmethod
    def _key_for_retry(work: UnitOfWork, message: Message, now: datetime) -> int:
        """The same key while the gateway remembers it: a message it did send is then answered from
        its memory and never sent twice. A key too old to be remembered is changed."""
        used = [one for one in work.messages.attempts(message.id) if one.started_at]
        keyed = [one for one in used if one.send_key == used[-1].send_key]
        if keyed and keyed[0].started_at and now - keyed[0].started_at > KEY_LIFETIME:
            return message.key_no + 1
        return message.key_no

    def confirm_sent(
        self, caller: Caller, public_id: UUID, now: datetime, once: Once | None = None
    ) -> SendResult:
        """A person has seen in the chat that an `unknown` message was sent. Raises NotFound, and
        Conflict when it is in another state."""
        caller.require(Permission.SEND)

        def change(work: UnitOfWork, message: Message) -> Message:
            refuse_deleted(work, message.owner_id, message.fan_id)
            if message.state is not State.UNKNOWN or not work.messages.move(
                message, State.SENT, sent_at=now
            ):
                raise Conflict(f"it is {message.state}, not unknown", code="not_unknown")
            return replace(message, state=State.SENT)

        return self._change(caller, public_id, change, once)[0]

    def _change(
        self,
        caller: Caller,
        public_id: UUID,
        change: Change,
        once: Once | None,
    ) -> tuple[SendResult, Message | None]:
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                return result_from(stored), None
            found = work.messages.get(caller.owner_id, public_id)
            if found is None:
                raise NotFound("no such message")
            # The connection's row first, as everybody does: nobody then waits in a circle.
            work.connections.lock(found.connection_id)
            message = work.messages.lock(caller.owner_id, public_id)
            assert message is not None
            changed = change(work, message)
            result = queued(changed)
            if once:
                work.idempotency.store(caller.user_id, once, result_text(result))
            work.commit()
        return result, changed

    # Looking

    def report(self, caller: Caller, public_id: UUID) -> MessageReport:
        """State, promise, why it waits and its attempts; raises NotFound."""
        caller.require(Permission.READ)
        return self._reports.read(caller.owner_id, public_id)

    def get_queue_status(self, caller: Caller, now: datetime) -> QueueStatus:
        """The caller's queue in numbers, at most two seconds old (see `as_of`)."""
        caller.require(Permission.READ)
        return self._status.read(caller, now)


def refuse_cancelled(work: UnitOfWork, message: Message) -> None:
    """Raise Conflict when the message's campaign ended without it."""
    if message.campaign_id is None:
        return
    status = work.campaigns.reopen(message.campaign_id)
    if status in {CampaignStatus.CANCELLED, CampaignStatus.FAILED}:
        raise Conflict(
            f"its campaign is {status}: send the text as a message of its own",
            code="campaign_cancelled",
        )


def refuse_deleted(work: UnitOfWork, owner_id: OwnerId, fan_id: FanId) -> None:
    """Raise Conflict when the fan is deleted; the caller holds the connection's lock."""
    kept = work.fans.kept(owner_id, [fan_id]).get(fan_id, fan_id)
    fan = work.fans.get(owner_id, kept, deleted=True)
    if fan is None or fan.deleted_at is not None:
        raise Conflict("this fan is deleted: restore the fan first", code="fan_deleted")
