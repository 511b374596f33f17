"""Conversations, the panel beside one, and writing in it."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, Moment, PageQuery
from api.schemas.messages import Queued
from api.schemas.threads import MessageItem
from domain.fans import BIGINT_MAX

Tier = Literal["whale", "spender", "quiet", "new"]


class ConversationsQuery(PageQuery):
    """All filters may be combined."""

    unread: bool | None = None
    unreplied: bool | None = Field(None, description="the fan spoke last")
    failed: bool | None = Field(None, description="a message of it failed")
    platform: str | None = Field(None, max_length=100)
    connection_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    since: Moment | None = Field(None, alias="from", description="by the newest message")
    until: Moment | None = Field(None, alias="to")
    min_spend_cents: int | None = Field(None, ge=0, le=BIGINT_MAX)
    tier: Tier | None = None
    tag: str | None = Field(None, max_length=100)
    online: bool | None = Field(None, description="the fan was seen within ten minutes")
    with_tips: bool | None = Field(None, description="the fan has tipped")
    q: str | None = Field(
        None,
        max_length=200,
        description="part of the fan's name or handle, of one or two letters a beginning",
    )
    direct: bool | None = Field(
        None, description="true unless told: hides threads that hold only campaign messages"
    )
    view: str | None = Field(
        None, max_length=20, description="a saved view's id, or unread, unreplied or failed"
    )


class PreviewView(Answered):
    id: int
    direction: str
    text: str = Field(description="its first 200 characters")
    created_at: Instant
    status: str | None = Field(description="null for what the fan wrote")


class CorrespondentView(Answered):
    id: int
    name: str
    avatar: str | None
    handle: str
    tier: str | None
    value_cents: int
    tags: list[str]
    subscription: str | None
    last_seen_at: Instant | None


class ConversationView(Answered):
    id: int
    user_id: int
    fan_id: int
    platform: str
    last_message_at: Instant | None
    unread_count: int
    fan: CorrespondentView
    connection_id: int
    last_direction: str | None
    is_direct: bool = Field(description="whether it holds more than campaign messages")
    last_message: PreviewView | None


class ConversationsReply(Answered):
    conversations: list[ConversationView]
    total: int
    total_capped: bool = Field(description="there are more than `total`")
    next_cursor: str | None


class ConversationReply(Answered):
    conversation: ConversationView


class SentMediaView(Answered):
    message_id: int = Field(description="the id of the message that holds it")
    type: str
    url: str
    created_at: Instant


class BoughtView(Answered):
    message_id: int
    text: str = Field(description="its first 200 characters")
    price_cents: int
    urls: list[str]
    purchased_at: Instant


class PanelView(Answered):
    value_cents: int
    tips_cents: int
    gross_cents: int | None = Field(description="null without the right to see money")
    net_cents: int | None
    last_purchase_at: Instant | None
    subscription_ends_at: Instant | None
    notes: str | None
    already_sent: list[SentMediaView] = Field(description="the newest 50, so as not to repeat one")
    already_bought: list[BoughtView] = Field(description="the newest 50")


class OpenedReply(Answered):
    conversation: ConversationView
    panel: PanelView


class AttachmentRequest(Asked):
    type: Literal["image", "video", "audio"]
    url: str = Field(description="an https address")


class WriteRequest(Asked):
    text: str = Field(
        description="may be empty beside an attachment", json_schema_extra={"maxLength": 5000}
    )
    price_cents: int | None = Field(
        None, description="0, or 300 to 20000 for a message with attachments"
    )
    attachments: list[AttachmentRequest] | None = Field(None, json_schema_extra={"maxItems": 20})
    sent_by_ai: bool = Field(False, description="a machine wrote the text")
    snippet_id: int | None = Field(
        None, ge=1, le=BIGINT_MAX, description="the snippet it was written from: counts its use"
    )


class WrittenReply(Queued):
    message: MessageItem
