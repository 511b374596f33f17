"""Banned words in memory."""

from collections.abc import Sequence

from domain.users import OwnerId
from tests.fakes.tables import Session


class FakeBannedWordRepository:
    """BannedWordRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, owner_id: OwnerId) -> Sequence[str] | None:
        return self._session.rows.banned_words.get(owner_id)

    def replace(self, owner_id: OwnerId, words: Sequence[str]) -> None:
        self._session.write().banned_words[owner_id] = sorted(words, key=str.casefold)
