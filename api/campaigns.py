"""Campaigns: started, estimated, followed, paused, resumed, cancelled and tried again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.errors import Refusal
from api.examples import campaigns as examples
from api.examples import messages as message_examples
from api.schemas import campaigns as schemas
from api.schemas import messages as message_schemas
from api.views import campaigns as views
from api.views import messages as message_views
from api.views.messages import Reply
from domain.bulk_limits import read_hours
from domain.campaigns import Audience, CampaignStatus, Unwritten
from domain.errors import FieldProblem, Invalid
from domain.fans import FanId, parse_recipient
from domain.messages import BULK_PRIORITY, Draft, State, attachments_of
from domain.services.planning import Terms

campaigns = Routes("campaigns", __name__, url_prefix="/api/messages/bulk", tag="Campaigns")


@campaigns.post("")
@campaigns.input(schemas.BulkRequest, arg_name="body", example=examples.BULK)
@campaigns.output(
    schemas.Started, 202, example=examples.STARTED, description="Stored, and it will be sent"
)
@campaigns.doc(
    summary="Send one text to many fans",
    description="The audience and every text are frozen now. Each fan gets one message, however"
    " often named. A recipient who was named and cannot be written to is listed (422"
    " bad_recipients) and nothing is stored; of a segment such fans are left out and listed. Media"
    " are put into the vault of every account that takes files before the first message is written;"
    " the fans of an account that takes none wait for it.",
    responses=problems(400, 403, 404, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def launch(body: schemas.BulkRequest) -> Reply[schemas.Started]:
    draft = Draft(
        content=body.content,
        attachments=attachments_of(body.media_urls or ()),
        priority=BULK_PRIORITY if body.priority is None else body.priority,
        price_cents=body.price_cents,
        metadata=body.metadata or {},
    )
    moment = now()
    result = services().campaigns.launch(
        caller(),
        body.campaign_name,
        _terms(body, draft, moment),
        moment,
        once(),
        failure_percent=body.failure_percent,
    )
    return views.started(result), 202, replay_mark(replayed=result.replayed)


@campaigns.post("/estimate")
@campaigns.input(schemas.EstimateRequest, arg_name="body", example=examples.ASK)
@campaigns.output(schemas.Estimate, example=examples.ESTIMATE)
@campaigns.doc(
    summary="What a campaign would do: whom it reaches, when it ends, what it costs",
    description="Read only.",
    responses=problems(400, 403, 404, 413, 415, 422),
)
def estimate(body: schemas.EstimateRequest) -> schemas.Estimate:
    draft = Draft(
        content=body.content,
        priority=BULK_PRIORITY if body.priority is None else body.priority,
    )
    moment = now()
    terms = replace(_terms(body, draft, moment), rate_per_minute=body.rate_per_minute)
    return views.estimate(services().campaigns.preview(caller(), terms, moment, body.size))


@campaigns.post("/test")
@campaigns.input(schemas.TestRequest, arg_name="body", example=examples.TEST)
@campaigns.output(
    message_schemas.Queued, 202, example=message_examples.QUEUED, description="Stored, and queued"
)
@campaigns.doc(
    summary="Send the message to oneself first",
    description="To a fan that carries the tag `test`, such as a second account of one's own, as an"
    " ordinary message. Any other fan is refused, so that no test reaches a real one.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def send_test(body: schemas.TestRequest) -> Reply[message_schemas.Queued]:
    draft = Draft(
        content=body.content,
        attachments=attachments_of(body.media_urls or ()),
        price_cents=body.price_cents,
        metadata={"test": True},
    )
    named = None if body.recipient_id is None else _fans("recipientId", [body.recipient_id])[0]
    result = services().campaigns.send_test(caller(), draft, named, now(), once())
    return message_views.queued(result), 202, replay_mark(replayed=result.replayed)


@campaigns.get("")
@campaigns.input(schemas.CampaignsQuery, location="query", arg_name="asked")
@campaigns.output(schemas.CampaignsReply, example=examples.CAMPAIGNS)
@campaigns.doc(summary="Campaigns, newest first", responses=problems(403, 422))
def list_campaigns(asked: schemas.CampaignsQuery) -> schemas.CampaignsReply:
    status = None if asked.status is None else CampaignStatus(asked.status)
    return views.page(services().campaigns.page(caller(), asked.limit, asked.cursor, status))


@campaigns.get("/<uuid:campaign_id>")
@campaigns.output(schemas.CampaignView, example=examples.CAMPAIGN)
@campaigns.doc(
    summary="A campaign: how far it is, when it ends, and why it is late",
    description="Numbers are counted from its messages now. estimatedCompletionTime is null while"
    " it is paused.",
    responses=problems(403, 404),
)
def read(campaign_id: UUID) -> schemas.CampaignView:
    return views.whole(services().campaigns.report(caller(), campaign_id))


@campaigns.get("/<uuid:campaign_id>/recipients")
@campaigns.input(schemas.RecipientsQuery, location="query", arg_name="asked")
@campaigns.output(schemas.RecipientsReply, example=examples.RECIPIENTS)
@campaigns.doc(
    summary="Whom a campaign reaches, and what became of each",
    responses=problems(403, 404, 422),
)
def list_recipients(campaign_id: UUID, asked: schemas.RecipientsQuery) -> schemas.RecipientsReply:
    return views.recipients(
        services().campaigns.recipients(
            caller(), campaign_id, asked.limit, asked.cursor, _state(asked.state)
        )
    )


@campaigns.put("/<uuid:campaign_id>/status")
@campaigns.input(schemas.StatusRequest, arg_name="body", example=examples.PAUSE)
@campaigns.output(schemas.ChangedView, example=examples.PAUSED)
@campaigns.doc(
    summary="Pause, resume or cancel a campaign",
    description="After the answer nothing more of a paused or cancelled campaign begins; inFlight"
    " says how many had. 409 when its present state does not allow it.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def set_status(campaign_id: UUID, body: schemas.StatusRequest) -> schemas.ChangedView:
    result = services().campaigns.set_status(caller(), campaign_id, CampaignStatus(body.status))
    report = services().campaigns.report(caller(), campaign_id)
    return views.changed(report, result.in_flight)


@campaigns.post("/<uuid:campaign_id>/retry")
@campaigns.output(schemas.CampaignView, example=examples.CAMPAIGN)
@campaigns.doc(
    summary="Send the failed messages of a campaign again",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def retry(campaign_id: UUID) -> Reply[schemas.CampaignView]:
    result = services().campaigns.retry(caller(), campaign_id, once())
    report = services().campaigns.report(caller(), campaign_id)
    return views.whole(report), 200, replay_mark(replayed=result.replayed)


def _state(name: str | None) -> State | Unwritten | None:
    if name is None:
        return None
    return Unwritten(name) if name in set(Unwritten) else State(name)


def _terms(
    body: schemas.BulkRequest | schemas.EstimateRequest, draft: Draft, moment: datetime
) -> Terms:
    return Terms(
        draft,
        _audience(body),
        starts_at=body.scheduled_at or moment,
        hours=read_hours(body.hours.record()) if body.hours else None,
    )


def _audience(body: schemas.BulkRequest | schemas.EstimateRequest) -> Audience:
    return Audience(
        recipient_ids=_fans("recipientIds", body.recipient_ids or ()),
        segment_ids=tuple(body.segment_ids or ()),
        exclude_ids=_fans("excludeIds", body.exclude_ids or ()),
        exclude_segment_ids=tuple(body.exclude_segment_ids or ()),
    )


def _fans(field: str, named: Sequence[str]) -> tuple[FanId, ...]:
    """The fans that these texts name; raises Refusal for each that names none."""
    found, bad = [], []
    for place, text in enumerate(named):
        try:
            found.append(parse_recipient(text))
        except Invalid:
            where = f"{field}.{place}" if field.endswith("Ids") else field
            bad.append(FieldProblem(where, "use fan_<number>, for example fan_123"))
    if bad:
        raise Refusal(422, "bad_recipients", "The request is not valid", bad)
    return tuple(found)
