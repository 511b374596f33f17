"""Which message a purchase was of, and which payment paid it.

The platform names neither. Both answers are functions of everything known, so that they come out
the same whatever became known first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.messages import MessageId

# The platform rounds the moment of a purchase down to its minute.
ROUNDING = timedelta(seconds=60)
# Between an unlocked message and its transaction.
PAYMENT_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class Priced:
    """A priced message of ours. `name` orders messages of the same instant: the platform's id."""

    id: MessageId
    name: str
    sent_at: datetime
    purchased_at: datetime | None


@dataclass(frozen=True)
class Purchase:
    """A purchase of some message of that price."""

    name: str
    happened_at: datetime


@dataclass(frozen=True)
class Payment:
    """A transaction of a message's price, and the message it is linked to."""

    id: int
    name: str
    happened_at: datetime
    message_id: MessageId | None


def purchased(
    messages: Sequence[Priced], purchases: Sequence[Purchase]
) -> dict[MessageId, datetime]:
    """Each purchase, oldest first, is of the newest message sent before it and not bought yet."""
    found: dict[MessageId, datetime] = {}
    newest_first = sorted(messages, key=lambda one: (one.sent_at, one.name), reverse=True)
    for purchase in sorted(purchases, key=lambda one: (one.happened_at, one.name)):
        for message in newest_first:
            if message.id not in found and message.sent_at <= purchase.happened_at + ROUNDING:
                found[message.id] = purchase.happened_at
                break
    return found


def paid(
    messages: Sequence[Priced], bought: dict[MessageId, datetime], payments: Sequence[Payment]
) -> dict[int, MessageId]:
    """Each payment, oldest first, is for the bought message nearest in time that has none yet."""
    found: dict[int, MessageId] = {}
    free = sorted((bought[one.id], one.name, one.id) for one in messages if one.id in bought)
    for payment in sorted(payments, key=lambda one: (one.happened_at, one.name)):
        near = [one for one in free if abs(one[0] - payment.happened_at) <= PAYMENT_WITHIN]
        if near:
            best = min(near, key=lambda one: (abs(one[0] - payment.happened_at), one))
            free.remove(best)
            found[payment.id] = best[2]
    return found
