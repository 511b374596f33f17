"""Words in messages, newest first, among millions.

A common word is soon met on the walk along the newest messages, while collecting all that hold it
would sort a million; a rare one is collected through its index, while the walk would never end. So
a short walk comes first: what it does not fill, too few messages hold for the index to be slow.
"""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import TEXT
from sqlalchemy.orm import Session

from domain.paging import SEARCH_TOTAL_MAX
from infra.db.tables import MESSAGE_SEARCH, MessageRow

# How many messages the walk looks at: some tens of milliseconds.
WALK = 10_000
WORDS_MAX = 16

NEWEST_FIRST = (MessageRow.created_at.desc(), MessageRow.id.desc())


def words_of(query: str) -> Sequence[str]:
    """The words of a query: letters, digits and the marks on them; everything else parts words."""
    # Texts are kept in NFC.
    spaced = "".join(
        one if one.isalnum() or unicodedata.category(one).startswith("M") else " "
        for one in unicodedata.normalize("NFC", query)
    )
    return spaced.split()[:WORDS_MAX]


class Search:
    """One search: `where` says among which messages, `words` what they hold."""

    def __init__(
        self, session: Session, where: Sequence[ColumnElement[bool]], words: Sequence[str]
    ) -> None:
        self._session = session
        self._where = where
        self._words = words

    def page(
        self, place: Sequence[ColumnElement[bool]], limit: int
    ) -> tuple[Sequence[int], int, int]:
        """The first ids behind a place, one more than `limit` if there are that many; how many
        there are from the start; and how far that was counted."""
        if not self._words:
            return [], 0, SEARCH_TOTAL_MAX
        first = self._walk([], SEARCH_TOTAL_MAX + 1)
        total = len(first)
        if not place and len(first) <= limit:
            first = self._collect([], SEARCH_TOTAL_MAX + 1)
            return first[: limit + 1], len(first), SEARCH_TOTAL_MAX
        if total <= SEARCH_TOTAL_MAX:
            some = self._matching([]).limit(SEARCH_TOTAL_MAX + 1).subquery()
            total = self._session.scalar(select(func.count()).select_from(some)) or 0
        if not place:
            return first[: limit + 1], total, SEARCH_TOTAL_MAX
        found = self._walk(place, limit + 1)
        if len(found) <= limit:
            found = self._collect(place, limit + 1)
        return found, total, SEARCH_TOTAL_MAX

    def _walk(self, place: Sequence[ColumnElement[bool]], limit: int) -> Sequence[int]:
        newest = (
            select(MessageRow.id, MessageRow.created_at, MessageRow.text)
            .where(*self._where, *place)
            .order_by(*NEWEST_FIRST)
            .limit(WALK)
            .subquery("newest")
        )
        hits = select(newest.c.id).where(self._holds(newest.c.text))
        return self._session.scalars(
            hits.order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(limit)
        ).all()

    def _collect(self, place: Sequence[ColumnElement[bool]], limit: int) -> Sequence[int]:
        # Without the fence the planner might walk after all, for the sake of the order.
        hits = self._matching(place).cte("hits").prefix_with("MATERIALIZED", dialect="postgresql")
        return self._session.scalars(
            select(hits.c.id).order_by(hits.c.created_at.desc(), hits.c.id.desc()).limit(limit)
        ).all()

    def _matching(self, place: Sequence[ColumnElement[bool]]) -> Select[int, datetime]:
        return select(MessageRow.id, MessageRow.created_at).where(
            *self._where, *place, self._holds(literal_column("text", TEXT))
        )

    def _holds(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a text holds all words, the last one as a beginning. Looking for the letters is
        much cheaper than parsing the text, and is therefore done first."""
        quoted = [f"'{word}'" for word in self._words]
        query = " & ".join(quoted) + ":*"
        letters = [func.lower(text).contains(word.lower(), autoescape=True) for word in self._words]
        vector: ColumnElement[Any] = literal_column(MESSAGE_SEARCH)
        wanted = func.to_tsquery(literal_column("'simple'"), bindparam(None, query, TEXT))
        return and_(true(), *letters, vector.op("@@", is_comparison=True)(wanted))
