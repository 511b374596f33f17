"""Money as response bodies."""

from api.schemas import transactions as schemas
from domain.money import MoneyTotals, Transaction


def transaction(one: Transaction) -> schemas.TransactionView:
    fan = None
    if one.fan_id is not None and one.fan_name is not None:
        fan = schemas.MoneyFan(id=one.fan_id, name=one.fan_name)
    return schemas.TransactionView(
        id=one.id,
        connection_id=one.connection_id,
        fan_id=one.fan_id,
        fan=fan,
        message_id=one.message_id,
        source=one.source,
        type=one.type,
        gross_cents=one.gross_cents,
        fee_cents=one.fee_cents,
        net_cents=one.net_cents,
        vat_cents=one.vat_cents,
        tax_cents=one.tax_cents,
        currency=one.currency,
        status=one.status,
        description=one.description,
        happened_at=one.happened_at,
        reversed_at=one.reversed_at,
    )


def totals(sums: MoneyTotals) -> schemas.Totals:
    return schemas.Totals(
        gross_cents=sums.gross_cents,
        net_cents=sums.net_cents,
        fee_cents=sums.fee_cents,
        vat_cents=sums.vat_cents,
        refunded_cents=sums.refunded_cents,
        count=sums.count,
        capped=sums.is_capped,
    )
