"""Money: looking at transactions, and entering what the platform does not know."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import Conflict, NotFound
from domain.money import (
    MoneyFilter,
    MoneyTotals,
    NewTransaction,
    Source,
    Transaction,
    TransactionId,
    check,
)
from domain.paging import Page
from domain.repositories import Once, OpenUnitOfWork
from domain.users import Caller, Permission


@dataclass(frozen=True)
class MoneyPage:
    """One page of transactions, with the sums of all that the filter finds."""

    page: Page[Transaction]
    totals: MoneyTotals


@dataclass(frozen=True)
class Entered:
    """A transaction that was entered or reversed; `replayed` by an Idempotency-Key."""

    transaction: Transaction
    replayed: bool = False


class MoneyService:
    """The use cases of money."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_transactions(
        self, caller: Caller, which: MoneyFilter, limit: int, cursor: str | None
    ) -> MoneyPage:
        """One page, newest first; a foreign fan or connection finds nothing. Raises Invalid."""
        caller.require(Permission.MONEY)
        with self._open() as work:
            return MoneyPage(
                work.transactions.page(caller.owner_id, which, limit, cursor),
                work.transactions.totals(caller.owner_id, which),
            )

    def enter(
        self, caller: Caller, new: NewTransaction, now: datetime, once: Once | None = None
    ) -> Entered:
        """Add money that came another way. Raises Invalid, NotFound for the fan."""
        caller.require(Permission.MONEY)
        caller.require(Permission.MANAGE)
        check(new, now)
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                found = work.transactions.lock(caller.owner_id, TransactionId(int(stored)))
                if found is None:
                    raise NotFound("no such transaction")
                return Entered(found, replayed=True)
            # Locked: a merge that runs meanwhile would leave the money with the merged fan.
            if new.fan_id is not None and not work.fans.lock(caller.owner_id, [new.fan_id]):
                raise NotFound(f"no fan {new.fan_id}", code="fan_not_found")
            entered = work.transactions.add(caller.owner_id, new)
            work.audit.add(
                caller,
                "transaction.entered",
                "transaction",
                entered.id,
                {"grossCents": new.gross_cents, "fanId": new.fan_id},
            )
            if once:
                work.idempotency.store(caller.user_id, once, str(entered.id))
            work.commit()
        return Entered(entered)

    def reverse(
        self, caller: Caller, transaction_id: int, now: datetime, once: Once | None = None
    ) -> Entered:
        """Take a manual entry back; reversing it twice changes nothing. Raises NotFound, and
        Conflict for one of the platform's, which only the platform reverses."""
        caller.require(Permission.MONEY)
        caller.require(Permission.MANAGE)
        with self._open() as work:
            replayed = once is not None and work.idempotency.claim(caller.user_id, once) is not None
            found = work.transactions.lock(caller.owner_id, TransactionId(transaction_id))
            if found is None:
                raise NotFound("no such transaction")
            if replayed:
                return Entered(found, replayed=True)
            if found.source is not Source.MANUAL:
                raise Conflict("only the platform reverses its transactions", code="not_manual")
            if found.reversed_at is None:
                found = work.transactions.reverse(found, now)
                work.audit.add(caller, "transaction.reversed", "transaction", found.id)
            if once:
                work.idempotency.store(caller.user_id, once, str(found.id))
            work.commit()
        return Entered(found)
