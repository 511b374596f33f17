"""Who may come in, and who did what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.keys import ApiKey, ApiKeyId
from domain.paging import Page
from domain.users import Caller, OwnerId, UserId


@dataclass(frozen=True)
class AuditLine:
    """One deed. `action` is noun.past_tense (`fan.deleted`); `subject` and `subject_id` say on
    what; `detail` holds ids, counts and names of fields, never texts, names or keys."""

    id: int
    actor_id: UserId | None
    action: str
    subject: str
    subject_id: str | None
    detail: Mapping[str, object]
    request_id: str | None
    at: datetime


class AuditRepository(Protocol):
    """The audit log: lines are added and read, never changed."""

    def add(
        self,
        caller: Caller | OwnerId,
        action: str,
        subject: str,
        subject_id: object = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Write a line in the transaction of the deed itself: both happen, or neither. An owner's
        id instead of a caller: nobody in particular did it."""
        ...

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[AuditLine]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...


class ApiKeyRepository(Protocol):
    """API keys by the hash of their text. Revoked ones are kept, and found by `get` only."""

    def by_hash(self, key_hash: str) -> ApiKey | None: ...

    def get(self, owner_id: OwnerId, key_id: ApiKeyId) -> ApiKey | None: ...

    def live(self, owner_id: OwnerId) -> Sequence[ApiKey]:
        """Oldest first."""
        ...

    def add(self, caller: Caller, name: str, prefix: str, key_hash: str) -> ApiKey: ...

    def revoke(self, owner_id: OwnerId, key_id: ApiKeyId) -> bool:
        """False when there is no such live key."""
        ...

    def revoke_of(self, member_id: UserId) -> int:
        """Revoke every live key of a member; returns how many."""
        ...

    def used(self, key_id: ApiKeyId, every: timedelta) -> bool:
        """Set when it was last used to now, unless that was set less than `every` ago."""
        ...
