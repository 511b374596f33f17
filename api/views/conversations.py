"""Conversations as response bodies, and what is asked of them in our terms."""

from api.schemas import conversations as schemas
from domain.connections import ConnectionId
from domain.conversations import (
    Conversation,
    ConversationFilter,
    Correspondent,
    FanPanel,
    Preview,
)
from domain.fans import FanId
from domain.messages import Attachment, Draft, DraftFields

FIELDS = DraftFields("text", "attachments", ".url", blank_with_media=True)


def connection_id(given: int | None) -> ConnectionId | None:
    return None if given is None else ConnectionId(given)


def fan_id(given: int | None) -> FanId | None:
    return None if given is None else FanId(given)


def asked(query: schemas.ConversationsQuery) -> ConversationFilter:
    return ConversationFilter(
        unread=query.unread,
        unreplied=query.unreplied,
        failed=query.failed,
        platform=query.platform,
        connection_id=connection_id(query.connection_id),
        since=query.since,
        until=query.until,
        min_spend_cents=query.min_spend_cents,
        tier=query.tier,
        tag=query.tag,
        online=query.online,
        with_tips=query.with_tips,
        q=query.q,
        direct=query.direct,
    )


def draft(body: schemas.WriteRequest) -> Draft:
    return Draft(
        content=body.text,
        attachments=tuple(Attachment(one.type, one.url) for one in body.attachments or ()),
        price_cents=body.price_cents,
        sent_by_ai=body.sent_by_ai,
        snippet_id=body.snippet_id,
        fields=FIELDS,
    )


def conversation(one: Conversation) -> schemas.ConversationView:
    return schemas.ConversationView(
        id=one.id,
        user_id=one.owner_id,
        fan_id=one.fan.id,
        platform=one.platform,
        last_message_at=one.last_message_at,
        unread_count=one.unread_count,
        fan=_correspondent(one.fan),
        connection_id=one.connection_id,
        last_direction=one.last_direction,
        is_direct=one.is_direct,
        last_message=_preview(one.last_message) if one.last_message else None,
    )


def _correspondent(fan: Correspondent) -> schemas.CorrespondentView:
    return schemas.CorrespondentView(
        id=fan.id,
        name=fan.name,
        avatar=fan.avatar,
        handle=fan.handle,
        tier=fan.tier,
        value_cents=fan.value_cents,
        tags=list(fan.tags),
        subscription=fan.subscription,
        last_seen_at=fan.last_seen_at,
    )


def _preview(one: Preview) -> schemas.PreviewView:
    return schemas.PreviewView(
        id=one.id,
        direction=one.direction,
        text=one.text,
        created_at=one.created_at,
        status=one.status,
    )


def panel(one: FanPanel) -> schemas.PanelView:
    return schemas.PanelView(
        value_cents=one.value_cents,
        tips_cents=one.tips_cents,
        gross_cents=one.gross_cents,
        net_cents=one.net_cents,
        last_purchase_at=one.last_purchase_at,
        subscription_ends_at=one.subscription_ends_at,
        notes=one.notes,
        already_sent=[
            schemas.SentMediaView(
                message_id=item.message_id,
                type=item.type,
                url=item.url,
                created_at=item.created_at,
            )
            for item in one.already_sent
        ],
        already_bought=[
            schemas.BoughtView(
                message_id=item.message_id,
                text=item.text,
                price_cents=item.price_cents,
                urls=list(item.urls),
                purchased_at=item.purchased_at,
            )
            for item in one.already_bought
        ],
    )
