"""What the platform tells us, in our terms: facts that may come twice, late, or in any order.

A webhook and the periodic sync speak of the same things; both are turned into these facts, and
`services.inbound` makes rows of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.connections import ConnectionState
from domain.messages import Attachment


class Subscription(StrEnum):
    """Whether a fan pays to be one."""

    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True)
class FanSeen:
    """A fan as the platform shows it; None = it does not say."""

    platform_user_id: str
    username: str | None = None
    name: str | None = None
    avatar: str | None = None
    last_seen_at: datetime | None = None
    subscription: Subscription | None = None
    subscription_ends_at: datetime | None = None
    # As of when this holds; None = as of now. The newest word wins, whatever comes first.
    told_at: datetime | None = None


@dataclass(frozen=True)
class MessageSeen:
    """A message that stands in the chat with `fan`; `text` is what a person reads. `is_mass`: one
    of many that a tool of the platform sent at once. `media_count` None = as many as there are
    attachments."""

    fan: FanSeen
    platform_message_id: str
    from_us: bool
    text: str
    price_cents: int
    attachments: tuple[Attachment, ...]
    created_at: datetime
    is_opened: bool = False
    is_mass: bool = False
    media_count: int | None = None


@dataclass(frozen=True)
class MessageDeleted:
    """A message is no longer in its chat."""

    platform_message_id: str
    happened_at: datetime | None = None


@dataclass(frozen=True)
class MessagePurchased:
    """A fan unlocked a priced message. The money comes with its transaction, never from here; the
    platform's notification names no message, so `price_cents` finds it."""

    fan: FanSeen
    price_cents: int
    happened_at: datetime
    # What tells two purchases apart; None = nothing but their time.
    platform_id: str | None = None


@dataclass(frozen=True)
class MoneyMoved:
    """A transaction, in integer cents. `is_reversed`: refunded or charged back, so it counts for
    nothing. The same id may be told again with another status."""

    platform_transaction_id: str
    type: str
    gross_cents: int
    fee_cents: int
    net_cents: int
    vat_cents: int
    tax_cents: int
    currency: str
    status: str | None
    description: str | None
    happened_at: datetime
    platform_user_id: str | None
    is_reversed: bool = False
    # Whose money it was, where the platform says more than an id.
    fan: FanSeen | None = None


@dataclass(frozen=True)
class AccountChanged:
    """The account's session ended (a state to pause in), or came back (None)."""

    state: ConnectionState | None
    reason: str
    told_at: datetime | None = None


Fact = FanSeen | MessageSeen | MessageDeleted | MessagePurchased | MoneyMoved | AccountChanged
