"""A connection is one connected platform account: the unit of pacing."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from domain.bulk_limits import BulkLimits, Held, bulk_problems
from domain.errors import FieldProblem, Invalid
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
    username: str | None = None
    sync_after: datetime | None = None
    synced_at: datetime | None = None
    sync_error: str | None = None
    bulk_limits: BulkLimits = field(default_factory=BulkLimits)
    # Until when, and why, it sends nothing of its campaigns.
    bulk_held_until: datetime | None = None
    bulk_held_why: Held | None = None


@dataclass(frozen=True)
class ConnectionDraft:
    """What a caller gives to connect an account."""

    platform: str
    account_id: str
    name: str | None = None
    access_key: str | None = None


@dataclass(frozen=True)
class LimitsDraft:
    """A change of name and limits; what is not in `given` stays, and None is the default."""

    given: frozenset[str]
    name: str | None = None
    rate_per_minute: float | None = None
    burst: int | None = None
    campaign_limits: BulkLimits | None = None


NAME_MAX, KEY_MAX = 100, 500
# Faster than one message a second is no pace a platform was ever seen to allow.
RATE_MAX, BURST_MAX = 60, 10
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]+")


def check_connection(draft: ConnectionDraft) -> None:
    """Raise Invalid naming every bad field."""
    problems = [*_name_problems(draft.name), *_key_problems(draft.access_key)]
    if draft.platform != "onlyfans":
        problems.append(FieldProblem("platform", "use onlyfans"))
    if not _ACCOUNT_ID.fullmatch(draft.account_id):
        problems.append(FieldProblem("accountId", "use the gateway's id, for example acct_1a2b3c"))
    if problems:
        raise Invalid(*problems)


def check_key(access_key: str) -> None:
    """Raise Invalid for what cannot be an access key."""
    if problems := _key_problems(access_key):
        raise Invalid(*problems)


def check_limits(draft: LimitsDraft) -> None:
    """Raise Invalid naming every bad field."""
    problems: list[FieldProblem] = []
    if "name" in draft.given:
        problems += _name_problems(draft.name or "")
    rate, burst = draft.rate_per_minute, draft.burst
    if rate is not None and not 0 < rate <= RATE_MAX:
        problems.append(FieldProblem("ratePerMinute", f"use more than 0, and at most {RATE_MAX}"))
    if burst is not None and not 1 <= burst <= BURST_MAX:
        problems.append(FieldProblem("burst", f"use 1 to {BURST_MAX}"))
    problems += bulk_problems(draft.campaign_limits or BulkLimits())
    if problems:
        raise Invalid(*problems)


def _name_problems(name: str | None) -> list[FieldProblem]:
    if name is None or (name.strip() and len(name) <= NAME_MAX):
        return []
    return [FieldProblem("name", f"use 1 to {NAME_MAX} characters")]


def _key_problems(access_key: str | None) -> list[FieldProblem]:
    if access_key is None or (len(access_key) <= KEY_MAX and _KEY.fullmatch(access_key)):
        return []
    return [FieldProblem("accessKey", f"use 1 to {KEY_MAX} printable ASCII without spaces")]
