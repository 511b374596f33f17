"""Snippets as rows. What one earned is asked of the money, for those that are shown only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.errors import Conflict
from domain.paging import TOTAL_MAX, Page
from domain.snippets import Snippet, SnippetDraft, SnippetId
from domain.users import OwnerId
from infra.db.repositories.cursors import read_cursor, whole, words, write_cursor
from infra.db.repositories.rows import changed
from infra.db.tables import MessageRow, SnippetRow, TransactionRow

TITLE = func.lower(SnippetRow.title)
EARNED = (
    select(func.coalesce(func.sum(TransactionRow.net_cents), 0))
    .join(MessageRow, MessageRow.id == TransactionRow.message_id)
    .where(
        MessageRow.snippet_id == SnippetRow.id,
        MessageRow.price_cents > 0,
        TransactionRow.reversed_at.is_(None),
    )
    .correlate(SnippetRow)
    .scalar_subquery()
)


def snippet_of(row: SnippetRow, earned: int) -> Snippet:
    return Snippet(
        id=SnippetId(row.id),
        draft=SnippetDraft(row.title, row.shortcut, row.text, row.category),
        use_count=row.use_count,
        last_used_at=row.last_used_at,
        earnings_cents=int(earned),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


class SqlSnippetRepository:
    """SnippetRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        *,
        q: str | None = None,
        category: str | None = None,
    ) -> Page[Snippet]:
        found = _of(owner_id, select(SnippetRow.id))
        if q is not None:
            sought = (SnippetRow.title, SnippetRow.shortcut, SnippetRow.text)
            found = found.where(or_(*(column.icontains(q, autoescape=True) for column in sought)))
        if category is not None:
            found = found.where(SnippetRow.category == category)
        total = self._session.scalar(select(func.count()).select_from(found.subquery())) or 0
        shown = found.with_only_columns(SnippetRow, EARNED, TITLE)
        if cursor is not None:
            title, last = read_cursor(cursor, "snippets", words, whole)
            shown = shown.where(tuple_(TITLE, SnippetRow.id) > tuple_(title, last))
        rows = self._session.execute(shown.order_by(TITLE, SnippetRow.id).limit(limit + 1)).all()
        items = [snippet_of(row, earned) for row, earned, _ in rows[:limit]]
        more = None
        if len(rows) > limit:
            last_row, _, title = rows[limit - 1]
            more = write_cursor("snippets", title, last_row.id)
        return Page(items, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def get(self, owner_id: OwnerId, snippet_id: SnippetId) -> Snippet | None:
        found = _of(owner_id, select(SnippetRow, EARNED)).where(SnippetRow.id == snippet_id)
        row = self._session.execute(found.execution_options(populate_existing=True)).one_or_none()
        return snippet_of(row[0], row[1]) if row else None

    def count(self, owner_id: OwnerId) -> int:
        return self._session.scalar(_of(owner_id, select(func.count(SnippetRow.id)))) or 0

    def add(self, owner_id: OwnerId, draft: SnippetDraft) -> SnippetId:
        new = insert(SnippetRow).values(user_id=owner_id, **vars(draft)).returning(SnippetRow.id)
        with self._unique():
            return SnippetId(self._session.scalars(new).one())

    def change(self, owner_id: OwnerId, snippet_id: SnippetId, draft: SnippetDraft) -> bool:
        values = {**vars(draft), "updated_at": func.now()}
        with self._unique():
            return self._update(owner_id, snippet_id, **values)

    def remove(self, owner_id: OwnerId, snippet_id: SnippetId) -> bool:
        return self._update(owner_id, snippet_id, removed_at=func.now())

    def use(self, owner_id: OwnerId, snippet_id: int) -> bool:
        counted = SnippetRow.use_count + 1
        return self._update(owner_id, snippet_id, use_count=counted, last_used_at=func.now())

    def _update(self, owner_id: OwnerId, snippet_id: int, **values: Any) -> bool:
        updating = update(SnippetRow).where(
            SnippetRow.id == snippet_id,
            SnippetRow.user_id == owner_id,
            SnippetRow.removed_at.is_(None),
        )
        return changed(self._session, updating.values(**values)) == 1

    @contextmanager
    def _unique(self) -> Iterator[None]:
        try:
            with self._session.begin_nested():
                yield
        except IntegrityError as problem:
            if "uq_snippets_shortcut" in str(problem.orig):
                raise Conflict(
                    "a snippet has this shortcut already", code="shortcut_taken"
                ) from None
            raise


def _of(owner_id: OwnerId, found: Select[Any]) -> Select[Any]:
    return found.where(SnippetRow.user_id == owner_id, SnippetRow.removed_at.is_(None))
