"""Healing: what was lost (an event, a worker, an answer) is found in the rows and set going again.

It runs on a one-second timer in one process at a time, needs neither SQS nor Redis to decide, and
every step may be repeated. The waiting room is rebuilt from here too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.connections import Connection, ConnectionId
from domain.messages import MATCH_SLACK, Delay, Message, State
from domain.pacing import LaneVerb, Learned, Pace, Waiting
from domain.ports import (
    Bus,
    Journal,
    Platform,
    PlatformMessage,
    PlatformUnavailable,
    RoomUnavailable,
    WaitingRoom,
)
from domain.repositories import OpenUnitOfWork, UnitOfWork, Unsettled
from domain.services.promises import estimates
from domain.services.rules import SendingRules
from domain.services.settling import Verdict, decide, first_call, matching
from domain.services.wake_ups import requested, waiting

PASS_LIMIT = 500
# An event refused by SQS is published again after 1, 2 and 4 s, then the message fails.
PUBLISH_TRIES = 3
READ_DEADLINE = timedelta(seconds=5)
READERS = 8
# What the platform's events show of the chat that a message belongs to.
Proofs = Callable[[UnitOfWork, Message], Sequence[PlatformMessage]]


@dataclass(frozen=True)
class Healed:
    """What one pass did."""

    published: int = 0
    admitted: int = 0
    failed: int = 0
    expired: int = 0


class HealingService:
    """The healing timer's work."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        room: WaitingRoom,
        bus: Bus,
        platform: Platform,
        rules: SendingRules,
        journal: Journal,
        proofs: Proofs = lambda _work, _message: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._bus = bus
        self._platform = platform
        self._rules = rules
        self._journal = journal
        self._proofs = proofs
        self._now = now

    # Wake-ups

    def heal(self) -> Healed:
        """One pass: leases that ran out become `unknown`, and overdue rows are set going. Raises
        Unavailable while PostgreSQL is away; nothing is half done then."""
        with self._open() as work:
            expired = work.queue.expire_leases(PASS_LIMIT, self._rules.unknown_grace)
            overdue = work.queue.overdue(PASS_LIMIT) if self._rules.enabled else []
            work.commit()
        fresh = [one for one in overdue if one.admitted_at is None and one.campaign_id is None]
        known = [one for one in overdue if one.admitted_at is not None or one.campaign_id]
        published, failed = self._publish(fresh)
        healed = Healed(published, self._admit(known), failed, expired)
        if healed != Healed():
            self._journal.note("rows_healed", **vars(healed))
        return healed

    def _publish(self, fresh: Sequence[Message]) -> tuple[int, int]:
        """Announce never admitted rows again: one event a connection speaks for all older rows."""
        if not fresh:
            return 0, 0
        newest = {one.connection_id: one for one in sorted(fresh, key=lambda one: one.id)}
        refused_events = self._bus.publish([requested(one) for one in newest.values()])
        refused_groups = {event.group for event in refused_events}
        refused = [one for one in fresh if str(one.connection_id) in refused_groups]
        failed = [one for one in refused if one.wake_tries + 1 >= PUBLISH_TRIES]
        with self._open() as work:
            for tries in range(PUBLISH_TRIES - 1):
                ids = [one.id for one in refused if one.wake_tries == tries]
                work.queue.refused(ids, timedelta(seconds=2 ** (tries + 1)))
            for one in failed:
                work.messages.move(one, State.FAILED, error_code="queue_unavailable")
            rest = {one.id for one in fresh} - {one.id for one in refused}
            work.queue.wake(sorted(rest), self._rules.wake_after)
            work.commit()
        return len(newest) - len(refused_events), len(failed)

    def _admit(self, known: Sequence[Message]) -> int:
        """Put rows that were admitted once back into the waiting room, if it lost them."""
        by_connection: dict[ConnectionId, list[Message]] = defaultdict(list)
        for one in known:
            by_connection[one.connection_id].append(one)
        count = 0
        for connection_id, messages in by_connection.items():
            with self._open() as work:
                connection = work.connections.by_id(connection_id)
            if connection is None:
                continue
            rows = [waiting(one) for one in sorted(messages, key=lambda one: one.id)]
            try:
                # They may go: a lane that is held has not heard of it.
                for campaign_id in {one.campaign_id for one in rows if one.campaign_id}:
                    self._room.lane(connection_id, campaign_id, LaneVerb.RESUME)
                admission = self._room.admit(self._rules.pace(connection), rows)
            except RoomUnavailable:
                return count  # The rebuild admits them all.
            with self._open() as work:
                work.queue.admitted(
                    estimates(admission, rows), self._rules.overdue_after, Delay.RECOVERY
                )
                work.commit()
            count += len(rows)
        return count

    # The waiting room

    def rebuild_if_cold(self) -> int:
        """Fill a waiting room that knows nothing; raises RoomUnavailable and Unavailable."""
        if not self._room.cold():
            return 0
        with self._open() as work:
            count = self._room.rebuild(self._rows(work.queue.waiting()))
            work.queue.recovering()
            work.commit()
        self._journal.note("waiting_room_rebuilt", messages=count)
        return count

    def _rows(
        self, rows: Iterable[tuple[Connection, Sequence[Waiting]]]
    ) -> Iterator[tuple[Pace, Learned, Sequence[Waiting]]]:
        for connection, messages in rows:
            blocked = connection.blocked_until
            learned = Learned(
                slowdown=connection.slowdown,
                failures=connection.failures,
                blocked_until_ms=blocked.timestamp() * 1000 if blocked else 0,
            )
            yield self._rules.pace(connection), learned, messages

    # Settling

    def settle(self) -> Mapping[Verdict, int]:
        """Find out what became of every `unknown` message whose grace is over.

        What the platform told by itself is looked at first, then its own chat is the witness.
        Returns how many were settled in which way; raises Unavailable while PostgreSQL is away."""
        with self._open() as work:
            unsettled = work.queue.unsettled(READERS * 2)
            work.commit()
        told = {one.message.id for one in unsettled if self._settle_by_events(one)}
        silent = [one for one in unsettled if one.message.id not in told]
        settled: dict[Verdict, int] = defaultdict(int)
        if told:
            settled[Verdict.SENT] = len(told)
        if silent:
            with ThreadPoolExecutor(READERS, "settle") as readers:
                chats = list(readers.map(self._chat, silent))
            for one, chat in zip(silent, chats, strict=True):
                verdict = self._settle(one, chat)
                settled[verdict] += 1
                self._note(one, verdict)
        return settled

    def _settle_by_events(self, one: Unsettled) -> bool:
        """Whether events alone prove that it was sent: no chat need be read then."""
        with self._open() as work:
            free = self._free(work, one, self._proofs(work, one.message))
            if not free:
                return False
            verdict = decide(one, len(free), work.queue.twins(one.message), self._now())
            if verdict is not Verdict.SENT:
                return False
            proof = free[0]
            work.messages.move(
                one.message,
                State.DELIVERED,
                platform_message_id=proof.id,
                sent_at=proof.created_at,
            )
            work.commit()
        self._note(one, verdict)
        return True

    def _note(self, one: Unsettled, verdict: Verdict) -> None:
        self._journal.note("message_settled", messageId=str(one.message.public_id), verdict=verdict)

    @staticmethod
    def _free(
        work: UnitOfWork, one: Unsettled, chat: Sequence[PlatformMessage]
    ) -> list[PlatformMessage]:
        """The chat's messages that could be this one and are no other row's."""
        candidates = matching(one, chat)
        held = work.queue.holds_platform_id(
            one.message.connection_id, [candidate.id for candidate in candidates]
        )
        return [candidate for candidate in candidates if candidate.id not in held]

    def _chat(self, one: Unsettled) -> Sequence[PlatformMessage] | None:
        try:
            return self._platform.recent_messages(
                one.claim.account_id,
                one.claim.access_key,
                one.claim.platform_user_id,
                newer_than=first_call(one) - MATCH_SLACK,
                deadline=READ_DEADLINE,
            )
        except PlatformUnavailable:
            return None

    def _settle(self, one: Unsettled, chat: Sequence[PlatformMessage] | None) -> Verdict:
        message = one.message
        with self._open() as work:
            if chat is None:
                work.queue.put_off(message.id, self._rules.unknown_grace)
                work.commit()
                return Verdict.LATER
            free = self._free(work, one, chat)
            verdict = decide(one, len(free), work.queue.twins(message), self._now())
            if verdict is Verdict.SENT:
                work.messages.move(
                    message,
                    State.SENT,
                    platform_message_id=free[0].id,
                    sent_at=free[0].created_at,
                )
            elif verdict is Verdict.AGAIN:
                work.messages.move(message, State.QUEUED, delay=Delay.RETRY, wake_in=timedelta(0))
            else:
                work.queue.put_off(message.id, None)
            work.commit()
        return verdict

    def forget_old_keys(self) -> int:
        """Delete idempotency keys older than a day."""
        with self._open() as work:
            count = work.idempotency.forget_old()
            work.commit()
        return count
