"""What fans bought."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.connections import ConnectionId
from domain.messages import MessageId
from domain.purchases import Payment, Priced, Purchase
from domain.repositories.inbound import KnownFan


class PurchaseRepository(Protocol):
    """Unlocked messages, and the payments for them. The caller holds the connection's lock."""

    def remember(
        self,
        connection_id: ConnectionId,
        platform_id: str,
        platform_user_id: str,
        price_cents: int,
        happened_at: datetime,
    ) -> None: ...

    def priced(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Priced]:
        """Messages of that price which reached the fan."""
        ...

    def purchases(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Purchase]: ...

    def payments(
        self, fan: KnownFan, connection_id: ConnectionId, price_cents: int
    ) -> Sequence[Payment]: ...

    def set_purchased(self, message_id: MessageId, at: datetime | None) -> None: ...

    def set_paid(self, transaction_id: int, message_id: MessageId | None) -> None: ...
