"""What fans bought, as rows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.messages import MessageId, State
from domain.purchases import Payment, Priced, Purchase
from domain.repositories import KnownFan
from infra.db.repositories.rows import changed, money_moved
from infra.db.tables import MessageRow, PurchaseRow, TransactionRow

REACHED = tuple(
    state.value
    for state in (State.SENDING, State.UNKNOWN, State.SENT, State.DELIVERED, State.UNSENT)
)


class SqlPurchaseRepository:
    """PurchaseRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remember(
        self,
        connection_id: ConnectionId,
        platform_id: str,
        platform_user_id: str,
        price_cents: int,
        happened_at: datetime,
    ) -> None:
        self._session.execute(
            insert(PurchaseRow)
            .values(
                connection_id=connection_id,
                platform_id=platform_id,
                platform_user_id=platform_user_id,
                price_cents=price_cents,
                happened_at=happened_at,
            )
            .on_conflict_do_nothing()
        )

    def priced(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Priced]:
        sent_at = func.coalesce(MessageRow.sent_at, MessageRow.created_at)
        rows = self._session.execute(
            select(
                MessageRow.id,
                MessageRow.platform_message_id,
                sent_at.label("sent_at"),
                MessageRow.purchased_at,
            )
            .where(
                MessageRow.fan_id == fan.id,
                MessageRow.connection_id == connection_id,
                MessageRow.direction == "out",
                MessageRow.price_cents == price_cents,
                MessageRow.state.in_(REACHED),
            )
            .order_by(MessageRow.id)
        )
        return [
            Priced(MessageId(row.id), row.platform_message_id or "", row.sent_at, row.purchased_at)
            for row in rows
        ]

    def purchases(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Purchase]:
        rows = self._session.execute(
            select(PurchaseRow.platform_id, PurchaseRow.happened_at).where(
                PurchaseRow.connection_id == connection_id,
                PurchaseRow.platform_user_id == fan.platform_user_id,
                PurchaseRow.price_cents == price_cents,
            )
        )
        return [Purchase(row.platform_id, row.happened_at) for row in rows]

    def payments(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Payment]:
        rows = self._session.execute(
            select(
                TransactionRow.id,
                TransactionRow.platform_transaction_id,
                TransactionRow.happened_at,
                TransactionRow.message_id,
            ).where(
                TransactionRow.fan_id == fan.id,
                TransactionRow.connection_id == connection_id,
                TransactionRow.type == "message",
                TransactionRow.gross_cents == price_cents,
            )
        )
        return [
            Payment(
                row.id,
                row.platform_transaction_id or "",
                row.happened_at,
                None if row.message_id is None else MessageId(row.message_id),
            )
            for row in rows
        ]

    def set_purchased(self, message_id: MessageId, at: datetime | None) -> None:
        changed(
            self._session,
            update(MessageRow).where(MessageRow.id == message_id).values(purchased_at=at),
        )

    def set_paid(self, transaction_id: int, message_id: MessageId | None) -> None:
        paid_before = select(TransactionRow.message_id).where(TransactionRow.id == transaction_id)
        money_moved(self._session, [message_id, self._session.scalar(paid_before)])
        changed(
            self._session,
            update(TransactionRow)
            .where(TransactionRow.id == transaction_id)
            .values(message_id=message_id),
        )
