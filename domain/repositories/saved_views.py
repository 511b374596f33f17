"""Saved views of the inbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.conversations import ConversationFilter
from domain.users import OwnerId


@dataclass(frozen=True)
class SavedView:
    """A filter of conversations under a name."""

    id: int
    name: str
    filter: ConversationFilter
    created_at: datetime
    updated_at: datetime


class SavedViewRepository(Protocol):
    """Saved views; names are compared without regard to case and are unique for an owner."""

    def list_of(self, owner_id: OwnerId) -> Sequence[SavedView]: ...

    def get(self, owner_id: OwnerId, view_id: int) -> SavedView | None: ...

    def add(self, owner_id: OwnerId, name: str, asked: ConversationFilter) -> SavedView:
        """Raises Conflict when the name is taken."""
        ...

    def change(
        self, owner_id: OwnerId, view_id: int, name: str | None, asked: ConversationFilter | None
    ) -> SavedView | None:
        """What is None stays as it is. Raises Conflict when the name is taken."""
        ...

    def remove(self, owner_id: OwnerId, view_id: int) -> bool: ...
