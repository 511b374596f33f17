"""Who did what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

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
        caller: Caller,
        action: str,
        subject: str,
        subject_id: object = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Write a line in the transaction of the deed itself: both happen, or neither."""
        ...

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[AuditLine]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...
