"""Banned words."""

from collections.abc import Sequence
from typing import Protocol

from domain.users import OwnerId


class BannedWordRepository(Protocol):
    """Each owner's list."""

    def of(self, owner_id: OwnerId) -> Sequence[str] | None:
        """The owner's own list, sorted, perhaps empty; None when there never was one."""
        ...

    def replace(self, owner_id: OwnerId, words: Sequence[str]) -> None:
        """Put this list in place of the one before; of two at once, one wins as a whole."""
        ...
