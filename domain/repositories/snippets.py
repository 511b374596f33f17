"""Snippets of a team."""

from typing import Protocol

from domain.paging import Page
from domain.snippets import Snippet, SnippetDraft, SnippetId
from domain.users import OwnerId


class SnippetRepository(Protocol):
    """Snippets; shortcuts are unique for an owner. A removed one is not found."""

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        *,
        q: str | None = None,
        category: str | None = None,
    ) -> Page[Snippet]:
        """By title. `q` is a part of the title, shortcut or text. Raises Invalid for a cursor that
        is none of ours."""
        ...

    def get(self, owner_id: OwnerId, snippet_id: SnippetId) -> Snippet | None: ...

    def count(self, owner_id: OwnerId) -> int: ...

    def add(self, owner_id: OwnerId, draft: SnippetDraft) -> SnippetId:
        """Raises Conflict `shortcut_taken`."""
        ...

    def change(self, owner_id: OwnerId, snippet_id: SnippetId, draft: SnippetDraft) -> bool:
        """Raises Conflict `shortcut_taken`; False when there is none."""
        ...

    def remove(self, owner_id: OwnerId, snippet_id: SnippetId) -> bool: ...

    def use(self, owner_id: OwnerId, snippet_id: int) -> bool:
        """Count a message that is written from it; False when there is none."""
        ...
