"""Messages to be taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.connections import ConnectionId
from domain.messages import Message, MessageId
from domain.ports import Account


@dataclass(frozen=True)
class Unsend:
    """A message that is to leave the fan's chat, with what the call needs."""

    message: Message
    account: Account
    platform_user_id: str
    platform_message_id: str
    tries: int
    sent_at: datetime
    is_purchased: bool


class UnsendingRepository(Protocol):
    """Messages to be taken back. Wake-ups run on the database's clock."""

    def ask(self, message_id: MessageId, wake_in: timedelta) -> None:
        """Remember that this message is to be taken back."""
        ...

    def others(self, connection_id: ConnectionId) -> bool:
        """Whether messages of this account are to be taken back already."""
        ...

    def get(self, message_id: MessageId) -> Unsend | None:
        """What is still to be done, while the account is active."""
        ...

    def forget(self, message_id: MessageId, error_code: str | None, detail: str | None) -> None:
        """Nothing is left to do; with a code it stays where it is, and says why."""
        ...

    def put_off(self, message_id: MessageId, wake_in: timedelta) -> None:
        """Count a try, and look again later."""
        ...

    def due(self, limit: int, put_off: timedelta) -> Sequence[tuple[MessageId, ConnectionId]]:
        """Overdue messages, at most one of each active account; each is put off."""
        ...

    def expire(self, limit: int, window: timedelta) -> int:
        """Give up on messages that the platform would no longer take back."""
        ...
