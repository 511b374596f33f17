"""Campaigns: started, followed, paused, resumed, cancelled and tried again.

The audience is frozen in the request; messages are written page by page by a worker, and parked in
the waiting room in the campaign's own lane of each account. Nothing is announced per recipient.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.campaigns import (
    ASKED,
    NAME_MAX,
    OPEN,
    SCHEDULED_MAX,
    Audience,
    Campaign,
    CampaignId,
    CampaignStatus,
    Exclusion,
    Unwritten,
    audience_of,
    check_transition,
    rendered,
)
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.events import CampaignCompleted, CampaignProgressed, CampaignStarted, Event
from domain.fans import FanId, recipient_id
from domain.media import BACKOFF, MediaUnavailable
from domain.messages import Attachment, Draft, State, attachments_of, validate
from domain.notices import explain_account, pause_notice
from domain.pacing import LaneVerb, Waiting
from domain.paging import Page
from domain.ports import Journal, PlatformUnavailable, RoomUnavailable, WaitingRoom
from domain.repositories import (
    Delivery,
    NewCampaign,
    Once,
    OpenUnitOfWork,
    UnitOfWork,
    WaitingOn,
)
from domain.segments import FanFilter
from domain.services.media import SLOW_DOWN, STAGES, UPLOADING, FileRefused, MediaService
from domain.services.messages import MessageService
from domain.services.once import run_once
from domain.services.planning import Plan, Planner, Terms
from domain.services.promises import estimates, instant
from domain.services.results import SendResult
from domain.services.rules import SendingRules
from domain.services.screening import screen
from domain.users import Caller, Permission

# Written and parked in one call each.
PAGE = 500
PASS_LIMIT = 100
# Fans who may get a message before anybody else does.
TEST_TAG = "test"
TESTERS = FanFilter(tags=(TEST_TAG,), linked=True)
TEST_REMEDY = (
    f"name a fan that carries the tag {TEST_TAG}, or give it to one, such as a second account of"
    " your own"
)
# A campaign's metrics are written at most this often.
COUNT_EVERY = timedelta(seconds=2)
VERBS = {
    CampaignStatus.PAUSED: LaneVerb.PAUSE,
    CampaignStatus.ACTIVE: LaneVerb.RESUME,
    CampaignStatus.CANCELLED: LaneVerb.CANCEL,
}


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
    """A campaign with when it ends as it looks now, why its messages are late, and the accounts
    whose state or limits hold it."""

    campaign: Campaign
    estimated_at: datetime | None
    delays: Mapping[str, int]
    holds: Sequence[Connection] = ()

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
        messages: MessageService,
        rules: SendingRules,
        journal: Journal,
        max_recipients: int = 100,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._media = media
        self._messages = messages
        self._rules = rules
        self._journal = journal
        self._planner = Planner(room, rules, max_recipients)
        self._now = now

    # Starting

    def launch(
        self,
        caller: Caller,
        name: str,
        terms: Terms,
        now: datetime,
        once: Once | None = None,
        *,
        failure_percent: int = 20,
    ) -> CampaignResult:
        """Start a campaign: its audience and every text are frozen, its end is promised. One that
        starts later is frozen then, and whoever cannot be reached by then is left out. Raises
        Invalid naming every bad recipient, too many of them, or a bad field; then nothing is
        stored."""
        caller.require(Permission.SEND)

        # Nothing is checked before it is known whether this is a replay.
        def deed(work: UnitOfWork) -> str:
            draft = self._checked(terms.draft)
            _check_time(terms.starts_at, now)
            is_later = terms.starts_at > now
            screen(work, caller.owner_id, draft.content)
            plan = self._planner.plan(work, caller.owner_id, replace(terms, draft=draft), now)
            new = NewCampaign(
                name=_name(name),
                content=draft.content,
                media_urls=draft.media_urls,
                price_cents=draft.price_cents,
                priority=draft.priority,
                metadata=draft.metadata,
                audience=_audience_record(terms.audience, plan),
                recipients=plan.recipients,
                total=len(plan.recipients),
                promised_at=plan.promised_at,
                scheduled_at=terms.starts_at if is_later else None,
                failure_percent=failure_percent,
                hours=terms.hours,
            )
            if is_later:
                asked = _audience_record(terms.audience, replace(plan, recipients=()))
                asked["recipientIds"] = [recipient_id(one) for one in terms.audience.recipient_ids]
                new = replace(new, recipients=(), audience=asked)
            campaign = work.campaigns.add(caller, new, self._rules.wake_after)
            detail = {"recipients": campaign.total, "excluded": sum(plan.excluded_by.values())}
            done = "campaign.scheduled" if is_later else "campaign.started"
            work.audit.add(caller, done, "campaign", str(campaign.public_id), detail)
            if not is_later:
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

    def preview(self, caller: Caller, terms: Terms, now: datetime, size: int | None = None) -> Plan:
        """Who would get what and when it would end, of `size` imagined fans if given; nothing is
        stored. Raises Invalid."""
        caller.require(Permission.SEND)
        terms = replace(terms, draft=self._checked(terms.draft))
        _check_time(terms.starts_at, now)
        with self._open() as work:
            screen(work, caller.owner_id, terms.draft.content)
            if size is not None:
                return self._planner.imagine(work, caller.owner_id, size, terms, now)
            return self._planner.plan(work, caller.owner_id, terms, now)

    def send_test(
        self,
        caller: Caller,
        draft: Draft,
        fan_id: FanId | None,
        now: datetime,
        once: Once | None = None,
    ) -> SendResult:
        """One ordinary message to a fan that is tagged `test`, with the text as it gets it. Raises
        NotFound, Invalid, and what `send_message` raises."""
        caller.require(Permission.SEND)
        with self._open() as work:
            found = [fan_id] if fan_id else work.fans.ids(caller.owner_id, (TESTERS,), FanId(0), 2)
            fan = work.fans.get(caller.owner_id, found[0]) if found else None
            people = work.campaigns.candidates(caller.owner_id, found)
        if fan_id and fan is None:
            raise NotFound("no such fan", code="recipient_not_found")
        if fan is None or len(found) > 1 or TEST_TAG not in fan.tags:
            raise Invalid(FieldProblem("recipientId", TEST_REMEDY))
        text = rendered(draft.content, people[0])
        if text is None:
            raise Invalid(FieldProblem("content", f"this fan {Exclusion.NO_NAME}"))
        return self._messages.send_message(
            caller, recipient_id(fan.id), replace(draft, content=text), now, once
        )

    # A worker's

    def fan_out(self, campaign_id: CampaignId) -> int:
        """Write the messages that are left to write, and park them; returns how many. Run twice,
        or by two workers at once, each recipient has one message."""
        if not self._rules.enabled:
            return 0
        self._begin(campaign_id)
        self.turn_hours()  # Before anything waits in a lane that is to be held.
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

    def _begin(self, campaign_id: CampaignId) -> None:
        """Freeze the audience of a scheduled campaign whose time has come."""
        now = self._now()
        with self._open() as work:
            campaign = work.campaigns.lock_due(campaign_id)
            if campaign is None:
                return
            draft = Draft(
                campaign.content,
                attachments=attachments_of(campaign.media_urls),
                priority=campaign.priority,
                price_cents=campaign.price_cents,
            )
            audience = audience_of(campaign.audience)
            terms = Terms(draft, audience, starts_at=now, hours=campaign.hours)
            try:
                screen(work, campaign.owner_id, draft.content)  # Words may have been added.
                plan = self._planner.plan(work, campaign.owner_id, terms, now, strict=False)
            except (Invalid, NotFound) as problem:
                work.campaigns.set_status(campaign_id, CampaignStatus.FAILED, problem.message)
            else:
                record = _audience_record(audience, plan)
                work.campaigns.begin(campaign_id, record, plan.recipients, plan.promised_at)
            work.commit()

    def _shelved(
        self, campaign: Campaign, connections: Sequence[ConnectionId]
    ) -> Mapping[ConnectionId, Sequence[Attachment]]:
        """The accounts whose vault has the campaign's media, with their ids there: none before
        every account that takes files now has them, so that a file that will never do fails the
        campaign before anything is sent of it. An account that takes none lags behind."""
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
                return {}
            if shelved is not None:
                ready[connection_id] = shelved
        lagging = [one for one in connections if one not in ready]
        if lagging:
            self._wait_for(campaign, lagging[0])
        return ready

    def _fail(self, campaign: Campaign, reason: str) -> None:
        with self._open() as work:
            found = work.campaigns.lock(campaign.id)
            if found is None or found.status not in OPEN:
                return
            work.campaigns.set_status(campaign.id, CampaignStatus.FAILED, reason)
            work.campaigns.cancel_queued(campaign.id)
            connections = work.campaigns.connections(campaign.id)
            work.commit()
        self._tell_room(campaign.id, connections, LaneVerb.CANCEL)
        self._journal.note("campaign_failed", campaignId=str(campaign.public_id))

    def _try_later(self, campaign: Campaign, reason: str) -> None:
        """As often and as far apart as the media of a single message, then it fails."""
        if campaign.wake_tries >= len(BACKOFF):
            self._fail(campaign, reason)
            return
        with self._open() as work:
            work.campaigns.tried(campaign.id, BACKOFF[campaign.wake_tries], reason)
            work.commit()

    def _wait_for(self, campaign: Campaign, connection_id: ConnectionId) -> None:
        """An account takes no files, or another worker puts them there: no try is used."""
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
            if connection is None or connection.state in STAGES:
                work.campaigns.wait(campaign.id, UPLOADING, "its files are being uploaded")
            else:
                reason = f"{connection.name}: {pause_notice(connection.state).reason}"
                work.campaigns.wait(campaign.id, SLOW_DOWN, reason)
            work.commit()

    def _park(self, connection_id: ConnectionId, waiting: Sequence[Waiting]) -> None:
        """Into the campaign's lane. What the room does not hear, the timer tells it later."""
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
        if connection is None:
            return
        pace = self._rules.pace(connection)
        try:
            if connection.bulk_held_until is not None:  # Before anything waits in the lane.
                for campaign_id in {one.campaign_id for one in waiting if one.campaign_id}:
                    self._room.lane(connection_id, campaign_id, LaneVerb.PAUSE)
            for start in range(0, len(waiting), PAGE):
                page = waiting[start : start + PAGE]
                admission = self._room.admit(pace, page)
                with self._open() as work:
                    work.queue.admitted(estimates(admission, page), self._rules.overdue_after)
                    work.commit()
        except RoomUnavailable as problem:
            self._journal.note("admission_postponed", reason=str(problem))

    def count(self, campaign_id: CampaignId) -> None:
        """Write a campaign's metrics from its rows, complete it when nothing is left, and pause it
        when too much of it fails. Resumed, what had failed by then is forgiven."""
        with self._open() as work:
            counted = work.campaigns.count(campaign_id)
            work.commit()
        if counted is None or not (counted.is_over or counted.too_many_failed()):
            return
        pauses = False
        with self._open() as work:
            # Only now is it held, while claims wait: few counts come to this.
            campaign = work.campaigns.lock(campaign_id)
            if campaign is None or campaign.status not in OPEN:
                return
            failing = campaign.too_many_failed()
            if campaign.is_over:
                work.campaigns.set_status(campaign_id, CampaignStatus.COMPLETED)
                work.emit(_event(CampaignCompleted(campaign_id=campaign_id), campaign))
            elif failing and campaign.status is CampaignStatus.ACTIVE:
                work.campaigns.set_status(campaign_id, CampaignStatus.PAUSED, failing)
                pauses = True
            connections = work.campaigns.connections(campaign_id)
            work.commit()
        if pauses:
            self._tell_room(campaign_id, connections, LaneVerb.PAUSE)
            self._journal.note("campaign_paused", campaignId=str(campaign.public_id))

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

    def turn_hours(self) -> int:
        """Let campaigns go whose hours have opened, hold those whose hours have closed."""
        now = self._now()
        turned: list[tuple[CampaignId, Sequence[ConnectionId], LaneVerb]] = []
        with self._open() as work:
            for campaign in work.campaigns.turning(PASS_LIMIT):
                if campaign.hours is None:
                    continue
                until, is_open = campaign.hours.window(now)
                work.campaigns.turn(campaign.id, until, is_open=is_open)
                verb = LaneVerb.RESUME if is_open else LaneVerb.PAUSE
                turned.append((campaign.id, work.campaigns.connections(campaign.id), verb))
            work.commit()
        for campaign_id, connections, verb in turned:
            self._tell_room(campaign_id, connections, verb)
        return len(turned)

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
        told: list[tuple[CampaignId, Sequence[ConnectionId], LaneVerb]] = []

        def deed(work: UnitOfWork) -> str:
            campaign, verb = self._locked(work, caller, public_id), VERBS[status]
            if campaign.status is not status:
                if campaign.status not in ASKED[status]:
                    raise Conflict(
                        f"it is {campaign.status} and cannot become {status}",
                        code=f"campaign_{campaign.status}",
                    )
                check_transition(campaign.status, status)
                work.campaigns.set_status(campaign.id, status)
                work.audit.add(caller, f"campaign.{verb}", "campaign", str(public_id))
                if status is CampaignStatus.CANCELLED:
                    work.campaigns.cancel_queued(campaign.id)
                if status is CampaignStatus.ACTIVE:
                    work.campaigns.forgive(campaign.id)
                    verb = self._opened(work, campaign)
                if status is CampaignStatus.ACTIVE and campaign.fanned_out_at is None:
                    work.emit(_event(CampaignStarted(campaign_id=campaign.id), campaign))
                told.append((campaign.id, work.campaigns.connections(campaign.id), verb))
            return json.dumps(campaign.progress.sending)

        answer, replayed = run_once(self._open, caller, once, deed)
        for campaign_id, connections, verb in told:
            self._tell_room(campaign_id, connections, verb)
        return CampaignResult(
            self.get(caller, public_id), in_flight=json.loads(answer), replayed=replayed
        )

    def _opened(self, work: UnitOfWork, campaign: Campaign) -> LaneVerb:
        """What its lanes are told once it is active: its hours may be over."""
        if campaign.hours is None:
            return LaneVerb.RESUME
        until, is_open = campaign.hours.window(self._now())
        work.campaigns.turn(campaign.id, until, is_open=is_open)
        return LaneVerb.RESUME if is_open else LaneVerb.PAUSE

    def _tell_room(
        self, campaign_id: CampaignId, connections: Sequence[ConnectionId], verb: LaneVerb
    ) -> None:
        if verb is LaneVerb.RESUME:
            with self._open() as work:
                held = work.bulk_limits.held(connections)
            connections = [one for one in connections if one not in held]
        # The claim refuses what the room still hands out, and healing lets go what it still holds.
        with contextlib.suppress(RoomUnavailable):
            for connection_id in connections:
                self._room.lane(connection_id, campaign_id, verb)

    def retry(self, caller: Caller, public_id: UUID, once: Once | None = None) -> CampaignResult:
        """Queue its failed messages again; a paused campaign stays paused. Raises NotFound, and
        Conflict when none failed, none of those fans is in reach, or it was cancelled or failed."""
        caller.require(Permission.SEND)
        parked: list[tuple[ConnectionId, Sequence[Waiting]]] = []

        def deed(work: UnitOfWork) -> str:
            campaign = self._locked(work, caller, public_id)
            if campaign.status not in OPEN | {CampaignStatus.COMPLETED}:
                raise Conflict(
                    f"it is {campaign.status}: start a new campaign",
                    code=f"campaign_{campaign.status}",
                )
            again = work.campaigns.requeue_failed(campaign.id, self._rules.wake_after)
            if not again.waiting:
                raise self._nothing_again(campaign)
            if campaign.status is CampaignStatus.COMPLETED:
                work.campaigns.set_status(campaign.id, CampaignStatus.ACTIVE)
                self._opened(work, campaign)
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

    @staticmethod
    def _nothing_again(campaign: Campaign) -> Conflict:
        failed = campaign.progress.failed
        if not failed:
            return Conflict("no message of it has failed", code="nothing_failed")
        return Conflict(
            f"the fans of its {failed} failed messages are deleted or no longer linked",
            code="recipients_gone",
        )

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
            waiting = work.campaigns.waiting_on(campaign.id)
            accounts = {
                one.connection_id: work.connections.by_id(one.connection_id) for one in waiting
            }
            ends = [
                self._end_on(work, campaign, accounts[one.connection_id], one) for one in waiting
            ]
        known = [one for one in ends if one is not None]
        is_known = campaign.status is CampaignStatus.ACTIVE and len(known) == len(ends)
        return CampaignReport(
            campaign,
            max(known, default=campaign.promised_at) if is_known else None,
            delays,
            [one for one in accounts.values() if one and explain_account(one)],
        )

    def _end_on(
        self,
        work: UnitOfWork,
        campaign: Campaign,
        connection: Connection | None,
        waiting: WaitingOn,
    ) -> datetime | None:
        """When the last message leaves that waits on this account; None while it cannot be told."""
        if connection is None or connection.state is not ConnectionState.ACTIVE:
            return None
        if waiting.last is None:
            return waiting.held_until
        try:
            place = self._room.place(connection.id, waiting.last)
        except RoomUnavailable:
            return None
        if place is not None:
            before, end = place[0], instant(place[1])
        elif connection.bulk_held_until or campaign.held_until:
            interval = timedelta(milliseconds=self._rules.pace(connection).interval_ms)
            before, end = waiting.going - 1, self._now() + waiting.going * interval
        else:  # It is in the air, or not parked yet.
            return campaign.promised_at
        limits = connection.bulk_limits.within(campaign.hours)
        end = self._planner.last_slot(work, connection, limits, before, end)
        return max(end, waiting.held_until or end)

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
        state: State | Unwritten | None = None,
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


def _check_time(starts_at: datetime, now: datetime) -> None:
    if not now <= starts_at <= now + SCHEDULED_MAX:
        raise Invalid(FieldProblem("scheduledAt", "use a time in the future, within a year"))


def _audience_record(audience: Audience, plan: Plan) -> dict[str, Any]:
    """The audience as it was asked for and as it came out."""
    return {
        "recipientIds": [recipient_id(one.fan_id) for one in plan.recipients],
        "segmentIds": list(audience.segment_ids),
        "excludeIds": [recipient_id(one) for one in audience.exclude_ids],
        "excludeSegmentIds": list(audience.exclude_segment_ids),
        "duplicates": plan.duplicates,
        "excludedCount": sum(plan.excluded_by.values()),
        "excludedBy": {why.name.lower(): count for why, count in plan.excluded_by.items()},
        "excluded": [
            {"recipientId": recipient_id(fan_id), "code": why.name.lower(), "reason": why.value}
            for fan_id, why in plan.excluded
        ],
    }
