"""Messages of both directions: a thread, and the list across conversations."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from api.schemas.base import Answered, Instant, Moment, Query
from api.schemas.messages import NoticeView
from domain.fans import BIGINT_MAX

Status = Literal[
    "queued", "sending", "sent", "delivered", "failed", "unknown", "cancelled", "unsent"
]


class ThreadQuery(Query):
    limit: int = Field(100, ge=1, le=100)
    cursor: str | None = Field(None, description="nextCursor: the messages before")
    after: str | None = Field(None, description="previousCursor: the messages behind")
    around: str | None = Field(
        None, max_length=40, description="a message's id or messageId: both sides of it"
    )


class MessagesQuery(Query):
    limit: int = Field(100, ge=1, le=100)
    cursor: str | None = Field(None, description="nextCursor of the page before")
    direction: Literal["in", "out"] | None = None
    status: Status | None = None
    connection_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    fan_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    from_: Moment | None = Field(None, alias="from")
    to: Moment | None = None
    q: str | None = Field(
        None, max_length=200, description="all these words, the last as a beginning"
    )
    since: str | None = Field(
        None, description="instead of all others: what changed since. `now` gives a first token"
    )


class AttachmentView(Answered):
    type: str
    url: str


class MessageItem(Answered):
    """A message of a thread. What concerns sending is null for what the fan wrote."""

    id: int
    conversation_id: int
    fan_id: int
    direction: str
    text: str
    price_cents: int | None
    read: bool
    attachments: list[AttachmentView]
    sent_by_ai: bool
    created_at: Instant
    status: str | None
    message_id: UUID
    connection_id: int
    estimated_send_time: Instant | None
    sent_at: Instant | None
    delay: str | None = Field(description="why it is later than promised")
    error_code: str | None
    opened_at: Instant | None
    purchased_at: Instant | None
    deleted_at: Instant | None
    notice: NoticeView | None
    can_unsend: bool
    unsending: bool = Field(description="it is being taken back")


class ThreadReply(Answered):
    """Oldest message first: pages are put before or behind each other as they are."""

    messages: list[MessageItem]
    total: int
    total_capped: bool
    next_cursor: str | None = Field(description="`cursor` of the page before; null at the start")
    previous_cursor: str | None = Field(description="`after` of what is written from now on")


class MessagesReply(Answered):
    """A list has total, totalCapped and nextCursor; an answer to `since` has conversations, since
    and more instead."""

    messages: list[MessageItem]
    total: int = 0
    total_capped: bool = False
    next_cursor: str | None = None
    conversations: list[dict[str, Any]] = Field(
        default_factory=list, description="those that changed, as in their list"
    )
    since: str = Field("", description="ask with this next")
    more: bool = Field(False, description="ask again at once")

    @model_serializer(mode="wrap")
    def only_what_was_said(self, serialize: SerializerFunctionWrapHandler) -> Any:
        said = {self.__class__.model_fields[name].alias for name in self.model_fields_set}
        return {name: value for name, value in serialize(self).items() if name in said}
