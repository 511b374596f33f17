"""The inbox: conversations, one with its panel, writing in it, and marking it read."""

from api import lines
from api.auth import caller
from api.bodies import Routes, once
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import conversations as examples
from api.schemas import conversations as schemas
from api.views import conversations as views
from api.views import messages as message_views
from api.views import threads as thread_views
from api.views.messages import Reply
from domain.conversations import ConversationId
from domain.fans import recipient_id

conversations = Routes(
    "conversations", __name__, url_prefix="/api/crm/conversations", tag="Conversations"
)


@conversations.get("")
@conversations.input(schemas.ConversationsQuery, location="query", arg_name="query")
@conversations.output(schemas.ConversationsReply, example=examples.CONVERSATIONS)
@conversations.doc(
    summary="Conversations, the newest message first",
    description="Filters may be combined. Threads that hold only campaign messages are hidden"
    " unless direct=false, and so are those of deleted fans.",
    responses=problems(403, 404, 422),
)
def list_conversations(query: schemas.ConversationsQuery) -> schemas.ConversationsReply:
    found = services().conversations.list_conversations(
        caller(), views.asked(query), query.limit, query.cursor, now(), view=query.view
    )
    return schemas.ConversationsReply(
        conversations=[views.conversation(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


@conversations.get("/<int:conversation_id>")
@conversations.output(schemas.OpenedReply, example=examples.OPENED)
@conversations.doc(
    summary="A conversation with its fan's panel",
    description="What the fan spent, got and bought, so that nothing is offered twice.",
    responses=problems(403, 404),
)
def read(conversation_id: int) -> schemas.OpenedReply:
    opened = services().conversations.open(caller(), ConversationId(conversation_id))
    return schemas.OpenedReply(
        conversation=views.conversation(opened.conversation), panel=views.panel(opened.panel)
    )


@conversations.post("/<int:conversation_id>/messages")
@conversations.input(schemas.WriteRequest, arg_name="body", example=examples.WRITE)
@conversations.output(
    schemas.WrittenReply, 202, example=examples.WRITTEN, description="Stored, and it will be sent"
)
@conversations.doc(
    summary="Write in a conversation",
    description="202 means durably accepted: it is sent when its turn comes. A priced message needs"
    " attachments; attachments are brought to the platform first.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def write(conversation_id: int, body: schemas.WriteRequest) -> Reply[schemas.WrittenReply]:
    bubble, result = services().conversations.send(
        caller(), ConversationId(conversation_id), views.draft(body), now(), once()
    )
    lines.message_queued(result, recipient_id(bubble.message.fan_id))
    stands = message_views.queued(result)
    reply = schemas.WrittenReply(**dict(stands), message=thread_views.message(bubble))
    return message_views.reply(reply, 202, result)


@conversations.post("/<int:conversation_id>/read")
@conversations.output(schemas.ConversationReply, example=examples.READ)
@conversations.doc(
    summary="Mark a conversation as read",
    description="Here at once, and soon on the platform. A second time changes nothing.",
    responses=problems(403, 404),
)
def mark_read(conversation_id: int) -> schemas.ConversationReply:
    found = services().read_marks.mark_read(caller(), ConversationId(conversation_id))
    return schemas.ConversationReply(conversation=views.conversation(found))


@conversations.post("/<int:conversation_id>/unread")
@conversations.output(schemas.ConversationReply, example=examples.UNREAD)
@conversations.doc(
    summary="Mark a conversation as unread",
    description="The fan's newest message counts as unread again, here only. A second time changes"
    " nothing.",
    responses=problems(403, 404),
)
def mark_unread(conversation_id: int) -> schemas.ConversationReply:
    found = services().read_marks.mark_unread(caller(), ConversationId(conversation_id))
    return schemas.ConversationReply(conversation=views.conversation(found))
