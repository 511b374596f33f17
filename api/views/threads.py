"""Messages of both directions as response bodies."""

from api.schemas import threads as schemas
from api.views import conversations
from api.views.messages import notice
from domain.conversations import Direction
from domain.messages import State
from domain.paging import Page
from domain.services.threads import News, Thread
from domain.threads import Bubble, MessageFilter, ThreadMessage


def asked(query: schemas.MessagesQuery) -> MessageFilter:
    return MessageFilter(
        direction=Direction(query.direction) if query.direction else None,
        state=State(query.status) if query.status else None,
        connection_id=conversations.connection_id(query.connection_id),
        fan_id=conversations.fan_id(query.fan_id),
        since=query.from_,
        until=query.to,
        q=query.q,
    )


def message(bubble: Bubble) -> schemas.MessageItem:
    one, sent = bubble.message, bubble.message.outgoing
    return schemas.MessageItem(
        id=one.id,
        conversation_id=one.conversation_id,
        fan_id=one.fan_id,
        direction=one.direction,
        text=one.text,
        price_cents=one.price_cents,
        read=one.read,
        attachments=[
            schemas.AttachmentView(type=item.type, url=item.url) for item in one.attachments
        ],
        sent_by_ai=one.sent_by_ai,
        created_at=one.created_at,
        status=sent.state if sent else None,
        message_id=one.public_id,
        connection_id=one.connection_id,
        estimated_send_time=sent.estimated_send_at if sent else None,
        sent_at=sent.sent_at if sent else None,
        delay=sent.delay if sent else None,
        error_code=sent.error_code if sent else None,
        opened_at=one.opened_at,
        purchased_at=one.purchased_at,
        deleted_at=one.deleted_at,
        notice=notice(bubble.notice) if bubble.notice else None,
        can_unsend=bubble.can_unsend,
        unsending=one.is_unsending,
    )


def thread(read: Thread) -> schemas.ThreadReply:
    return schemas.ThreadReply(
        messages=[message(one) for one in read.bubbles],
        total=read.stretch.total,
        total_capped=read.stretch.is_capped,
        next_cursor=read.stretch.older,
        previous_cursor=read.stretch.newer,
    )


def page(bubbles: list[Bubble], found: Page[ThreadMessage]) -> schemas.MessagesReply:
    return schemas.MessagesReply(
        messages=[message(one) for one in bubbles],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


def news(told: News) -> schemas.MessagesReply:
    changed = [conversations.conversation(one) for one in told.conversations]
    return schemas.MessagesReply(
        messages=[message(one) for one in told.bubbles],
        conversations=[one.model_dump(mode="json", by_alias=True) for one in changed],
        since=told.token,
        more=told.is_more,
    )
