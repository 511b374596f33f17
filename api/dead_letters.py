"""A sender's dead letters: messages whose queue task was given up."""

from uuid import UUID

from flask import Response

from api.auth import caller
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.examples import dead_letters as examples
from api.examples import messages as message_examples
from api.schemas import dead_letters as schemas
from api.schemas.base import PageQuery
from api.schemas.messages import Queued
from api.views import dead_letters as views
from api.views import messages as message_views

dead_letters = Routes(
    "dead_letters", __name__, url_prefix="/api/onlyfans/dead-letters", tag="Dead letters"
)


@dead_letters.get("")
@dead_letters.input(PageQuery, location="query", arg_name="page")
@dead_letters.output(schemas.DeadLettersReply, example=examples.DEAD_LETTERS)
@dead_letters.doc(
    summary="Messages whose queue task was given up, the newest first",
    description="What dlqCount of the status counts. Nothing is lost: a queued one still goes by"
    " itself.",
    responses=problems(403, 422),
)
def list_dead_letters(page: PageQuery) -> schemas.DeadLettersReply:
    found = services().dead_letters.list_messages(caller(), page.limit, page.cursor)
    return schemas.DeadLettersReply(
        dead_letters=[views.dead_letter(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


@dead_letters.post("/<uuid:message_id>/redrive")
@dead_letters.output(Queued, example=message_examples.QUEUED)
@dead_letters.doc(
    summary="Try a dead-lettered message again",
    description="A queued one is woken at once, a failed one sent again as by its retry. It is"
    " never sent twice: its row decides. 404 when it is dead no more, so twice is harmless.",
    responses=problems(403, 404, 409),
)
def redrive(message_id: UUID) -> Queued:
    result = services().dead_letters.redrive_message(caller(), message_id, now())
    return message_views.queued(result)


@dead_letters.post("/<uuid:message_id>/discard")
@dead_letters.output({}, 204)
@dead_letters.doc(
    summary="Give a dead-lettered message up",
    description="A queued one is cancelled; one that failed stays as it is. It counts no longer.",
    responses=problems(403, 404, 409),
)
def discard(message_id: UUID) -> Response:
    services().dead_letters.discard_message(caller(), message_id)
    return Response(status=204)
