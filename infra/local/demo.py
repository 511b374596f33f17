"""Demo data: a creator's team with three accounts, fans and their conversations.

Everything lies in the past and looks settled, so an audit of today's messages is not disturbed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import Engine, insert, select, text

from infra.db.tables import (
    ConnectionRow,
    ConversationRow,
    FanRow,
    MessageRow,
    TransactionRow,
    UserRow,
)
from infra.local.demo_people import ACCOUNTS, LINKED_FANS, people
from infra.local.environment import DEMO_EMAIL
from infra.passwords import Argon2PasswordHasher

ASKED = (
    "Hello!",
    "How was your weekend?",
    "Any news?",
    "That last set 😍",
    "Are you live tonight?",
)
TOLD = ("Hi, so good to hear from you", "Soon, promise", "Tonight at nine", "Thank you 💛")

EARNED_DAYS = 30
# What is paid for, how much of it there is, and its prices in cents.
PAID = {
    "message": (5, (900, 1_500, 2_500, 5_000)),
    "tip": (3, (500, 1_000, 2_000, 10_000)),
    "subscription": (2, (999, 1_499)),
}
FEE_PERCENT = 20

# What each fan paid, as it would stand there had its payments come one by one.
SUMS = text(
    """
    UPDATE fans f SET value_cents = value_cents + paid.gross, tips_cents = tips_cents + paid.tips,
      last_purchase_at = paid.last
    FROM (SELECT fan_id, sum(gross_cents) AS gross, max(happened_at) AS last,
        coalesce(sum(gross_cents) FILTER (WHERE type = 'tip'), 0) AS tips
      FROM transactions WHERE user_id = :owner GROUP BY fan_id) paid
    WHERE f.id = paid.fan_id
    """
)


def seed(engine: Engine, password: str) -> str:
    """Create the demo user's world unless it is there; returns what was done, for people."""
    with engine.begin() as database:
        database.execute(text("SELECT pg_advisory_xact_lock(4711003)"))
        if database.scalar(select(UserRow.id).where(UserRow.email == DEMO_EMAIL)):
            return f"{DEMO_EMAIL} is there already"
        owner = _add_user(database, Argon2PasswordHasher().hash(password))
        connections = _add_rows(
            database,
            ConnectionRow,
            [{"user_id": owner, "name": name, "account_id": account} for name, account in ACCOUNTS],
        )
        fans = _add_rows(database, FanRow, list(_fans(owner, connections)))
        _add_talk(database, owner, connections, fans[:LINKED_FANS])
        _add_money(database, owner, connections, fans[:LINKED_FANS])
    return f"{DEMO_EMAIL}: {len(connections)} accounts, {len(fans)} fans, their conversations"


def _add_user(database: DatabaseConnection, password_hash: str) -> int:
    user_id = database.scalar(text("SELECT nextval(pg_get_serial_sequence('users', 'id'))"))
    database.execute(
        insert(UserRow).values(
            id=user_id,
            owner_id=user_id,
            email=DEMO_EMAIL,
            password_hash=password_hash,
            role="owner",
        )
    )
    assert isinstance(user_id, int)
    return user_id


def _add_rows(database: DatabaseConnection, table: Any, rows: list[dict[str, Any]]) -> list[int]:
    statement = insert(table).returning(table.id, sort_by_parameter_order=True)
    return list(database.scalars(statement, rows))


def _fans(owner: int, connections: list[int]) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for one in people():
        value = one.value_cents
        yield {
            "user_id": owner,
            "name": one.name,
            "handle": f"@{one.username}",
            "email": f"fan{one.number}@example.com" if one.number % 3 == 0 else None,
            "tags": list(one.tags),
            "value_cents": value,
            "last_seen_at": now - timedelta(hours=one.hours_since_seen),
            "tier": "whale"
            if one.value_cents > 100_000
            else "spender"
            if one.value_cents
            else "new",
            "notes": None,
            "connection_id": connections[one.account] if one.is_linked else None,
            "platform_user_id": one.platform_user_id if one.is_linked else None,
        }


def _add_talk(
    database: DatabaseConnection, owner: int, connections: list[int], fans: list[int]
) -> None:
    """A few messages to and fro with every fan, the newest two days old, some of them unread."""
    dice, now = Random(11), datetime.now(UTC) - timedelta(days=2)
    said: list[list[dict[str, Any]]] = []
    talks: list[dict[str, Any]] = []
    for number, fan in enumerate(fans, start=1):
        base = {
            "user_id": owner,
            "fan_id": fan,
            "connection_id": connections[number % len(connections)],
        }
        at, unread = now - timedelta(minutes=dice.randrange(40_000)), dice.choice((0, 0, 0, 1, 2))
        is_answered = not unread and dice.random() < 0.5
        count = dice.randrange(2, 6)
        messages = [
            _said(dice, base, at - timedelta(minutes=7 * back), ours=back % 2 == (not is_answered))
            for back in range(count + unread - 1, unread - 1, -1)
        ]
        messages += [
            _said(dice, base, at - timedelta(minutes=back), ours=False) | {"read": False}
            for back in range(unread - 1, -1, -1)
        ]
        said.append(messages)
        talks.append(
            {
                **base,
                "last_message_at": at,
                "last_direction": messages[-1]["direction"],
                "unread_count": unread,
                "is_direct": True,
            }
        )
    conversations = _add_rows(database, ConversationRow, talks)
    rows = [
        message | {"conversation_id": conversation}
        for conversation, messages in zip(conversations, said, strict=True)
        for message in messages
    ]
    for ours in (True, False):
        database.execute(insert(MessageRow), [one for one in rows if ("state" in one) is ours])


def _add_money(
    database: DatabaseConnection, owner: int, connections: list[int], fans: list[int]
) -> None:
    """Payments of the last days, more of them at weekends and fewer on one quiet day."""
    dice, now = Random(13), datetime.now(UTC) - timedelta(days=2)
    rows = []
    for day in range(EARNED_DAYS):
        at = now - timedelta(days=day)
        count = 0 if day == EARNED_DAYS // 2 else dice.randrange(6, 14) + 6 * (at.weekday() > 4)
        rows += [_paid(dice, owner, connections, fans, at) for _ in range(count)]
    database.execute(insert(TransactionRow), rows)
    database.execute(SUMS, {"owner": owner})


def _paid(
    dice: Random, owner: int, connections: list[int], fans: list[int], day: datetime
) -> dict[str, Any]:
    place = dice.randrange(len(fans))
    [kind] = dice.choices(list(PAID), [weight for weight, _ in PAID.values()])
    gross = dice.choice(PAID[kind][1])
    fee = gross * FEE_PERCENT // 100
    return {
        "user_id": owner,
        "connection_id": connections[(place + 1) % len(connections)],
        "fan_id": fans[place],
        "source": "sync",
        "type": kind,
        "gross_cents": gross,
        "fee_cents": fee,
        "net_cents": gross - fee,
        "platform_transaction_id": f"demo-{uuid4()}",
        "happened_at": day - timedelta(minutes=dice.randrange(1_440)),
    }


def _said(dice: Random, base: dict[str, Any], at: datetime, *, ours: bool) -> dict[str, Any]:
    row = {**base, "public_id": uuid4(), "created_at": at, "read": True}
    if not ours:
        return {**row, "direction": "in", "text": dice.choice(ASKED)}
    return {
        **row,
        "direction": "out",
        "text": dice.choice(TOLD),
        "state": "sent",
        "queued_at": at,
        "sent_at": at,
        "platform_message_id": f"demo-{uuid4()}",
    }
