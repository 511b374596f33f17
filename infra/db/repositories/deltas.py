"""What changed since a token, such that nothing committed late is ever missed.

Rows carry the transaction that last changed them. A token is the oldest transaction that still ran
when it was made: whatever commits later carries that number or a higher one. A reader may see a row
twice, never not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from domain.errors import FieldProblem, Invalid
from domain.users import OwnerId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.tables import ConversationRow, MessageRow

SNAPSHOT = text(
    """
    SELECT pg_snapshot_xmin(now_running)::text::bigint AS oldest,
      pg_snapshot_xmax(now_running)::text::bigint AS next
    FROM pg_current_snapshot() AS now_running
    """
)


@dataclass(frozen=True)
class Mark:
    """A token in parts: how far each table was read, as (transaction, id), and, while a long answer
    is told in parts, the transaction to go on from after the last part (else 0)."""

    messages: tuple[int, int]
    conversations: tuple[int, int]
    then: int = 0


@dataclass(frozen=True)
class Delta:
    """Ids in the order of their changes, and how to go on."""

    messages: Sequence[int]
    conversations: Sequence[int]
    token: str
    is_more: bool


def token(session: Session) -> str:
    """Everything from the oldest transaction still running on."""
    return _write(_fresh(session.execute(SNAPSHOT).one().oldest))


def read(session: Session, owner_id: OwnerId, given: str, limit: int) -> Delta:
    # Before the rows are read: what commits in between is then told again, and not lost.
    snapshot = session.execute(SNAPSHOT).one()
    mark = _read(given, snapshot.next)
    bounds = {"before": snapshot.next, "limit": limit}
    messages = _changed(session, MessageRow, owner_id, mark.messages, **bounds)
    chats = _changed(session, ConversationRow, owner_id, mark.conversations, **bounds)
    is_more = len(messages) > limit or len(chats) > limit
    messages, chats = messages[:limit], chats[:limit]
    then = mark.then or snapshot.oldest
    if is_more:
        going = Mark(_last(messages, mark.messages), _last(chats, mark.conversations), then)
    elif messages or chats or mark.then:
        going = _fresh(then)
    else:
        # The same token makes the same answer, which need not be sent again.
        going = mark
    return Delta([one.id for one in messages], [one.id for one in chats], _write(going), is_more)


def _changed(
    session: Session,
    table: type[MessageRow] | type[ConversationRow],
    owner_id: OwnerId,
    place: tuple[int, int],
    *,
    before: int,
    limit: int,
) -> Sequence[Any]:
    return session.execute(
        select(table.changed, table.id)
        .where(
            table.user_id == owner_id,
            tuple_(table.changed, table.id) > tuple_(*place),
            table.changed < before,
        )
        .order_by(table.changed, table.id)
        .limit(limit + 1)
    ).all()


def _last(rows: Sequence[Any], place: tuple[int, int]) -> tuple[int, int]:
    return (rows[-1].changed, rows[-1].id) if rows else place


def _fresh(transaction: int) -> Mark:
    return Mark((transaction, 0), (transaction, 0))


def _write(mark: Mark) -> str:
    return write_cursor("since", *mark.messages, *mark.conversations, mark.then)


def _read(given: str, next_transaction: int) -> Mark:
    """Raises Invalid for what is none of ours, or not of this database's past."""
    try:
        one, first, two, second, then = read_cursor(given, "since", *[whole] * 5)
    except Invalid:
        one = first = two = second = then = -1
    if min(one, first, two, second, then) < 0 or max(one, two, then) > next_transaction:
        raise Invalid(
            FieldProblem("since", "use the `since` of the answer before, or since=now to start")
        )
    return Mark((one, first), (two, second), then)
