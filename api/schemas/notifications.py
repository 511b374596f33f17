"""Notifications."""

from uuid import UUID

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, PageQuery
from domain.fans import BIGINT_MAX
from domain.notifications import Kind


class NotificationsQuery(PageQuery):
    open: bool | None = Field(None, description="true: without the resolved; false: only those")


class SeenRequest(Asked):
    up_to: int = Field(ge=0, le=BIGINT_MAX, description="the id of the newest one shown")


class Target(Answered):
    type: str = Field(description="message, campaign, import or connection")
    id: int | UUID


class MessageRef(Answered):
    message_id: UUID
    conversation_id: int
    fan_id: int


class ConnectionRef(Answered):
    id: int
    name: str


class CampaignRef(Answered):
    campaign_id: UUID
    name: str


class ImportRef(Answered):
    import_id: int
    file_name: str


class NotificationView(Answered):
    id: int
    kind: Kind
    notice: str = Field(description="in the words every page uses")
    reason: str
    remedy: str
    created_at: Instant
    is_seen: bool = Field(description="by the caller")
    is_resolved: bool
    count: int = Field(description="messages it told of, at most 1000")
    open_count: int = Field(description="of those, how many still stand as failed")
    can_retry: bool = Field(description="one click on the target sends it again")
    target: Target = Field(description="where to go")
    message: MessageRef | None = Field(description="the newest that still stands as failed")
    connection: ConnectionRef | None
    campaign: CampaignRef | None
    import_: ImportRef | None = Field(alias="import")


class UnseenReply(Answered):
    unseen: int
    unseen_capped: bool = Field(description="there are more than `unseen`")
    seen_to: int


class NotificationsReply(UnseenReply):
    notifications: list[NotificationView]
    total: int
    total_capped: bool = Field(description="there are more than total says")
    next_cursor: str | None
