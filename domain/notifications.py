"""What somebody must know, kept until seen: who failed, why, and what to do about it.

Many messages of one account that fail for one reason within a short time are one notification. It
counts those that still stand as failed: what was retried and sent is no longer told."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from domain.connections import ConnectionState
from domain.notices import (
    FAILED,
    WAITING,
    Notice,
    failure,
    pause_notice,
    unproven_notice,
)

NotificationId = NewType("NotificationId", int)

# Direct messages that fail later than that after the first are told of anew.
TOGETHER = timedelta(minutes=10)
# Beyond this nobody reads a badge, or a number of failed messages, as a number.
UNSEEN_MAX = 100
COUNT_MAX = 1_000
IMPORT_FAILED = "Import failed"


class Kind(StrEnum):
    """What happened."""

    MESSAGES_FAILED = "messages_failed"
    MESSAGES_UNPROVEN = "messages_unproven"
    CONNECTION_PAUSED = "connection_paused"
    PLATFORM_FAILING = "platform_failing"
    CAMPAIGN_PAUSED = "campaign_paused"
    CAMPAIGN_FAILED = "campaign_failed"
    IMPORT_FAILED = "import_failed"


# They tell of messages, whose own states say whether the problem is still there.
OF_MESSAGES = frozenset({Kind.MESSAGES_FAILED, Kind.MESSAGES_UNPROVEN})


@dataclass(frozen=True)
class Named:
    """A row that a notification leads to, with its name for people."""

    id: int | UUID
    name: str


@dataclass(frozen=True)
class FailedMessage:
    """The newest message that still stands as failed."""

    id: UUID
    conversation_id: int
    fan_id: int
    detail: str | None


@dataclass(frozen=True)
class Notification:
    """One line of the list. `count` messages were told of, `open_count` of them still stand as
    failed; both stop at COUNT_MAX. `resolved_at` is None for one of messages that was resolved a
    moment ago: `is_resolved` knows."""

    id: NotificationId
    kind: Kind
    code: str | None
    detail: str | None
    created_at: datetime
    resolved_at: datetime | None
    count: int
    open_count: int
    message: FailedMessage | None = None
    connection: Named | None = None
    campaign: Named | None = None
    import_: Named | None = None

    @property
    def is_resolved(self) -> bool:
        return self.resolved_at is not None or (self.kind in OF_MESSAGES and not self.open_count)

    @property
    def can_retry(self) -> bool:
        """Whether one click sends what it tells of: its only message, or those of its campaign."""
        if self.kind not in OF_MESSAGES or self.is_resolved:
            return False
        is_failed = self.kind is Kind.MESSAGES_FAILED
        return self.open_count == 1 or (is_failed and self.campaign is not None)

    @property
    def notice(self) -> Notice:
        """What to tell, in the product owner's words, with reason and remedy."""
        match self.kind:
            case Kind.MESSAGES_FAILED:
                alone = self.message if self.open_count == 1 else None
                return failure(self.code, alone.detail if alone else None)
            case Kind.MESSAGES_UNPROVEN:
                return unproven_notice()
            case Kind.CONNECTION_PAUSED:
                return pause_notice(ConnectionState(self.code or ConnectionState.PAUSED))
            case Kind.PLATFORM_FAILING:
                return Notice(
                    WAITING,
                    "the platform failed several times in a row for this account",
                    "nothing to do: it is tried again by itself, at least every 8 minutes",
                )
            case Kind.CAMPAIGN_PAUSED:
                return Notice(
                    WAITING,
                    f"the campaign paused itself: {self.detail}",
                    "look at what failed, then resume or cancel the campaign",
                )
            case Kind.CAMPAIGN_FAILED:
                return Notice(
                    FAILED,
                    f"the campaign ended: {self.detail}",
                    "mend what it names, then start another campaign",
                )
            case Kind.IMPORT_FAILED:
                return Notice(
                    IMPORT_FAILED,
                    self.detail or "the file could not be imported",
                    "mend the file, then upload it again",
                )


@dataclass(frozen=True)
class Unseen:
    """How many open ones a user has not seen, at most UNSEEN_MAX, and up to where it has."""

    count: int
    is_capped: bool
    seen_to: NotificationId
