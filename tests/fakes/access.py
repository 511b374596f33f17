"""The audit log in memory."""

from collections.abc import Mapping

from domain.errors import FieldProblem, Invalid
from domain.paging import Page
from domain.repositories import AuditLine
from domain.users import Caller, OwnerId
from tests.fakes.tables import Session


class FakeAuditRepository:
    """AuditRepository in memory; the cursor is the last id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        caller: Caller | OwnerId,
        action: str,
        subject: str,
        subject_id: object = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        who = caller if isinstance(caller, Caller) else None
        by_key = {"keyId": who.key_id} if who and who.key_id is not None else {}
        line = AuditLine(
            id=self._session.next_id(),
            actor_id=who.user_id if who else None,
            action=action,
            subject=subject,
            subject_id=None if subject_id is None else str(subject_id),
            detail={**(detail or {}), **by_key},
            request_id=None,
            at=self._session.now,
        )
        owner_id = caller.owner_id if isinstance(caller, Caller) else caller
        self._session.write().audit[line.id] = owner_id, line

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[AuditLine]:
        rows = self._session.rows.audit.values()
        lines = sorted((line for owner, line in rows if owner == owner_id), key=lambda one: -one.id)
        total = len(lines)
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit()):
                raise Invalid(FieldProblem("cursor", "use the nextCursor of the page before"))
            lines = [one for one in lines if one.id < int(cursor)]
        page = lines[:limit]
        more = len(lines) > limit
        return Page(page, total, is_capped=False, next_cursor=str(page[-1].id) if more else None)
