"""Campaigns: one text to many fans. Here only what the delivery of a message must know of one."""

from enum import StrEnum
from typing import NewType

CampaignId = NewType("CampaignId", int)


class CampaignStatus(StrEnum):
    """The life of a campaign; only an active one lets its messages go."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
