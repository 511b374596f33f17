"""Stored replies. The key is inserted in the transaction of its effect, so a crash leaves none."""

from datetime import timedelta
from typing import cast

from sqlalchemy import CursorResult, delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from domain.errors import Conflict
from domain.repositories import Once
from domain.users import UserId
from infra.db.tables import IdempotencyKeyRow

KEPT = timedelta(hours=24)
# lock_not_available, or query_canceled where a statement may take less long than a lock.
WAITED = ("55P03", "57014")


class SqlIdempotencyRepository:
    """IdempotencyRepository on PostgreSQL: a concurrent twin waits on the primary key, as
    long as for any lock."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(self, user_id: UserId, once: Once) -> str | None:
        if self._insert(user_id, once):
            return None
        row = self._session.get_one(IdempotencyKeyRow, (user_id, once.key))
        if (row.route, row.fingerprint) != (once.route, once.fingerprint):
            raise Conflict(
                "this Idempotency-Key was used for another request: use a new one",
                code="idempotency_key_reused",
            )
        return row.reply

    def _insert(self, user_id: UserId, once: Once) -> bool:
        """Whether the key is new, or so old that it counts as new."""
        new = {"route": once.route, "fingerprint": once.fingerprint}
        try:
            inserted = self._session.scalar(
                insert(IdempotencyKeyRow)
                .values(user_id=user_id, key=once.key, **new)
                .on_conflict_do_update(
                    index_elements=[IdempotencyKeyRow.user_id, IdempotencyKeyRow.key],
                    set_={**new, "reply": None, "created_at": func.now()},
                    where=IdempotencyKeyRow.created_at < func.now() - KEPT,
                )
                .returning(IdempotencyKeyRow.key)
            )
        except OperationalError as problem:
            if getattr(problem.orig, "sqlstate", None) in WAITED:
                raise Conflict(
                    "the first request with this Idempotency-Key still runs: ask again",
                    code="idempotency_in_progress",
                ) from None
            raise
        return inserted is not None

    def store(self, user_id: UserId, once: Once, reply: str) -> None:
        self._session.execute(
            update(IdempotencyKeyRow)
            .where(IdempotencyKeyRow.user_id == user_id, IdempotencyKeyRow.key == once.key)
            .values(reply=reply)
        )

    def forget_old(self) -> int:
        old = delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at < func.now() - KEPT)
        return cast("CursorResult[object]", self._session.execute(old)).rowcount
