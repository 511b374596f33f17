"""Who would get what of a campaign, and when: its audience, its texts and its promises."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from domain.bulk_limits import NEVER, BulkLimits, Hours
from domain.campaigns import Audience, Candidate, Exclusion, Recipient, rendered
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import FieldProblem, Invalid
from domain.fans import FanId, recipient_id
from domain.messages import CONTENT_MAX, Draft
from domain.ports import WaitingRoom
from domain.repositories import UnitOfWork
from domain.screening import Screen
from domain.segments import SegmentId
from domain.services.bulk_limits import most_of
from domain.services.promises import Promises
from domain.services.rules import SendingRules
from domain.services.screening import screen_of
from domain.services.segments import segment_of
from domain.users import OwnerId

SEGMENTS_MAX = 20
BAD_SHOWN = 1000
EXCLUDED_SHOWN = 1000
# Fans of a segment that are looked at together, and how many in a request at all.
AUDIENCE_BATCH, AUDIENCE_MAX = 5_000, 500_000
# How far an audience beyond the limit is counted.
COUNTED_MAX = 10_000
# Of a campaign that is only imagined.
SIZE_MAX = 10_000


@dataclass(frozen=True)
class Terms:
    """What decides whom a campaign reaches, and when. `rate_per_minute` instead of each account's
    own is for what-if."""

    draft: Draft
    audience: Audience
    starts_at: datetime
    hours: Hours | None = None
    rate_per_minute: float | None = None


@dataclass(frozen=True)
class Plan:
    """Who would get what. `excluded`: the first of those left out, and `excluded_by` counts all.
    `intervals`: between two messages of each account."""

    recipients: Sequence[Recipient]
    excluded: Sequence[tuple[FanId, Exclusion]] = ()
    excluded_by: Mapping[Exclusion, int] = field(default_factory=dict)
    duplicates: int = 0
    promised_at: datetime | None = None
    intervals: Mapping[ConnectionId, timedelta] = field(default_factory=dict)


@dataclass
class Sieve:
    """Sorts the fans of an audience: who gets which text, and who is left out and why."""

    content: str
    listed: Collection[FanId]
    screen: Screen
    needs_text: bool
    recipients: list[Recipient] = field(default_factory=list)
    excluded: list[tuple[FanId, Exclusion]] = field(default_factory=list)
    excluded_by: Counter[Exclusion] = field(default_factory=Counter)
    seen: set[FanId] = field(default_factory=set)

    def add(self, work: UnitOfWork, owner_id: OwnerId, fan_ids: Iterable[FanId]) -> None:
        """Each fan once, in this order."""
        new = [one for one in dict.fromkeys(fan_ids) if one not in self.seen]
        self.seen.update(new)
        found = {one.fan_id: one for one in work.campaigns.candidates(owner_id, new)}
        for fan_id in new:
            candidate = found.get(fan_id)
            text = rendered(self.content, candidate) if candidate else None
            why = self._why_not(candidate, text)
            if why is not None:
                self.excluded_by[why] += 1
                if len(self.excluded) < COUNTED_MAX:
                    self.excluded.append((fan_id, why))
            elif candidate and text is not None and candidate.connection_id:
                self.recipients.append(Recipient(fan_id, candidate.connection_id, text))

    def _why_not(self, candidate: Candidate | None, text: str | None) -> Exclusion | None:
        if candidate is None:
            return Exclusion.UNKNOWN
        checks = (
            (candidate.is_deleted, Exclusion.DELETED),
            (candidate.fan_id in self.listed, Exclusion.LISTED),
            (not candidate.is_linked, Exclusion.NOT_LINKED),
            (candidate.is_disconnected, Exclusion.DISCONNECTED),
        )
        return next((why for holds, why in checks if holds), None) or self._unfit(text)

    def _unfit(self, text: str | None) -> Exclusion | None:
        if text is None:
            return Exclusion.NO_NAME
        if len(text) > CONTENT_MAX:
            return Exclusion.TOO_LONG
        if self.needs_text and not text.strip():
            return Exclusion.EMPTY
        # The text as it was written has been looked through.
        if text != self.content and self.screen.found(text):
            return Exclusion.BANNED
        return None


class Planner:
    """Makes plans in a caller's transaction."""

    def __init__(self, room: WaitingRoom, rules: SendingRules, max_recipients: int) -> None:
        self._room = room
        self._rules = rules
        self._max_recipients = max_recipients

    def plan(
        self,
        work: UnitOfWork,
        owner_id: OwnerId,
        terms: Terms,
        now: datetime,
        *,
        strict: bool = True,
    ) -> Plan:
        """The audience as it is now. Strict: whoever was named one by one must be reachable.

        Raises Invalid naming every bad recipient, too many of them, or nobody at all."""
        audience, draft = terms.audience, terms.draft
        segments = len(audience.segment_ids) + len(audience.exclude_segment_ids)
        if segments > SEGMENTS_MAX:
            raise Invalid(FieldProblem("segmentIds", f"use at most {SEGMENTS_MAX}"))
        if not audience.recipient_ids and not audience.segment_ids:
            raise Invalid(FieldProblem("recipientIds", "name at least one fan or segment"))
        sieve = Sieve(
            draft.content,
            self._listed(work, owner_id, audience),
            screen_of(work, owner_id),
            needs_text=not draft.attachments,
        )
        kept = work.fans.kept(owner_id, audience.recipient_ids)
        named = [kept.get(one, one) for one in audience.recipient_ids]
        sieve.add(work, owner_id, named)
        if strict:
            _refuse_bad(sieve.excluded)
        for fan_ids in self._of_segments(work, owner_id, audience.segment_ids):
            sieve.add(work, owner_id, fan_ids)
            if len(sieve.recipients) > max(COUNTED_MAX, self._max_recipients):
                break
        self._refuse_size(len(sieve.recipients))
        return replace(
            self._timed(work, sieve.recipients, terms, now),
            excluded=sieve.excluded[:EXCLUDED_SHOWN],
            excluded_by=sieve.excluded_by,
            duplicates=len(named) - len(set(named)),
        )

    def imagine(
        self, work: UnitOfWork, owner_id: OwnerId, size: int, terms: Terms, now: datetime
    ) -> Plan:
        """As many recipients as asked, spread evenly over the active accounts. Raises Invalid."""
        if not 1 <= size <= SIZE_MAX:
            raise Invalid(FieldProblem("size", f"use 1 to {SIZE_MAX}"))
        accounts = [
            one.id
            for one in work.connections.list_of(owner_id)
            if one.state is ConnectionState.ACTIVE
        ]
        if not accounts:
            raise Invalid(FieldProblem("size", "no account is active: connect or resume one"))
        nobody = [
            Recipient(FanId(-number), accounts[number % len(accounts)], terms.draft.content)
            for number in range(1, size + 1)
        ]
        return self._timed(work, nobody, terms, now)

    # The audience

    def _of_segments(
        self, work: UnitOfWork, owner_id: OwnerId, segment_ids: Sequence[int]
    ) -> Iterator[Sequence[FanId]]:
        looked_at = 0
        for segment in [segment_of(work, owner_id, SegmentId(one)) for one in segment_ids]:
            after = FanId(0)
            while ids := work.fans.ids(owner_id, (segment.filter,), after, AUDIENCE_BATCH):
                looked_at += len(ids)
                if looked_at > AUDIENCE_MAX:
                    remedy = f"they hold more than {AUDIENCE_MAX} fans: narrow them"
                    raise Invalid(FieldProblem("segmentIds", remedy), code="audience_too_large")
                yield ids
                after = ids[-1]

    def _listed(self, work: UnitOfWork, owner_id: OwnerId, audience: Audience) -> frozenset[FanId]:
        kept = work.fans.kept(owner_id, audience.exclude_ids)
        listed = {kept.get(one, one) for one in audience.exclude_ids}
        for fan_ids in self._of_segments(work, owner_id, audience.exclude_segment_ids):
            listed.update(fan_ids)
        return frozenset(listed)

    def _refuse_size(self, count: int) -> None:
        if count > self._max_recipients:
            many = f"more than {COUNTED_MAX}" if count > COUNTED_MAX else f"{count}"
            problem = f"{many} recipients: at most {self._max_recipients}"
            raise Invalid(FieldProblem("recipientIds", problem), code="too_many_recipients")
        if not count:
            raise Invalid(FieldProblem("recipientIds", "nobody is left to write to"))

    # The promises

    def _timed(
        self,
        work: UnitOfWork,
        recipients: Sequence[Recipient],
        terms: Terms,
        now: datetime,
    ) -> Plan:
        """Each with its promise; the accounts are locked, so that nobody else is promised it."""
        promises = Promises(work, self._room, self._rules, now)
        by_account: dict[ConnectionId, list[Recipient]] = defaultdict(list)
        for one in recipients:
            by_account[one.connection_id].append(one)
        intervals: dict[ConnectionId, timedelta] = {}
        timed: dict[FanId, Recipient] = {}
        for connection_id in sorted(by_account):
            connection = work.connections.lock(connection_id)
            if terms.rate_per_minute is not None:
                connection = replace(connection, rate_per_minute=terms.rate_per_minute)
            intervals[connection_id] = self._interval(connection)
            mine = by_account[connection_id]
            for one in self._on(work, connection, mine, promises, terms):
                timed[one.fan_id] = one
        ordered = [timed[one.fan_id] for one in recipients]
        ends = [one.promised_at for one in ordered if one.promised_at is not None]
        # Unless an account is paused: then nobody can say.
        last = max(ends) if len(ends) == len(ordered) else None
        return Plan(ordered, promised_at=last, intervals=intervals)

    def _interval(self, connection: Connection) -> timedelta:
        return timedelta(milliseconds=self._rules.pace(connection).interval_ms)

    def _on(
        self,
        work: UnitOfWork,
        connection: Connection,
        recipients: Sequence[Recipient],
        promises: Promises,
        terms: Terms,
    ) -> Sequence[Recipient]:
        """The recipients of one account with their promises, as its pace, hours and caps allow."""
        limits, start = connection.bulk_limits.within(terms.hours), terms.starts_at
        if limits.next_open(start, ())[0] >= start + NEVER:
            raise Invalid(FieldProblem("hours", f"they never meet those of {connection.name}"))
        held = _held(work, connection, recipients, start)
        # Whoever has had enough of today leaves the place to the others.
        order = sorted(recipients, key=lambda one: one.fan_id in held)
        slots = [promises.next(connection, terms.draft.priority) for _ in order]
        known = [slot + (start - promises.now) for slot in slots if slot is not None]
        if len(known) < len(order):
            return [replace(one, held_until=held.get(one.fan_id)) for one in order]
        # Those that go before use up the caps as well.
        before = max(0, (known[0] - start) // self._interval(connection))
        instants = self._allowed(work, connection, limits, known, before)
        return [
            replace(
                one,
                promised_at=max(at, held.get(one.fan_id, at)),
                held_until=held.get(one.fan_id),
            )
            for one, at in zip(order, instants, strict=True)
        ]

    def last_slot(
        self,
        work: UnitOfWork,
        connection: Connection,
        limits: BulkLimits,
        before: int,
        slot: datetime,
    ) -> datetime:
        """When a message leaves that has so many before it and would leave at `slot`, as the limits
        allow it."""
        return self._allowed(work, connection, limits, [slot], before)[0]

    def _allowed(
        self,
        work: UnitOfWork,
        connection: Connection,
        limits: BulkLimits,
        slots: Sequence[datetime],
        before: int,
    ) -> Sequence[datetime]:
        if limits == BulkLimits():
            return slots
        most = most_of(limits)
        calls = work.bulk_limits.calls(connection.id, most) if most else ()
        interval = self._interval(connection)
        ahead = [slots[0] - number * interval for number in range(before, 0, -1)]
        return limits.forecast([*ahead, *slots], calls)[before:]


def _held(
    work: UnitOfWork, connection: Connection, recipients: Sequence[Recipient], start: datetime
) -> Mapping[FanId, datetime]:
    """Fans who have had as many messages of campaigns as the account allows, and until when."""
    limits = connection.bulk_limits
    if limits.per_fan is None:
        return {}
    got = work.bulk_limits.got(connection.owner_id, [one.fan_id for one in recipients])
    free = {fan_id: limits.fan_free_at(instants) for fan_id, instants in got.items()}
    return {fan_id: at for fan_id, at in free.items() if at is not None and at > start}


def _refuse_bad(excluded: Sequence[tuple[FanId, Exclusion]]) -> None:
    """Whoever was named one by one must be reachable; of a segment the others are left out."""
    bad = [
        FieldProblem("recipientIds", f"{recipient_id(fan_id)}: {why}")
        for fan_id, why in excluded
        if why is not Exclusion.LISTED
    ]
    if bad:
        raise Invalid(*bad[:BAD_SHOWN], code="bad_recipients")
