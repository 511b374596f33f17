"""Domain events and their wire schema. An event is a wake-up: losing one delays, two harm nothing.

`MessageRequested` carries the documented payload since outside consumers and producers know it;
every other event carries ids only.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from domain.connections import ConnectionId
from domain.messages import MessageId
from domain.pacing import Permit


def _text_id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


TextId = Annotated[str, BeforeValidator(_text_id), StringConstraints(min_length=1, max_length=64)]


class Payload(BaseModel):
    """The one JSON argument of a task. `v` is the version of its schema."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )
    v: int = Field(1, ge=1)

    def wire(self) -> dict[str, Any]:
        """JSON-ready, camelCase, absent optional keys left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RequestMetadata(BaseModel):
    """The three documented keys; nothing else of a message's metadata travels."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)
    conversation_id: TextId | None = None
    campaign_id: TextId | None = None
    priority: int | None = Field(None, ge=1, le=10)


class MessageRequested(Payload):
    """A message was stored as queued; the worker re-reads the row by `message_id`."""

    message_id: UUID
    user_id: TextId
    recipient_id: TextId
    content: str
    media_urls: tuple[str, ...] | None = None
    metadata: RequestMetadata | None = None
    timestamp: datetime


class MessageReleased(Payload):
    """The pacer handed out a permit: this message may begin now, under this lease."""

    message_id: int
    connection_id: int
    lease: str

    def permit(self) -> Permit:
        return Permit(ConnectionId(self.connection_id), MessageId(self.message_id), self.lease)


class SyncDue(Payload):
    """A connection is to be compared with the platform's own lists."""

    connection_id: int


class ConversationRead(Payload):
    """A chat was read here; the platform is to be told."""

    conversation_id: int


class UnsendRequested(Payload):
    """A sent message is to be taken back."""

    message_id: int


class MediaRequested(Payload):
    """A message waits for its media; the worker puts them into the account's vault."""

    message_id: int


class CampaignStarted(Payload):
    """A campaign has an audience whose messages are to be written."""

    campaign_id: int


class CampaignProgressed(Payload):
    """A message of a campaign changed: its metrics are to be counted anew."""

    campaign_id: int


class CampaignCompleted(Payload):
    """Nothing of a campaign is left to do."""

    campaign_id: int


class CsvUploaded(Payload):
    """A file was stored to be imported, or to be tried in a dry run."""

    import_id: int


class ImportUndoRequested(Payload):
    """An import is to be taken back."""

    import_id: int


class PlatformEventReceived(Payload):
    """A webhook was stored; the worker re-reads it by `event_id`."""

    event_id: int


class Probed(Payload):
    """An operator asks whether a queue has a worker; the answer is left under `token`."""

    token: TextId
    queue: TextId


@dataclass(frozen=True)
class Event:
    """An event on its way to the bus. `group` (a connection id) keeps the queue fair;
    `row` is the message row whose `wake_after` heals a refused publish; `traceparent` names the
    trace that its task goes on with, if not the publisher's own."""

    payload: Payload
    group: str
    row: int | None = None
    correlation_id: str = ""
    traceparent: str = ""
    event_id: str = field(default_factory=lambda: uuid4().hex)

    EVENTS: ClassVar[tuple[type[Payload], ...]] = (
        MessageRequested,
        MessageReleased,
        SyncDue,
        UnsendRequested,
        ConversationRead,
        MediaRequested,
        CampaignStarted,
        CampaignProgressed,
        CampaignCompleted,
        CsvUploaded,
        ImportUndoRequested,
        PlatformEventReceived,
        Probed,
    )

    @property
    def name(self) -> str:
        return type(self.payload).__name__
