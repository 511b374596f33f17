"""Banned words as rows."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from domain.users import OwnerId
from infra.db.repositories.rows import changed
from infra.db.tables import BannedWordRow, UserRow

# Stands for a list without words, so that an emptied list is not taken for a missing one.
NONE_BANNED = ""


class SqlBannedWordRepository:
    """BannedWordRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, owner_id: OwnerId) -> Sequence[str] | None:
        rows = self._session.scalars(
            select(BannedWordRow.word).where(BannedWordRow.user_id == owner_id)
        ).all()
        words = (word for word in rows if word != NONE_BANNED)
        return sorted(words, key=str.casefold) if rows else None

    def replace(self, owner_id: OwnerId, words: Sequence[str]) -> None:
        # Of two changes at once the second waits, and wins as a whole.
        self._session.execute(
            select(UserRow.id).where(UserRow.id == owner_id).with_for_update(key_share=True)
        )
        changed(self._session, delete(BannedWordRow).where(BannedWordRow.user_id == owner_id))
        self._session.execute(
            insert(BannedWordRow),
            [{"user_id": owner_id, "word": word} for word in words or (NONE_BANNED,)],
        )
