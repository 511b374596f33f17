"""What the limits on an account's campaigns need to know, and what they hold back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.bulk_limits import BulkLimits, Held
from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import MessageId
from domain.users import OwnerId


@dataclass(frozen=True)
class Limited:
    """A message that may go as soon as the limits of its account allow it."""

    connection_id: ConnectionId
    fan_id: FanId


@dataclass(frozen=True)
class Lanes:
    """The campaigns of an account with messages that wait, in its waiting room."""

    connection_id: ConnectionId
    campaign_ids: Sequence[CampaignId]


class BulkLimitRepository(Protocol):
    """Limits run on the database's clock, which all processes share."""

    def limited(self, message_id: MessageId) -> Limited | None:
        """A queued message whose campaign and account are active, of an account with limits; None
        for any other."""
        ...

    def clock(self) -> datetime: ...

    def calls(self, connection_id: ConnectionId, most: int) -> Sequence[datetime]:
        """The account's newest calls of the last day, oldest first; one that is going on counts as
        of now."""
        ...

    def got(
        self, owner_id: OwnerId, fan_ids: Sequence[FanId]
    ) -> Mapping[FanId, Sequence[datetime]]:
        """When these fans got messages of campaigns within a day, oldest first; one that is being
        sent or settled counts as of now."""
        ...

    def hold(self, connection_id: ConnectionId, until: datetime, why: Held) -> Lanes:
        """Let no campaign send from this account until then. Whatever was promised earlier is
        late, and so is what follows it."""
        ...

    def hold_message(self, message_id: MessageId, until: datetime) -> None:
        """Let this message wait until then: its fan has had enough of today."""
        ...

    def change(self, connection_id: ConnectionId, limits: BulkLimits | None) -> None:
        """Other limits from the next message on; a hold is looked at anew."""
        ...

    def held(self, connection_ids: Sequence[ConnectionId]) -> frozenset[ConnectionId]:
        """Those of them that send nothing of their campaigns now."""
        ...

    def end_holds(self, limit: int) -> Sequence[Lanes]:
        """Accounts whose hold is over, with the campaigns that may go there; it is taken off."""
        ...

    def end_message_holds(self, limit: int) -> int:
        """Let messages go whose fans may get one again; what waits behind them is overtaken."""
        ...
