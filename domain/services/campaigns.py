"""Campaigns: started, followed, paused, resumed, cancelled and tried again.

The audience is frozen in the request; messages are written page by page by a worker, and parked in
the waiting room in the campaign's own lane of each account. Nothing is announced per recipient.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.campaigns import (
    NAME_MAX,
    OPEN,
    TRANSITIONS,
    Audience,
    Campaign,
    CampaignId,
    CampaignStatus,
    Candidate,
    Exclusion,
    Recipient,
    rendered,
)
from domain.connections import ConnectionId
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.events import CampaignCompleted, CampaignProgressed, CampaignStarted, Event
from domain.fans import FanId, recipient_id
from domain.media import BACKOFF, MediaUnavailable
from domain.messages import CONTENT_MAX, Attachment, Draft, State, attachments_of, validate
from domain.pacing import LaneVerb, Waiting
from domain.paging import Page
from domain.ports import Journal, PlatformUnavailable, RoomUnavailable, WaitingRoom
from domain.repositories import Delivery, NewCampaign, Once, OpenUnitOfWork, UnitOfWork
from domain.segments import SegmentId
from domain.services.media import FileRefused, MediaService
from domain.services.once import run_once
from domain.services.promises import Promises, estimates, instant
from domain.services.rules import SendingRules
from domain.services.screening import screen
from domain.services.segments import segment_of
from domain.users import Caller, OwnerId, Permission

# Written and parked in one call each.
PAGE = 500
PASS_LIMIT = 100
SEGMENTS_MAX = 20
EXCLUDED_SHOWN = 1000
BAD_SHOWN = 1000
# A campaign's metrics are written at most this often.
COUNT_EVERY = timedelta(seconds=2)
VERBS = {
    CampaignStatus.PAUSED: LaneVerb.PAUSE,
    CampaignStatus.ACTIVE: LaneVerb.RESUME,
    CampaignStatus.CANCELLED: LaneVerb.CANCEL,
}


@dataclass(frozen=True)
class Plan:
    """Who would get what: the frozen audience of a campaign that starts now."""

    recipients: Sequence[Recipient]
    excluded: Sequence[tuple[FanId, Exclusion]]
    duplicates: int
    promised_at: datetime | None


@dataclass(frozen=True)
class CampaignResult:
    """A campaign after a request. `in_flight`: how many of its messages had begun and are not
    stopped by it. `replayed`: an Idempotency-Key brought it back."""

    campaign: Campaign
    excluded: Sequence[Mapping[str, Any]] = ()
    duplicates: int = 0
    in_flight: int = 0
    replayed: bool = False


@dataclass(frozen=True)
class CampaignReport:
    """A campaign with when it ends as it looks now, and why its messages are late."""

    campaign: Campaign
    estimated_at: datetime | None
    delays: Mapping[str, int]

    @property
    def drift(self) -> timedelta | None:
        """How much later than promised it ends."""
        promised = self.campaign.promised_at
        ends = self.campaign.completed_at or self.estimated_at
        return ends - promised if promised and ends else None


class CampaignService:
    """The use cases of campaigns, and the workers' part of them."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        room: WaitingRoom,
        media: MediaService,
        rules: SendingRules,
        journal: Journal,
        max_recipients: int = 100,
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._media = media
        self._rules = rules
        self._journal = journal
        self._max_recipients = max_recipients

    # Starting

    def launch(  # noqa: PLR0917  # name, text and audience are three things
        self,
        caller: Caller,
        name: str,
        draft: Draft,
        audience: Audience,
        now: datetime,
        once: Once | None = None,
    ) -> CampaignResult:
        """Start a campaign: its audience and every text are frozen, its end is promised. Raises
        Invalid naming every bad recipient, too many of them, or a bad field; then nothing is
        stored."""
        caller.require(Permission.SEND)
        named, draft = _name(name), self._checked(draft)

        def deed(work: UnitOfWork) -> str:
            screen(work, caller.owner_id, draft.content)
            plan = self._plan(work, caller.owner_id, draft, audience, now)
            new = NewCampaign(
                name=named,
                content=draft.content,
                media_urls=draft.media_urls,
                price_cents=draft.price_cents,
                priority=draft.priority,
                metadata=draft.metadata,
                audience=_audience_record(audience, plan),
                recipients=plan.recipients,
                promised_at=plan.promised_at,
            )
            campaign = work.campaigns.add(caller, new, self._rules.wake_after)
            detail = {"recipients": campaign.total, "excluded": len(plan.excluded)}
            work.audit.add(caller, "campaign.started", "campaign", str(campaign.public_id), detail)
            work.emit(_event(CampaignStarted(campaign_id=campaign.id), campaign))
            return json.dumps(str(campaign.public_id))

        answer, replayed = run_once(self._open, caller, once, deed)
        campaign = self.get(caller, UUID(json.loads(answer)))
        return CampaignResult(
            campaign,
            campaign.audience.get("excluded", ()),
            campaign.audience.get("duplicates", 0),
            replayed=replayed,
        )

    def _checked(self, draft: Draft) -> Draft:
        metadata = json.dumps(dict(draft.metadata), ensure_ascii=False).encode()
        return validate(draft, len(metadata), self._rules.media_hosts)

    def preview(self, caller: Caller, draft: Draft, audience: Audience, now: datetime) -> Plan:
        """Who would get what and when it would end; nothing is stored. Raises Invalid."""
        caller.require(Permission.SEND)
        draft = self._checked(draft)
        with self._open() as work:
            screen(work, caller.owner_id, draft.content)
            return self._plan(work, caller.owner_id, draft, audience, now)

    def _plan(
        self,
        work: UnitOfWork,
        owner_id: OwnerId,
        draft: Draft,
        audience: Audience,
        now: datetime,
    ) -> Plan:
        asked, duplicates = self._asked(work, owner_id, audience)
        listed = self._listed(work, owner_id, audience)
        found = {one.fan_id: one for one in work.campaigns.candidates(owner_id, asked)}
        explicit = set(audience.recipient_ids)
        recipients: list[Recipient] = []
        excluded: list[tuple[FanId, Exclusion]] = []
        for fan_id in asked:
            candidate = found.get(fan_id)
            text = rendered(draft.content, candidate) if candidate else None
            why = _why_not(candidate, text, is_listed=fan_id in listed)
            if why is None and candidate and text is not None and candidate.connection_id:
                recipients.append(Recipient(fan_id, candidate.connection_id, text))
            elif why is not None:
                excluded.append((fan_id, why))
        self._refuse(excluded, explicit, len(recipients))
        promised = self._promised(work, recipients, draft.priority, now)
        last = max((one.promised_at for one in promised if one.promised_at), default=None)
        if any(one.promised_at is None for one in promised):
            last = None  # An account is paused: nobody can say.
        return Plan(promised, excluded, duplicates, last)

    def _asked(
        self, work: UnitOfWork, owner_id: OwnerId, audience: Audience
    ) -> tuple[Sequence[FanId], int]:
        """Each fan once, in the order asked, and how many were named twice."""
        if len(audience.segment_ids) + len(audience.exclude_segment_ids) > SEGMENTS_MAX:
            raise Invalid(FieldProblem("segmentIds", f"use at most {SEGMENTS_MAX}"))
        named = list(audience.recipient_ids)
        for segment_id in audience.segment_ids:
            named += self._of_segment(work, owner_id, segment_id, len(named))
        once = list(dict.fromkeys(named))
        if not once:
            raise Invalid(FieldProblem("recipientIds", "name at least one fan or segment"))
        return once, len(audience.recipient_ids) - len(set(audience.recipient_ids))

    def _of_segment(
        self, work: UnitOfWork, owner_id: OwnerId, segment_id: int, so_far: int
    ) -> Sequence[FanId]:
        segment = segment_of(work, owner_id, SegmentId(segment_id))
        # Some may be left out again; far beyond the limit nobody needs to be counted.
        most = 2 * self._max_recipients + so_far + 1000
        return work.fans.ids(owner_id, (segment.filter,), FanId(0), most)

    def _listed(self, work: UnitOfWork, owner_id: OwnerId, audience: Audience) -> frozenset[FanId]:
        listed = set(audience.exclude_ids)
        for segment_id in audience.exclude_segment_ids:
            segment = segment_of(work, owner_id, SegmentId(segment_id))
            after = FanId(0)
            while ids := work.fans.ids(owner_id, (segment.filter,), after, 10_000):
                listed.update(ids)
                after = ids[-1]
        return frozenset(listed)

    def _refuse(
        self, excluded: Sequence[tuple[FanId, Exclusion]], explicit: set[FanId], count: int
    ) -> None:
        """Whoever was named one by one must be reachable; of a segment the others are left out."""
        bad = [
            FieldProblem("recipientIds", f"{recipient_id(fan_id)}: {why}")
            for fan_id, why in excluded
            if fan_id in explicit and why is not Exclusion.LISTED
        ]
        if bad:
            raise Invalid(*bad[:BAD_SHOWN], code="bad_recipients")
        if count > self._max_recipients:
            problem = f"{count} recipients: at most {self._max_recipients}"
            raise Invalid(FieldProblem("recipientIds", problem), code="too_many_recipients")
        if not count:
            raise Invalid(FieldProblem("recipientIds", "nobody is left to write to"))

    def _promised(
        self, work: UnitOfWork, recipients: Sequence[Recipient], priority: int, now: datetime
    ) -> Sequence[Recipient]:
        """Each with its promise; the accounts are locked, so that nobody else is promised it."""
        promises = Promises(work, self._room, self._rules, now)
        ids = sorted({one.connection_id for one in recipients})
        locked = {connection_id: work.connections.lock(connection_id) for connection_id in ids}
        return [
            replace(one, promised_at=promises.next(locked[one.connection_id], priority))
            for one in recipients
        ]

    # A worker's

    def fan_out(self, campaign_id: CampaignId) -> int:
        """Write the messages that are left to write, and park them; returns how many. Run twice,
        or by two workers at once, each recipient has one message."""
        if not self._rules.enabled:
            return 0
        with self._open() as work:
            campaign = work.campaigns.by_id(campaign_id)
            connections = work.campaigns.connections(campaign_id)
        if campaign is None or campaign.status not in OPEN:
            return 0
        ready = self._shelved(campaign, connections)
        written, after = 0, 0
        while ready:
            with self._open() as work:
                page = work.campaigns.write_page(
                    campaign_id, ready, after, PAGE, self._rules.wake_after
                )
                work.commit()
            if page.last_position is None:
                break
            after = page.last_position
            for connection_id, waiting in page.waiting.items():
                written += len(waiting)
                self._park(connection_id, waiting)
        if len(ready) == len(connections):
            with self._open() as work:
                work.campaigns.fanned_out(campaign_id)
                work.commit()
        self._journal.note("campaign_fanned_out", campaignId=campaign_id, messages=written)
        return written

    def _shelved(
        self, campaign: Campaign, connections: Sequence[ConnectionId]
    ) -> Mapping[ConnectionId, Sequence[Attachment]]:
        """The accounts whose vault has the campaign's media, with their ids there. The others are
        tried again; a file that will never do fails the campaign before anything is sent of it."""
        attachments = attachments_of(campaign.media_urls)
        if not attachments:
            return dict.fromkeys(connections, ())
        ready: dict[ConnectionId, Sequence[Attachment]] = {}
        for connection_id in connections:
            try:
                shelved = self._media.shelve(connection_id, attachments)
            except FileRefused as problem:
                self._fail(campaign, str(problem))
                return {}
            except (MediaUnavailable, PlatformUnavailable) as problem:
                self._try_later(campaign, str(problem) or "the platform did not take the file")
                continue
            if shelved is None:
                self._try_later(campaign, "an account does not take files at the moment")
            else:
                ready[connection_id] = shelved
        return ready

    def _fail(self, campaign: Campaign, reason: str) -> None:
        with self._open() as work:
            work.campaigns.set_status(campaign.id, CampaignStatus.FAILED, reason)
            work.campaigns.cancel_queued(campaign.id)
            work.commit()
        self._journal.note("campaign_failed", campaignId=str(campaign.public_id))

    def _try_later(self, campaign: Campaign, reason: str) -> None:
        """As often and as far apart as the media of a single message, then it fails."""
        if campaign.wake_tries >= len(BACKOFF):
            self._fail(campaign, reason)
            return
        with self._open() as work:
            work.campaigns.wait(campaign.id, BACKOFF[campaign.wake_tries], reason)
            work.commit()

    def _park(self, connection_id: ConnectionId, waiting: Sequence[Waiting]) -> None:
        """Into the campaign's lane. What the room does not hear, the timer tells it later."""
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
        if connection is None:
            return
        try:
            admission = self._room.admit(self._rules.pace(connection), waiting)
        except RoomUnavailable as problem:
            self._journal.note("admission_postponed", reason=str(problem))
            return
        with self._open() as work:
            work.queue.admitted(estimates(admission, waiting), self._rules.overdue_after)
            work.commit()

    def count(self, campaign_id: CampaignId) -> None:
        """Write a campaign's metrics from its rows, and complete it when nothing is left."""
        with self._open() as work:
            campaign = work.campaigns.count(campaign_id)
            if campaign is None:
                return
            is_over = campaign.fanned_out_at is not None and campaign.progress.is_done
            if campaign.status is CampaignStatus.ACTIVE and is_over:
                work.campaigns.set_status(campaign_id, CampaignStatus.COMPLETED)
                work.emit(_event(CampaignCompleted(campaign_id=campaign_id), campaign))
            work.commit()

    def completed(self, campaign_id: CampaignId) -> None:
        """One line for a campaign that has come to its end."""
        with self._open() as work:
            campaign = work.campaigns.by_id(campaign_id)
        if campaign is not None:
            self._journal.note(
                "campaign_completed",
                campaignId=str(campaign.public_id),
                userId=str(campaign.owner_id),
                **campaign.metrics,
            )

    # The timer's

    def wake_overdue(self) -> int:
        """Announce campaigns again whose fan-out is not done."""
        if not self._rules.enabled:
            return 0
        with self._open() as work:
            overdue = work.campaigns.overdue(PASS_LIMIT)
            for campaign in overdue:
                work.emit(_event(CampaignStarted(campaign_id=campaign.id), campaign))
            work.commit()
        return len(overdue)

    def announce_progress(self) -> int:
        """Have those counted of which a message changed."""
        with self._open() as work:
            changed = work.campaigns.changed(PASS_LIMIT, COUNT_EVERY)
            for campaign_id in changed:
                payload = CampaignProgressed(campaign_id=campaign_id)
                work.emit(Event(payload, group=f"campaign-{campaign_id}"))
            work.commit()
        return len(changed)

    # Changing one's mind

    def set_status(
        self,
        caller: Caller,
        public_id: UUID,
        status: CampaignStatus,
        once: Once | None = None,
    ) -> CampaignResult:
        """Pause, resume or cancel. After the answer nothing more begins of a paused or cancelled
        campaign but what had begun, which `in_flight` counts. Raises NotFound and Conflict."""
        caller.require(Permission.SEND)
        told: list[tuple[CampaignId, Sequence[ConnectionId]]] = []

        def deed(work: UnitOfWork) -> str:
            campaign = self._locked(work, caller, public_id)
            if campaign.status is not status:
                if status not in TRANSITIONS[campaign.status]:
                    raise Conflict(
                        f"it is {campaign.status} and cannot become {status}",
                        code=f"campaign_{campaign.status}",
                    )
                work.campaigns.set_status(campaign.id, status)
                action = f"campaign.{VERBS[status]}"
                work.audit.add(caller, action, "campaign", str(public_id))
            if status is CampaignStatus.CANCELLED:
                work.campaigns.cancel_queued(campaign.id)
            if status is CampaignStatus.ACTIVE and campaign.fanned_out_at is None:
                work.emit(_event(CampaignStarted(campaign_id=campaign.id), campaign))
            told.append((campaign.id, work.campaigns.connections(campaign.id)))
            return json.dumps(campaign.progress.sending)

        answer, replayed = run_once(self._open, caller, once, deed)
        for campaign_id, connections in told:
            self._tell_room(campaign_id, connections, VERBS[status])
        return CampaignResult(
            self.get(caller, public_id), in_flight=json.loads(answer), replayed=replayed
        )

    def _tell_room(
        self, campaign_id: CampaignId, connections: Sequence[ConnectionId], verb: LaneVerb
    ) -> None:
        # The claim refuses what the room still hands out.
        with contextlib.suppress(RoomUnavailable):
            for connection_id in connections:
                self._room.lane(connection_id, campaign_id, verb)

    def retry(self, caller: Caller, public_id: UUID, once: Once | None = None) -> CampaignResult:
        """Queue its failed messages again. Raises NotFound, and Conflict when none failed or it is
        neither active nor completed."""
        caller.require(Permission.SEND)
        parked: list[tuple[ConnectionId, Sequence[Waiting]]] = []

        def deed(work: UnitOfWork) -> str:
            campaign = self._locked(work, caller, public_id)
            if campaign.status not in {CampaignStatus.ACTIVE, CampaignStatus.COMPLETED}:
                raise Conflict(
                    f"it is {campaign.status}: only an active or completed campaign is retried",
                    code=f"campaign_{campaign.status}",
                )
            again = work.campaigns.requeue_failed(campaign.id, self._rules.wake_after)
            if not again.waiting:
                raise Conflict("no message of it has failed", code="nothing_failed")
            if campaign.status is CampaignStatus.COMPLETED:
                work.campaigns.set_status(campaign.id, CampaignStatus.ACTIVE)
            count = sum(map(len, again.waiting.values()))
            work.audit.add(
                caller, "campaign.retried", "campaign", str(public_id), {"messages": count}
            )
            parked.extend(again.waiting.items())
            return json.dumps(count)

        _answer, replayed = run_once(self._open, caller, once, deed)
        for connection_id, waiting in parked:
            self._park(connection_id, waiting)
        return CampaignResult(self.get(caller, public_id), replayed=replayed)

    def _locked(self, work: UnitOfWork, caller: Caller, public_id: UUID) -> Campaign:
        found = work.campaigns.get(caller.owner_id, public_id, lock=True)
        if found is None:
            raise NotFound("no such campaign", code="campaign_not_found")
        return found

    # Looking

    def get(self, caller: Caller, public_id: UUID) -> Campaign:
        """With its progress, counted from rows now; raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            found = work.campaigns.get(caller.owner_id, public_id)
        if found is None:
            raise NotFound("no such campaign", code="campaign_not_found")
        return found

    def report(self, caller: Caller, public_id: UUID) -> CampaignReport:
        """With when it ends as it looks now, and why it is late; raises NotFound."""
        campaign = self.get(caller, public_id)
        with self._open() as work:
            delays = work.campaigns.delays(campaign.id)
            last = work.campaigns.last_waiting(campaign.id)
        return CampaignReport(campaign, self._ends(campaign, last), delays)

    def _ends(
        self, campaign: Campaign, last: Sequence[tuple[ConnectionId, Waiting]]
    ) -> datetime | None:
        if campaign.status is not CampaignStatus.ACTIVE:
            return None
        if not last:
            return campaign.promised_at
        try:
            places = [self._room.place(connection_id, one) for connection_id, one in last]
        except RoomUnavailable:
            return None
        slots = [place[1] for place in places if place is not None]
        return instant(max(slots)) if slots else campaign.promised_at

    def page(
        self,
        caller: Caller,
        limit: int,
        cursor: str | None,
        status: CampaignStatus | None = None,
    ) -> Page[Campaign]:
        """Newest first; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.campaigns.page(caller.owner_id, limit, cursor, status)

    def recipients(
        self,
        caller: Caller,
        public_id: UUID,
        limit: int,
        cursor: str | None,
        state: State | None = None,
    ) -> Page[Delivery]:
        """Whom it reaches and what became of each; raises NotFound."""
        campaign = self.get(caller, public_id)
        with self._open() as work:
            return work.campaigns.recipients(caller.owner_id, campaign.id, limit, cursor, state)


def _event(payload: CampaignStarted | CampaignCompleted, campaign: Campaign) -> Event:
    return Event(payload, group=f"campaign-{campaign.id}")


def _name(name: str) -> str:
    named = name.strip()
    if not named or len(named) > NAME_MAX:
        raise Invalid(FieldProblem("campaignName", f"use 1 to {NAME_MAX} characters"))
    return named


def _why_not(candidate: Candidate | None, text: str | None, *, is_listed: bool) -> Exclusion | None:
    if candidate is None:
        return Exclusion.UNKNOWN
    checks = (
        (candidate.is_deleted, Exclusion.DELETED),
        (is_listed, Exclusion.LISTED),
        (not candidate.is_linked, Exclusion.NOT_LINKED),
        (candidate.is_disconnected, Exclusion.DISCONNECTED),
        (text is None, Exclusion.NO_NAME),
        (text is not None and len(text) > CONTENT_MAX, Exclusion.TOO_LONG),
    )
    return next((why for holds, why in checks if holds), None)


def _audience_record(audience: Audience, plan: Plan) -> dict[str, Any]:
    """The audience as it was asked for and as it came out."""
    return {
        "recipientIds": [recipient_id(one.fan_id) for one in plan.recipients],
        "segmentIds": list(audience.segment_ids),
        "excludeIds": [recipient_id(one) for one in audience.exclude_ids],
        "excludeSegmentIds": list(audience.exclude_segment_ids),
        "duplicates": plan.duplicates,
        "excludedCount": len(plan.excluded),
        "excludedBy": Counter(why.name.lower() for _, why in plan.excluded),
        "excluded": [
            {"recipientId": recipient_id(fan_id), "code": why.name.lower(), "reason": why.value}
            for fan_id, why in plan.excluded[:EXCLUDED_SHOWN]
        ],
    }
