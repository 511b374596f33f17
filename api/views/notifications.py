"""Notifications as response bodies."""

from typing import Any

from api.schemas import notifications as schemas
from domain.notifications import Notification, NotificationId, Unseen
from domain.services.notifications import Notifications


def notification(one: Notification, seen_to: NotificationId) -> schemas.NotificationView:
    notice = one.notice
    message = one.message and schemas.MessageRef(
        message_id=one.message.id,
        conversation_id=one.message.conversation_id,
        fan_id=one.message.fan_id,
    )
    named: dict[str, Any] = {
        "connection": one.connection and vars(one.connection),
        "campaign": one.campaign and {"campaignId": one.campaign.id, "name": one.campaign.name},
        "import": one.import_ and {"importId": one.import_.id, "fileName": one.import_.name},
    }
    return schemas.NotificationView(
        id=one.id,
        kind=one.kind,
        notice=notice.text,
        reason=notice.reason,
        remedy=notice.remedy,
        created_at=one.created_at,
        is_seen=one.id <= seen_to,
        is_resolved=one.is_resolved,
        count=one.count,
        open_count=one.open_count,
        can_retry=one.can_retry,
        target=_target(one),
        message=message,
        **named,
    )


def _target(one: Notification) -> schemas.Target:
    """The message if it is one, otherwise what they have in common."""
    if one.message and one.open_count == 1:
        return schemas.Target(type="message", id=one.message.id)
    for kind, named in (
        ("campaign", one.campaign),
        ("import", one.import_),
        ("connection", one.connection),
    ):
        if named:
            return schemas.Target(type=kind, id=named.id)
    raise AssertionError(one.kind)


def unseen(one: Unseen) -> schemas.UnseenReply:
    return schemas.UnseenReply(unseen=one.count, unseen_capped=one.is_capped, seen_to=one.seen_to)


def listed(found: Notifications) -> schemas.NotificationsReply:
    return schemas.NotificationsReply(
        notifications=[notification(one, found.unseen.seen_to) for one in found.page.items],
        total=found.page.total,
        total_capped=found.page.is_capped,
        next_cursor=found.page.next_cursor,
        **unseen(found.unseen).model_dump(),
    )
