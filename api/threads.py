"""Reading messages: a thread, all conversations at once, and what changed."""

from api.auth import caller
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.errors import Refusal
from api.examples import threads as examples
from api.schemas import threads as schemas
from api.views import threads as views
from domain.conversations import ConversationId
from domain.errors import FieldProblem

threads = Routes("threads", __name__, url_prefix="/api/crm", tag="Threads")


@threads.get("/conversations/<int:conversation_id>/messages")
@threads.input(schemas.ThreadQuery, location="query", arg_name="query")
@threads.output(schemas.ThreadReply, example=examples.THREAD)
@threads.doc(
    summary="The messages of a conversation",
    description="The newest 100, oldest first, so that pages are joined as they are. nextCursor, as"
    " `cursor`, leads to the messages before; previousCursor, as `after`, to those written since;"
    " `around` shows both sides of one message.",
    responses=problems(403, 404, 422),
)
def read_thread(conversation_id: int, query: schemas.ThreadQuery) -> schemas.ThreadReply:
    return views.thread(
        services().threads.read(
            caller(),
            ConversationId(conversation_id),
            query.limit,
            now(),
            cursor=query.cursor,
            after=query.after,
            around=query.around,
        )
    )


@threads.get("/messages")
@threads.input(schemas.MessagesQuery, location="query", arg_name="query")
@threads.output(schemas.MessagesReply, example=examples.MESSAGES)
@threads.doc(
    summary="Messages of all conversations, newest first",
    description="With `q`, those that hold all its words; then the total is counted up to 1000."
    " With `since` (start with since=now) the messages and conversations that changed since that"
    " answer, each at least once; while nothing changes the answer stays the same, and its ETag"
    " makes it a 304.",
    responses=problems(403, 422),
)
def list_messages(query: schemas.MessagesQuery) -> schemas.MessagesReply:
    if query.since is not None:
        _check_alone(query)
        return views.news(services().threads.changes(caller(), query.since, now()))
    bubbles, page = services().threads.list_messages(
        caller(), views.asked(query), query.limit, query.cursor, now()
    )
    return views.page(list(bubbles), page)


def _check_alone(query: schemas.MessagesQuery) -> None:
    beside = sorted(query.model_fields_set - {"since"})
    if beside:
        name = schemas.MessagesQuery.model_fields[beside[0]].alias or beside[0]
        problem = FieldProblem(name, "leave it out beside `since`, which tells all changes")
        raise Refusal(422, "invalid", "The request is not valid", [problem])
