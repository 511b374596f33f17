"""What an audit reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.connections import ConnectionId
from domain.messages import Claim, Delay, PublicId


@dataclass(frozen=True)
class LedgerCall:
    """One call of the ledger: when it started, and how far away the next slot was put."""

    connection_id: ConnectionId
    burst: int | None
    started_at: datetime
    interval_ms: float


@dataclass(frozen=True)
class SentMessage:
    """A message that counts as sent, with what the platform should show of it. Its first call,
    which may be the one that the platform took, came after `queued_at`."""

    public_id: PublicId
    claim: Claim
    platform_message_id: str | None
    queued_at: datetime


class LedgerRepository(Protocol):
    """What an audit reads; nothing here changes anything."""

    def calls(self, since: datetime) -> Iterable[LedgerCall]:
        """Every call made since, by connection and in the order of their start."""
        ...

    def stuck(self, since: datetime, overdue: timedelta) -> Sequence[PublicId]:
        """Accepted messages that nothing will move: queued on an active connection without a
        wake-up or overdue by that long, sending with a lease that ended that long ago, or sent
        without any attempt that proves it."""
        ...

    def doubles(self, since: datetime) -> Sequence[PublicId]:
        """Messages that the platform accepted under more than one id."""
        ...

    def promises(self, since: datetime) -> Iterable[tuple[datetime, datetime]]:
        """(promised, sent) of every message that nothing delayed."""
        ...

    def delayed(self, since: datetime) -> Mapping[Delay, int]:
        """How many sent messages have a recorded reason for being later than promised."""
        ...

    def sent(self, since: datetime) -> Iterable[SentMessage]:
        """Every message that counts as sent, by connection and fan."""
        ...
