"""The audit log and API keys as rows."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from domain.keys import ApiKey, ApiKeyId
from domain.paging import TOTAL_MAX, Page
from domain.repositories import AuditLine
from domain.users import Caller, OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.rows import changed
from infra.db.tables import ApiKeyRow, AuditRow
from infra.logging import correlation_id


def audit_line_of(row: AuditRow) -> AuditLine:
    return AuditLine(
        id=row.id,
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        action=row.action,
        subject=row.subject,
        subject_id=row.subject_id,
        detail=row.detail,
        request_id=row.request_id,
        at=row.at,
    )


def api_key_of(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        owner_id=OwnerId(row.user_id),
        member_id=UserId(row.member_id),
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


class SqlAuditRepository:
    """AuditRepository on PostgreSQL."""

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
        self._session.add(
            AuditRow(
                user_id=caller.owner_id if isinstance(caller, Caller) else caller,
                actor_id=who.user_id if who else None,
                action=action,
                subject=subject,
                subject_id=None if subject_id is None else str(subject_id),
                detail={**(detail or {}), **by_key},
                request_id=correlation_id() or None,
            )
        )

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[AuditLine]:
        lines = select(AuditRow).where(AuditRow.user_id == owner_id)
        counted = select(func.count()).select_from(lines.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            [last_id] = read_cursor(cursor, "audit", whole)
            lines = lines.where(AuditRow.id < last_id)
        rows = self._session.scalars(lines.order_by(AuditRow.id.desc()).limit(limit + 1)).all()
        page = [audit_line_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(
            page,
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=write_cursor("audit", page[-1].id) if more else None,
        )


class SqlApiKeyRepository:
    """ApiKeyRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_hash(self, key_hash: str) -> ApiKey | None:
        row = self._session.scalar(
            select(ApiKeyRow).where(ApiKeyRow.key_hash == key_hash, ApiKeyRow.revoked_at.is_(None))
        )
        return api_key_of(row) if row else None

    def get(self, owner_id: OwnerId, key_id: ApiKeyId) -> ApiKey | None:
        row = self._session.scalar(
            select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.user_id == owner_id)
        )
        return api_key_of(row) if row else None

    def live(self, owner_id: OwnerId) -> Sequence[ApiKey]:
        rows = self._session.scalars(
            select(ApiKeyRow)
            .where(ApiKeyRow.user_id == owner_id, ApiKeyRow.revoked_at.is_(None))
            .order_by(ApiKeyRow.id)
        )
        return [api_key_of(row) for row in rows]

    def add(self, caller: Caller, name: str, prefix: str, key_hash: str) -> ApiKey:
        row = ApiKeyRow(
            user_id=caller.owner_id,
            member_id=caller.user_id,
            name=name,
            prefix=prefix,
            key_hash=key_hash,
        )
        self._session.add(row)
        self._session.flush()
        self._session.refresh(row)
        return api_key_of(row)

    def revoke(self, owner_id: OwnerId, key_id: ApiKeyId) -> bool:
        revoking = update(ApiKeyRow).where(
            ApiKeyRow.id == key_id, ApiKeyRow.user_id == owner_id, ApiKeyRow.revoked_at.is_(None)
        )
        return changed(self._session, revoking.values(revoked_at=func.now())) == 1

    def revoke_of(self, member_id: UserId) -> int:
        revoking = update(ApiKeyRow).where(
            ApiKeyRow.member_id == member_id, ApiKeyRow.revoked_at.is_(None)
        )
        return changed(self._session, revoking.values(revoked_at=func.now()))

    def used(self, key_id: ApiKeyId, every: timedelta) -> bool:
        long_ago = ApiKeyRow.last_used_at <= func.now() - every
        using = update(ApiKeyRow).where(
            ApiKeyRow.id == key_id, or_(ApiKeyRow.last_used_at.is_(None), long_ago)
        )
        return changed(self._session, using.values(last_used_at=func.now())) == 1
