"""The journal of what the platform told: browsing and replaying it."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import services
from api.documents import IDEMPOTENT, problems
from api.examples import events as examples
from api.schemas import events as schemas
from api.views import events as views
from api.views.messages import Reply
from domain.connections import ConnectionId

events = Routes("events", __name__, url_prefix="/api/crm/events", tag="Events")


@events.get("")
@events.input(schemas.EventsQuery, location="query", arg_name="query")
@events.output(schemas.EventsReply, example=examples.EVENTS)
@events.doc(
    summary="What the platform told, newest first",
    description="Every webhook of the caller's accounts with its outcome; bodies are not shown.",
    responses=problems(403, 422),
)
def list_events(query: schemas.EventsQuery) -> schemas.EventsReply:
    connection = None if query.connection_id is None else ConnectionId(query.connection_id)
    page = services().inbound.list_events(caller(), connection, query.limit, query.cursor)
    return schemas.EventsReply(
        events=[views.event(one) for one in page.items],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


@events.post("/<int:event_id>/replay")
@events.output(schemas.EventReply, 202, example=examples.REPLAYED, description="It is handled anew")
@events.doc(
    summary="Handle a stored event again",
    description="Harmless for one that was handled: facts told twice change nothing. For 30 days.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def replay(event_id: int) -> Reply[schemas.EventReply]:
    event, replayed = services().inbound.replay(caller(), event_id, once())
    return schemas.EventReply(event=views.event(event)), 202, replay_mark(replayed=replayed)
