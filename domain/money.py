"""Money: integer cents, and what a transaction's type and status mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from domain.connections import ConnectionId
from domain.errors import FieldProblem, Invalid
from domain.fans import FanId
from domain.users import OwnerId

TransactionId = NewType("TransactionId", int)

AMOUNT_MAX = 10**9
TYPE_MAX, DESCRIPTION_MAX = 32, 500


class Source(StrEnum):
    """How we came to know of a transaction."""

    WEBHOOK = "webhook"
    SYNC = "sync"
    MANUAL = "manual"


# What the platform calls money that went back. Once reversed, always reversed.
REVERSALS = frozenset(
    {
        *("undo", "undone", "refund", "refunded", "reversed", "reversal"),
        *("chargeback", "chargedback", "cancel", "canceled", "cancelled"),
    }
)
PENDING = frozenset({"", "loading", "pending", "hold", "processing"})

# Words of the platform's types and descriptions, and our word for them; the first that fits.
KINDS: Mapping[str, str] = {
    "tip": "tip",
    "message": "message",
    "subscri": "subscription",
    "rebill": "subscription",
    "renew": "subscription",
    "post": "post",
    "stream": "stream",
    "referral": "referral",
}


def kind_of(type_: str | None, description: str | None = None) -> str:
    """Our word for a transaction's type. The list endpoint names none: its description does."""
    for words in (type_, description):
        lower = (words or "").lower()
        for part, kind in KINDS.items():
            if part in lower:
                return kind
    name = re.sub(r"[^a-z0-9_]+", "_", (type_ or "").lower()).strip("_")
    return name[:TYPE_MAX] or "other"


def is_reversal(status: str | None) -> bool:
    """Whether a transaction of this status counts for nothing."""
    return re.sub(r"[\s_-]", "", (status or "").lower()) in REVERSALS


def certainty(status: str | None, *, is_reversed: bool) -> int:
    """Which of two words about one transaction is the later: pending, settled, reversed."""
    if is_reversed:
        return 2
    return 0 if (status or "").strip().lower() in PENDING else 1


@dataclass(frozen=True)
class Transaction:
    """Money that moved, as stored."""

    id: TransactionId
    owner_id: OwnerId
    connection_id: ConnectionId | None
    fan_id: FanId | None
    fan_name: str | None
    message_id: int | None
    platform_transaction_id: str | None
    source: Source
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
    reversed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class NewTransaction:
    """Money that a person enters by hand; `net_cents` None = gross less fee."""

    fan_id: FanId | None
    type: str
    gross_cents: int
    fee_cents: int
    net_cents: int | None
    vat_cents: int
    description: str | None
    happened_at: datetime

    @property
    def net(self) -> int:
        return self.gross_cents - self.fee_cents if self.net_cents is None else self.net_cents


@dataclass(frozen=True)
class MoneyFilter:
    """Which transactions; None = whatever it is. `until` is exclusive."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    fan_id: FanId | None = None
    connection_id: ConnectionId | None = None


@dataclass(frozen=True)
class MoneyTotals:
    """Sums over a filter. Reversed money stands in `refunded_cents` only; `count` counts all.
    `is_capped`: only the newest were summed, since there are more than anybody could wait for."""

    gross_cents: int
    net_cents: int
    fee_cents: int
    vat_cents: int
    refunded_cents: int
    count: int
    is_capped: bool


def check(new: NewTransaction, now: datetime) -> None:
    """Raise Invalid naming every bad field of a manual entry."""
    problems = []
    amounts = {
        "grossCents": (1, new.gross_cents),
        "feeCents": (0, new.fee_cents),
        "netCents": (0, new.net),
        "vatCents": (0, new.vat_cents),
    }
    for name, (least, value) in amounts.items():
        if not least <= value <= AMOUNT_MAX:
            problems.append(FieldProblem(name, f"use {least} to {AMOUNT_MAX} cents"))
    if new.net > new.gross_cents:
        problems.append(FieldProblem("netCents", "use at most grossCents"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", new.type):
        problems.append(FieldProblem("type", "use a word such as tip, message or subscription"))
    if new.description is not None and len(new.description) > DESCRIPTION_MAX:
        problems.append(FieldProblem("description", f"use at most {DESCRIPTION_MAX} characters"))
    if new.happened_at > now:
        problems.append(FieldProblem("happenedAt", "use a moment that has passed"))
    if problems:
        raise Invalid(*problems)
