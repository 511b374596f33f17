"""Money."""

from datetime import datetime
from typing import Protocol

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
)
from domain.paging import Page
from domain.users import OwnerId


class TransactionRepository(Protocol):
    """Transactions. Every change also keeps the fan's value, tips and last purchase in step: the
    value is what was last stated of it plus later transactions, reversed ones taken back."""

    def tell(
        self,
        connection: Connection,
        fan_id: FanId | None,
        money: MoneyMoved,
        source: Source,
        now: datetime,
    ) -> Transaction:
        """Store or update one of the platform's; the surest word wins, and reversed is final."""
        ...

    def attach(self, connection_id: ConnectionId, platform_user_id: str, fan_id: FanId) -> None:
        """Give a new fan the money that came before it was known."""
        ...

    def add(self, owner_id: OwnerId, new: NewTransaction) -> Transaction:
        """Store one entered by hand."""
        ...

    def lock(self, owner_id: OwnerId, transaction_id: TransactionId) -> Transaction | None: ...

    def reverse(self, transaction: Transaction, now: datetime) -> Transaction:
        """It counts for nothing from now on."""
        ...

    def page(
        self, owner_id: OwnerId, which: MoneyFilter, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...

    def totals(self, owner_id: OwnerId, which: MoneyFilter) -> MoneyTotals: ...
