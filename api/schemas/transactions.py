"""Money."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, Moment, PageQuery
from domain.fans import BIGINT_MAX


class TransactionsQuery(PageQuery):
    since: Moment | None = Field(None, alias="from", description="first moment, inclusive")
    until: Moment | None = Field(None, alias="to", description="last moment, exclusive")
    type: str | None = Field(None, max_length=32, description="tip, message, subscription, ...")
    fan_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    connection_id: int | None = Field(None, ge=1, le=BIGINT_MAX)


class NewTransaction(Asked):
    fan_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    type: str = Field(json_schema_extra={"pattern": "^[a-z][a-z0-9_]{0,31}$"})
    gross_cents: int
    fee_cents: int = 0
    net_cents: int | None = Field(None, description="default: grossCents less feeCents")
    vat_cents: int = 0
    description: str | None = None
    happened_at: Moment


class MoneyFan(Answered):
    id: int
    name: str


class TransactionView(Answered):
    """Money that moved, in integer cents. A reversed one counts for nothing."""

    id: int
    connection_id: int | None
    fan_id: int | None
    fan: MoneyFan | None
    message_id: int | None
    source: str
    type: str
    gross_cents: int
    fee_cents: int
    net_cents: int
    vat_cents: int
    tax_cents: int
    currency: str
    status: str | None
    description: str | None
    happened_at: Instant
    reversed_at: Instant | None


class Totals(Answered):
    """Of all that the filter finds. Reversed money stands in refundedCents only."""

    gross_cents: int
    net_cents: int
    fee_cents: int
    vat_cents: int
    refunded_cents: int
    count: int
    capped: bool = Field(description="true: only the newest 50,000 were summed; narrow the filter")


class TransactionsReply(Answered):
    transactions: list[TransactionView]
    totals: Totals
    total: int
    total_capped: bool
    next_cursor: str | None


class TransactionReply(Answered):
    transaction: TransactionView
