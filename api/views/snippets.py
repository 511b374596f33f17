"""Snippets as response bodies."""

from api.schemas import snippets as schemas
from domain.snippets import Snippet


def snippet(one: Snippet) -> schemas.SnippetView:
    return schemas.SnippetView(
        id=one.id,
        **vars(one.draft),
        use_count=one.use_count,
        last_used_at=one.last_used_at,
        earnings_cents=one.earnings_cents,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )
