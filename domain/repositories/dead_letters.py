"""Messages whose queue task was given up."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from domain.dead_letters import DeadMessage
from domain.messages import MessageId
from domain.paging import Page
from domain.users import OwnerId


class DeadLetterRepository(Protocol):
    """Rows that remember a dead letter about them."""

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[DeadMessage]:
        """The newest death first. Raises Invalid for a cursor that is none of ours."""
        ...

    def get(self, owner_id: OwnerId, public_id: UUID) -> DeadMessage | None:
        """Locked until the transaction ends; None when it is not dead."""
        ...

    def revive(self, rows: Collection[UUID | MessageId]) -> Collection[tuple[OwnerId, UUID]]:
        """Forget that these are dead; returns which of them were, with their owners."""
        ...
