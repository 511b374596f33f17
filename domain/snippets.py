"""Snippets: scripts of a team, written once and sent by everybody, with the fan's name in them."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from domain.errors import FieldProblem, Invalid
from domain.messages import CONTENT_MAX, normalised

SnippetId = NewType("SnippetId", int)

TITLE_MAX, SHORTCUT_MAX, CATEGORY_MAX = 100, 30, 50
# What a chatter types; they are looked through as a whole.
SNIPPETS_MAX = 1_000
SHORTCUT = re.compile(r"[a-z0-9-]{1,30}")


@dataclass(frozen=True)
class SnippetDraft:
    """A snippet as it is to be. `text` may hold `{name}` and `{name|words for those without}`."""

    title: str
    shortcut: str
    text: str
    category: str | None = None

    def checked(self) -> "SnippetDraft":
        """As it is kept; raises Invalid naming each bad field."""
        problems: list[FieldProblem] = []
        title, category = self.title.strip(), (self.category or "").strip()
        for name, value, least, most in (
            ("title", title, 1, TITLE_MAX),
            ("category", category, 0, CATEGORY_MAX),
        ):
            if not least <= len(value) <= most or _has_controls(value):
                problems.append(FieldProblem(name, f"use {least} to {most} characters, one line"))
        if not SHORTCUT.fullmatch(self.shortcut):
            asked = f"use 1 to {SHORTCUT_MAX} of a-z, 0-9 and -"
            problems.append(FieldProblem("shortcut", asked))
        text = normalised(self.text)
        if not text.strip() or len(text) > CONTENT_MAX:
            problems.append(FieldProblem("text", f"use 1 to {CONTENT_MAX} characters"))
        if problems:
            raise Invalid(*problems)
        return SnippetDraft(title, self.shortcut, text, category or None)


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(one) == "Cc" for one in text)


@dataclass(frozen=True)
class Snippet:
    """A snippet with what it did: how often it was sent, and what its priced messages brought
    (net, reversals aside); None for who may not see money."""

    id: SnippetId
    draft: SnippetDraft
    use_count: int
    last_used_at: datetime | None
    earnings_cents: int | None
    created_at: datetime
    updated_at: datetime
