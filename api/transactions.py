"""Money: what the platform told, and what was entered by hand."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import transactions as examples
from api.schemas import transactions as schemas
from api.views import transactions as views
from api.views.messages import Reply
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.money import MoneyFilter, NewTransaction

transactions = Routes("transactions", __name__, url_prefix="/api/crm/transactions", tag="Money")


@transactions.get("")
@transactions.input(schemas.TransactionsQuery, location="query", arg_name="query")
@transactions.output(schemas.TransactionsReply, example=examples.TRANSACTIONS)
@transactions.doc(
    summary="Transactions, newest first, with their sums",
    description="Integer cents. Gross is what the fan paid, net what the creator keeps. Money that"
    " went back has reversedAt and counts for nothing.",
    responses=problems(403, 422),
)
def list_transactions(query: schemas.TransactionsQuery) -> schemas.TransactionsReply:
    which = MoneyFilter(
        since=query.since,
        until=query.until,
        type=query.type,
        fan_id=None if query.fan_id is None else FanId(query.fan_id),
        connection_id=None if query.connection_id is None else ConnectionId(query.connection_id),
    )
    found = services().money.list_transactions(caller(), which, query.limit, query.cursor)
    return schemas.TransactionsReply(
        transactions=[views.transaction(one) for one in found.page.items],
        totals=views.totals(found.totals),
        total=found.page.total,
        total_capped=found.page.is_capped,
        next_cursor=found.page.next_cursor,
    )


@transactions.post("")
@transactions.input(schemas.NewTransaction, arg_name="body", example=examples.NEW)
@transactions.output(schemas.TransactionReply, 201, example=examples.ENTERED, description="Stored")
@transactions.doc(
    summary="Enter money that came another way",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def enter(body: schemas.NewTransaction) -> Reply[schemas.TransactionReply]:
    new = NewTransaction(
        fan_id=None if body.fan_id is None else FanId(body.fan_id),
        type=body.type,
        gross_cents=body.gross_cents,
        fee_cents=body.fee_cents,
        net_cents=body.net_cents,
        vat_cents=body.vat_cents,
        description=body.description,
        happened_at=body.happened_at,
    )
    entered = services().money.enter(caller(), new, now(), once())
    answer = schemas.TransactionReply(transaction=views.transaction(entered.transaction))
    return answer, 201, replay_mark(replayed=entered.replayed)


@transactions.post("/<int:transaction_id>/reverse")
@transactions.output(schemas.TransactionReply, example=examples.REVERSED)
@transactions.doc(
    summary="Take back money that was entered by hand",
    description="What the platform told, only the platform reverses.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def reverse(transaction_id: int) -> Reply[schemas.TransactionReply]:
    done = services().money.reverse(caller(), transaction_id, now(), once())
    answer = schemas.TransactionReply(transaction=views.transaction(done.transaction))
    return answer, 200, replay_mark(replayed=done.replayed)
