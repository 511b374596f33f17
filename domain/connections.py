"""A connection is one connected platform account: the unit of pacing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from domain.users import OwnerId

ConnectionId = NewType("ConnectionId", int)


class ConnectionState(StrEnum):
    """Whether a connection may send, and why not."""

    ACTIVE = "active"
    PAUSED = "paused"
    PAUSED_AUTH = "paused_auth"  # the platform said 401 or session expired
    PAUSED_QUOTA = "paused_quota"  # 402: the gateway's credits are used up
    DISCONNECTED = "disconnected"


@dataclass(frozen=True)
class Connection:
    """A connected account. `rate_per_minute` and `burst` are None where the settings' rule.

    `slowdown`, `failures` and `blocked_until` mirror what the waiting room learned
    (429s, the breaker), so that losing Redis does not forget the platform's wishes.
    """

    id: ConnectionId
    owner_id: OwnerId
    platform: str
    name: str
    account_id: str
    state: ConnectionState
    state_reason: str | None
    rate_per_minute: float | None
    burst: int | None
    slowdown: int
    failures: int
    blocked_until: datetime | None
    blocked_reason: str | None
    created_at: datetime
