"""Fans: the people a creator writes to."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from domain.connections import ConnectionId
from domain.errors import FieldProblem, Invalid
from domain.users import OwnerId

FanId = NewType("FanId", int)

BIGINT_MAX = 2**63 - 1


@dataclass(frozen=True)
class Fan:
    """A fan of an owner. Without `connection_id` and `platform_user_id` nothing can be sent."""

    id: FanId
    owner_id: OwnerId
    name: str
    platform: str
    handle: str
    email: str | None
    avatar: str | None
    tags: tuple[str, ...]
    value_cents: int
    last_seen_at: datetime | None
    notes: str | None
    tier: str | None
    connection_id: ConnectionId | None
    platform_user_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def linked(self) -> bool:
        return self.connection_id is not None and self.platform_user_id is not None


def parse_recipient(recipient: str) -> FanId:
    """The fan that `fan_123` or `123` means; raises Invalid."""
    digits = recipient.removeprefix("fan_")
    if digits.isascii() and digits.isdigit() and 0 < int(digits[:20]) <= BIGINT_MAX:
        return FanId(int(digits))
    raise Invalid(FieldProblem("recipientId", "use fan_<number>, for example fan_123"))


def recipient_id(fan: FanId) -> str:
    """The canonical spelling in answers and events."""
    return f"fan_{fan}"
