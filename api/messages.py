"""Sending one message and following it."""

from uuid import UUID

from api import lines
from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import messages as examples
from api.schemas import messages as schemas
from api.views import messages as views
from api.views.messages import Reply
from domain.messages import DIRECT_PRIORITY, Draft, attachments_of

messages = Routes("messages", __name__, url_prefix="/api/onlyfans/messages", tag="Messages")


@messages.post("/send")
@messages.input(schemas.SendRequest, arg_name="body", example=examples.SEND)
@messages.output(
    schemas.Accepted, 202, example=examples.ACCEPTED, description="Stored, and it will be sent"
)
@messages.doc(
    summary="Send a message to a fan",
    description="202 means durably accepted: it is sent when its turn comes, whatever restarts"
    " meanwhile. estimatedSendTime is a promise; statusUrl tells how it goes.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def send(body: schemas.SendRequest) -> Reply[schemas.Accepted]:
    draft = Draft(
        content=body.content,
        attachments=attachments_of(body.media_urls or ()),
        priority=DIRECT_PRIORITY if body.priority is None else body.priority,
        price_cents=body.price_cents,
        metadata=body.metadata or {},
    )
    result = services().messages.send_message(caller(), body.recipient_id, draft, now(), once())
    lines.message_queued(result, views.canonical(body.recipient_id))
    return views.reply(views.accepted(result), 202, result)


@messages.get("/status")
@messages.output(schemas.StatusReply, example=examples.STATUS)
@messages.doc(
    summary="The caller's queue in numbers",
    description="Counted from the caller's own rows, so it cannot drift; at most two seconds old.",
    responses=problems(403),
)
def status() -> schemas.StatusReply:
    return views.status(services().messages.get_queue_status(caller(), now()))


@messages.get("/<uuid:message_id>")
@messages.output(schemas.MessageView, example=examples.MESSAGE)
@messages.doc(
    summary="A message: where it stands, why it waits, what was tried",
    responses=problems(403, 404),
)
def read(message_id: UUID) -> schemas.MessageView:
    return views.message(services().messages.report(caller(), message_id))


@messages.get("/<uuid:message_id>/evidence")
@messages.output(schemas.Evidence, example=examples.EVIDENCE)
@messages.doc(
    summary="Every call made for a message",
    description="Attempts are kept for good, whatever they proved.",
    responses=problems(403, 404),
)
def evidence(message_id: UUID) -> schemas.Evidence:
    return views.evidence(services().messages.report(caller(), message_id))


@messages.post("/<uuid:message_id>/cancel")
@messages.output(schemas.Queued, example=examples.CANCELLED)
@messages.doc(
    summary="Cancel a queued message",
    description="After this answer it is never sent. What has left the queue cannot be cancelled.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def cancel(message_id: UUID) -> Reply[schemas.Queued]:
    result = services().messages.cancel(caller(), message_id, once())
    return views.reply(views.queued(result), 200, result)


@messages.post("/<uuid:message_id>/retry")
@messages.output(schemas.Queued, example=examples.QUEUED)
@messages.doc(
    summary="Send a failed message again",
    description="Also an `unknown` one that a person has looked up and judged not sent.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def retry(message_id: UUID) -> Reply[schemas.Queued]:
    result = services().messages.retry(caller(), message_id, now(), once())
    return views.reply(views.queued(result), 200, result)


@messages.post("/<uuid:message_id>/confirm")
@messages.output(schemas.Queued, example=examples.CONFIRMED)
@messages.doc(
    summary="Settle an `unknown` message as sent",
    description="A person has seen it in the platform's chat.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def confirm(message_id: UUID) -> Reply[schemas.Queued]:
    result = services().messages.confirm_sent(caller(), message_id, now(), once())
    return views.reply(views.queued(result), 200, result)


@messages.post("/<uuid:message_id>/unsend")
@messages.output(
    schemas.Unsending, 202, example=examples.UNSENDING, description="It will be taken back"
)
@messages.doc(
    summary="Take a sent message back",
    description="Only within 24 hours of sending, and not once the fan has bought it (409:"
    " `not_sent`, `purchased`, `too_late`). It is `unsent` once the platform has agreed; should"
    " that fail for 24 hours, errorCode is `unsend_failed`.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def unsend(message_id: UUID) -> tuple[schemas.Unsending, int, dict[str, str]]:
    asked = services().unsending.ask(caller(), message_id, now(), once())
    headers = replay_mark(replayed=asked.replayed)
    return views.unsending(asked), 202, headers
