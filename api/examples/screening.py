"""Examples of banned words."""

from typing import Any

ASKED: dict[str, Any] = {"words": ["cash app", "meet up"]}
BANNED_WORDS: dict[str, Any] = {**ASKED, "isDefault": False}
