"""Banned words as a response body."""

from api.schemas import screening as schemas
from domain.services.screening import BannedWords


def banned_words(told: BannedWords) -> schemas.BannedWordsReply:
    return schemas.BannedWordsReply(words=list(told.words), is_default=told.is_default)
