"""The events that set a message going, and the message as the waiting room knows it."""

from domain.events import Event, MediaRequested, MessageRequested, RequestMetadata
from domain.fans import recipient_id
from domain.messages import Hold, Message
from domain.pacing import Waiting


def requested(message: Message) -> Event:
    """The event that wakes the workers for this message, with the documented payload."""
    payload = MessageRequested(
        message_id=message.public_id,
        user_id=str(message.owner_id),
        recipient_id=recipient_id(message.fan_id),
        content=message.text,
        media_urls=tuple(item.url for item in message.attachments) or None,
        metadata=RequestMetadata(
            conversation_id=str(message.conversation_id),
            campaign_id=str(message.campaign_id) if message.campaign_id else None,
            priority=message.priority,
        ),
        timestamp=message.queued_at,
    )
    return Event(payload, group=str(message.connection_id), row=message.id)


def wake_up(message: Message) -> Event:
    """The event that sets a queued message going: its media come first."""
    if message.hold is Hold.MEDIA:
        payload = MediaRequested(message_id=message.id)
        return Event(payload, group=str(message.connection_id), row=message.id)
    return requested(message)


def waiting(message: Message) -> Waiting:
    """The message as the waiting room knows it."""
    return Waiting(message.id, message.priority, message.campaign_id)
