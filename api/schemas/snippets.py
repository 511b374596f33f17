"""Snippets."""

from typing import Any

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, PageQuery, Query
from domain.fans import BIGINT_MAX
from domain.messages import CONTENT_MAX
from domain.snippets import CATEGORY_MAX, SHORTCUT, TITLE_MAX

# Told to clients; the domain refuses, with a reason that is for people.
TITLE: dict[str, Any] = {"minLength": 1, "maxLength": TITLE_MAX}
SHORT: dict[str, Any] = {"pattern": f"^{SHORTCUT.pattern}$"}
TEXT: dict[str, Any] = {"minLength": 1, "maxLength": CONTENT_MAX}
CATEGORY: dict[str, Any] = {"maxLength": CATEGORY_MAX}


class SnippetsQuery(PageQuery):
    q: str | None = Field(None, max_length=100)
    category: str | None = Field(None, max_length=CATEGORY_MAX)


class SnippetRequest(Asked):
    title: str = Field(json_schema_extra=TITLE)
    shortcut: str = Field(json_schema_extra=SHORT)
    text: str = Field(json_schema_extra=TEXT)
    category: str | None = Field(None, json_schema_extra=CATEGORY)


class SnippetChange(Asked):
    title: str | None = Field(None, json_schema_extra=TITLE)
    shortcut: str | None = Field(None, json_schema_extra=SHORT)
    text: str | None = Field(None, json_schema_extra=TEXT)
    category: str | None = Field(None, json_schema_extra=CATEGORY)


class SnippetView(Answered):
    id: int
    title: str
    shortcut: str
    text: str
    category: str | None
    use_count: int = Field(description="messages sent with it")
    last_used_at: Instant | None
    earnings_cents: int | None
    created_at: Instant
    updated_at: Instant


class SnippetReply(Answered):
    snippet: SnippetView


class SnippetsReply(Answered):
    snippets: list[SnippetView]
    total: int
    total_capped: bool = Field(description="there are more than total says")
    next_cursor: str | None


class RenderedQuery(Query):
    fan_id: int = Field(ge=1, le=BIGINT_MAX)


class RenderedReply(Answered):
    snippet_id: int
    fan_id: int
    text: str
