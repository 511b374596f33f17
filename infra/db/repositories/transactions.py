"""Money as rows. A fan's value, tips and last purchase change in the transaction of the money."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import Connection, ConnectionId
from domain.fans import FanId
from domain.inbound import MoneyMoved
from domain.money import (
    MoneyFilter,
    MoneyTotals,
    NewTransaction,
    Source,
    Transaction,
    TransactionId,
    certainty,
    kind_of,
)
from domain.paging import TOTAL_MAX, Page
from domain.users import OwnerId
from infra.db.repositories.cursors import instant, read_cursor, whole, write_cursor
from infra.db.repositories.rows import changed, money_moved
from infra.db.repositories.tiers import retier
from infra.db.tables import FanRow, TransactionRow

# More than this is not summed: an answer must come while somebody waits for it.
SUMMED_MAX = 50_000
# The value is what was last stated plus what came later; the rest follows from the rows.
KEEP_FAN = text(
    """
    UPDATE fans SET
      value_cents = value_cents + CASE
        WHEN value_stated_at IS NULL OR :happened_at > value_stated_at THEN :gross ELSE 0 END,
      tips_cents = tips_cents + CASE WHEN :is_tip THEN :gross ELSE 0 END,
      last_purchase_at = (SELECT max(happened_at) FROM transactions
        WHERE fan_id = :fan AND reversed_at IS NULL),
      updated_at = now()
    WHERE id = :fan
    """
)


def transaction_of(row: TransactionRow, fan_name: str | None) -> Transaction:
    return Transaction(
        id=TransactionId(row.id),
        owner_id=OwnerId(row.user_id),
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        fan_id=None if row.fan_id is None else FanId(row.fan_id),
        fan_name=fan_name,
        message_id=row.message_id,
        platform_transaction_id=row.platform_transaction_id,
        source=Source(row.source),
        type=row.type,
        gross_cents=row.gross_cents,
        fee_cents=row.fee_cents,
        net_cents=row.net_cents,
        vat_cents=row.vat_cents,
        tax_cents=row.tax_cents,
        currency=row.currency,
        status=row.status,
        description=row.description,
        happened_at=row.happened_at,
        reversed_at=row.reversed_at,
        created_at=row.created_at,
    )


def told_values(money: MoneyMoved, now: datetime) -> dict[str, Any]:
    """The columns that the platform's word fills."""
    return {
        # Webhooks and the list have different words for the same.
        "type": kind_of(money.type, money.description),
        "gross_cents": money.gross_cents,
        "fee_cents": money.fee_cents,
        "net_cents": money.net_cents,
        "vat_cents": money.vat_cents,
        "tax_cents": money.tax_cents,
        "currency": money.currency,
        "status": money.status,
        "description": money.description,
        "happened_at": money.happened_at,
        "reversed_at": now if money.is_reversed else None,
    }


class SqlTransactionRepository:
    """TransactionRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # The platform's

    def tell(
        self,
        connection: Connection,
        fan_id: FanId | None,
        money: MoneyMoved,
        source: Source,
        now: datetime,
    ) -> Transaction:
        values = told_values(money, now)
        stored = self._told(connection.id, money.platform_transaction_id)
        if stored is None:
            return self._store(
                user_id=connection.owner_id,
                connection_id=connection.id,
                fan_id=fan_id,
                platform_transaction_id=money.platform_transaction_id,
                platform_user_id=money.platform_user_id,
                source=source,
                **values,
            )
        old = certainty(stored.status, is_reversed=stored.reversed_at is not None)
        if certainty(money.status, is_reversed=money.is_reversed) < old:
            values = {}
        elif stored.reversed_at is not None:
            values["reversed_at"] = stored.reversed_at
        if stored.fan_id is None and fan_id is not None:
            values["fan_id"] = fan_id
        values = {name: new for name, new in values.items() if getattr(stored, name) != new}
        if values:
            self._count(stored, -1)
            changed(
                self._session,
                update(TransactionRow).where(TransactionRow.id == stored.id).values(**values),
            )
            self._count(self._row(stored.id), 1)
            self._retier(connection.owner_id, stored.fan_id)
        return self._read(stored.id)

    def _store(self, **values: Any) -> Transaction:
        row_id = self._session.scalar(
            insert(TransactionRow).values(**values).returning(TransactionRow.id)
        )
        assert row_id is not None
        row = self._row(row_id)
        self._count(row, 1)
        self._retier(OwnerId(row.user_id), row.fan_id)
        return self._read(row_id)

    def _told(self, connection_id: ConnectionId, platform_id: str) -> TransactionRow | None:
        return self._session.scalar(
            select(TransactionRow)
            .where(
                TransactionRow.connection_id == connection_id,
                TransactionRow.platform_transaction_id == platform_id,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    def attach(self, connection_id: ConnectionId, platform_user_id: str, fan_id: FanId) -> None:
        ids = self._session.scalars(
            select(TransactionRow.id)
            .where(
                TransactionRow.connection_id == connection_id,
                TransactionRow.platform_user_id == platform_user_id,
                TransactionRow.fan_id.is_(None),
            )
            .order_by(TransactionRow.id)
            .with_for_update()
        ).all()
        row = None
        for row_id in ids:
            changed(
                self._session,
                update(TransactionRow).where(TransactionRow.id == row_id).values(fan_id=fan_id),
            )
            row = self._row(row_id)
            self._count(row, 1)
        if row is not None:
            self._retier(OwnerId(row.user_id), fan_id)

    def _count(self, row: TransactionRow, sign: int) -> None:
        """Add a transaction to its fan, or take it off; a reversed one is worth nothing."""
        if sign < 0:
            money_moved(self._session, [row.message_id])
        if row.fan_id is None:
            return
        worth = 0 if row.reversed_at is not None else row.gross_cents
        self._session.execute(
            KEEP_FAN,
            {
                "fan": row.fan_id,
                "gross": sign * worth,
                "is_tip": row.type == "tip",
                "happened_at": row.happened_at,
            },
        )

    def _retier(self, owner_id: OwnerId, fan_id: int | None) -> None:
        """Once the money is counted, so that a correction leaves one line of history or none."""
        if fan_id is not None:
            retier(self._session, owner_id, [fan_id])

    def _row(self, row_id: int) -> TransactionRow:
        return self._session.get_one(TransactionRow, row_id, populate_existing=True)

    def _read(self, row_id: int) -> Transaction:
        row, name = self._session.execute(
            self._with_names()
            .where(TransactionRow.id == row_id)
            .execution_options(populate_existing=True)
        ).one()
        return transaction_of(row, name)

    @staticmethod
    def _with_names() -> Select[TransactionRow, str]:
        return select(TransactionRow, FanRow.name).outerjoin(
            FanRow, FanRow.id == TransactionRow.fan_id
        )

    # By hand

    def add(self, owner_id: OwnerId, new: NewTransaction) -> Transaction:
        return self._store(
            user_id=owner_id,
            fan_id=new.fan_id,
            source=Source.MANUAL,
            type=new.type,
            gross_cents=new.gross_cents,
            fee_cents=new.fee_cents,
            net_cents=new.net,
            vat_cents=new.vat_cents,
            description=new.description,
            happened_at=new.happened_at,
        )

    def lock(self, owner_id: OwnerId, transaction_id: TransactionId) -> Transaction | None:
        found = self._session.scalar(
            select(TransactionRow.id)
            .where(TransactionRow.id == transaction_id, TransactionRow.user_id == owner_id)
            .with_for_update()
        )
        return None if found is None else self._read(found)

    def reverse(self, transaction: Transaction, now: datetime) -> Transaction:
        self._count(self._row(transaction.id), -1)
        changed(
            self._session,
            update(TransactionRow)
            .where(TransactionRow.id == transaction.id)
            .values(reversed_at=now, status="reversed"),
        )
        self._count(self._row(transaction.id), 1)
        self._retier(transaction.owner_id, transaction.fan_id)
        return self._read(transaction.id)

    # Looking

    def page(
        self, owner_id: OwnerId, which: MoneyFilter, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        rows = self._with_names().where(*self._matches(owner_id, which))
        if cursor is not None:
            moment, last_id = read_cursor(cursor, "transactions", instant, whole)
            place = (TransactionRow.happened_at, TransactionRow.id)
            rows = rows.where(func.row(*place) < func.row(moment, last_id))
        found = self._session.execute(
            rows.order_by(TransactionRow.happened_at.desc(), TransactionRow.id.desc()).limit(
                limit + 1
            )
        ).all()
        page = [transaction_of(row, name) for row, name in found[:limit]]
        total = self._total(owner_id, which)
        last = page[-1] if len(found) > limit else None
        return Page(
            page,
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=write_cursor("transactions", last.happened_at, last.id) if last else None,
        )

    def _total(self, owner_id: OwnerId, which: MoneyFilter) -> int:
        found = select(TransactionRow.id).where(*self._matches(owner_id, which))
        counted = found.limit(TOTAL_MAX + 1).subquery()
        return self._session.scalar(select(func.count()).select_from(counted)) or 0

    @staticmethod
    def _matches(owner_id: OwnerId, which: MoneyFilter) -> list[Any]:
        where: list[Any] = [TransactionRow.user_id == owner_id]
        if which.since is not None:
            where.append(TransactionRow.happened_at >= which.since)
        if which.until is not None:
            where.append(TransactionRow.happened_at < which.until)
        if which.type is not None:
            where.append(TransactionRow.type == which.type)
        if which.fan_id is not None:
            where.append(TransactionRow.fan_id == which.fan_id)
        if which.connection_id is not None:
            where.append(TransactionRow.connection_id == which.connection_id)
        return where

    def totals(self, owner_id: OwnerId, which: MoneyFilter) -> MoneyTotals:
        newest = (
            select(TransactionRow)
            .where(*self._matches(owner_id, which))
            .order_by(TransactionRow.happened_at.desc(), TransactionRow.id.desc())
            .limit(SUMMED_MAX + 1)
            .subquery()
        )
        kept = newest.c.reversed_at.is_(None)

        def total(column: Any, *, of: Any) -> Any:
            return func.coalesce(func.sum(column).filter(of), 0)

        row: Row[Any] = self._session.execute(
            select(
                total(newest.c.gross_cents, of=kept).label("gross"),
                total(newest.c.net_cents, of=kept).label("net"),
                total(newest.c.fee_cents, of=kept).label("fee"),
                total(newest.c.vat_cents, of=kept).label("vat"),
                total(newest.c.gross_cents, of=~kept).label("refunded"),
                func.count().label("counted"),
            ).select_from(newest)
        ).one()
        return MoneyTotals(
            gross_cents=int(row.gross),
            net_cents=int(row.net),
            fee_cents=int(row.fee),
            vat_cents=int(row.vat),
            refunded_cents=int(row.refunded),
            count=min(row.counted, SUMMED_MAX),
            is_capped=row.counted > SUMMED_MAX,
        )
