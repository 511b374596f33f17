"""A thousand events, delivered twice and shuffled, give the same rows as once and in order."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from infra.db.tables import Row
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import handle_all

START = datetime(2026, 6, 1, tzinfo=UTC)
NOW = START + timedelta(days=60)
EVENTS = 1000
FANS = 12
PRICES = (5, 12, 20)

# What people see of the rows; ids, moments of writing and counts of versions are how they came.
SHOWN = {
    "fans": """
        SELECT platform_user_id, name, handle, avatar, last_seen_at, subscription,
          subscription_ends_at, value_cents, tips_cents, last_purchase_at, told, deleted_at
        FROM fans ORDER BY platform_user_id""",
    "conversations": """
        SELECT f.platform_user_id, c.last_message_at, c.last_direction, c.unread_count, c.is_direct
        FROM conversations c JOIN fans f ON f.id = c.fan_id ORDER BY 1""",
    "messages": """
        SELECT m.platform_message_id, f.platform_user_id, m.direction, m.text, m.price_cents,
          m.attachments, m.created_at, m.state, m.origin, m.opened_at IS NOT NULL AS opened,
          m.purchased_at, m.deleted_at IS NOT NULL AS gone
        FROM messages m JOIN fans f ON f.id = m.fan_id ORDER BY 1""",
    "transactions": """
        SELECT t.platform_transaction_id, f.platform_user_id, t.type, t.gross_cents, t.fee_cents,
          t.net_cents, t.vat_cents, t.currency, t.status, t.description, t.happened_at,
          t.reversed_at IS NOT NULL AS reversed, m.platform_message_id
        FROM transactions t LEFT JOIN fans f ON f.id = t.fan_id
          LEFT JOIN messages m ON m.id = t.message_id ORDER BY 1""",
}


class Story:
    """Events as a seeded generator tells them, in order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._at = START
        self._id = 100
        self._priced: list[tuple[int, int]] = []
        self._messages: list[tuple[int, bytes, bytes]] = []
        self._money: list[tuple[str, int, str, float, str]] = []
        self.events: list[bytes] = []

    def told(self) -> list[bytes]:
        kinds = (
            (self._received, 30),
            (self._sent, 20),
            (self._opened, 8),
            (self._deleted, 6),
            (self._bought, 10),
            (self._tip, 5),
            (self._subscription, 5),
            (self._payment, 14),
            (self._again, 8),
            (self._other, 2),
        )
        names, weights = zip(*kinds, strict=True)
        while len(self.events) < EVENTS:
            self._at += timedelta(seconds=self._random.randint(1, 4000))
            self._id += 1
            self._random.choices(names, weights)[0]()
        return self.events[:EVENTS]

    @property
    def _fan(self) -> int:
        return self._random.randint(500, 500 + FANS)

    def _stamp(self) -> str:
        return self._at.isoformat()

    def _who(self, fan: int) -> dict[str, Any]:
        """A fan, who now and then takes another name; the imported one keeps its own."""
        if fan == 501:
            return webhooks.user(fan)
        age = self._random.randint(0, 2)
        return webhooks.user(
            fan, name=f"Fan {fan} {age}", username=f"fan{fan}x{age}", lastSeen=self._stamp()
        )

    def _received(self) -> None:
        item = webhooks.message(self._id, self._stamp(), f"<p>in {self._id}</p>")
        raw = webhooks.body("messages.received", item | {"fromUser": self._who(self._fan)})
        self.events.append(raw)
        self._messages.append((self._id, raw, raw))

    def _sent(self) -> None:
        fan = self._fan
        price = self._random.choice((0, 0, *PRICES))
        item = webhooks.message(
            self._id, self._stamp(), f"<p>out {self._id}</p>", price=price, mediaCount=bool(price)
        )
        item["toUser"] = self._who(fan)
        raw = webhooks.body("messages.sent", item)
        opened = webhooks.body("messages.sent", item | {"isOpened": True})
        self.events.append(raw)
        self._messages.append((self._id, raw, opened))
        if price:
            self._priced.append((fan, price))

    def _opened(self) -> None:
        if self._messages:
            self.events.append(self._random.choice(self._messages)[2])

    def _deleted(self) -> None:
        if self._messages:
            self.events.append(webhooks.deleted(self._random.choice(self._messages)[0]))

    def _bought(self) -> None:
        if self._priced:
            fan, price = self._priced.pop(self._random.randrange(len(self._priced)))
            minute = self._at.replace(second=0).isoformat()
            self.events.append(webhooks.unlocked(self._id, fan, minute, f"${price}.00"))
            self._pay(fan, price, "message")

    def _tip(self) -> None:
        fan = self._fan
        self.events.append(webhooks.tipped(self._id, fan, self._stamp()))
        self._pay(fan, 8, "tip")

    def _payment(self) -> None:
        self._pay(self._fan, self._random.randint(300, 9999) / 100, "subscription")

    def _pay(self, fan: int, amount: float, kind: str) -> None:
        moment = self._at.strftime("%Y-%m-%d %H:%M:%S")
        name = f"t{self._id}"
        self.events.append(webhooks.paid(name, fan, moment, amount, type=kind))
        self._money.append((name, fan, moment, amount, kind))

    def _again(self) -> None:
        """The same transaction with another status."""
        if self._money:
            name, fan, moment, amount, kind = self._random.choice(self._money)
            status = self._random.choice(("done", "done", "undo"))
            self.events.append(webhooks.paid(name, fan, moment, amount, type=kind, status=status))

    def _subscription(self) -> None:
        event = self._random.choice(("new", "renewed", "expired"))
        ends = {"expiredAt": (self._at + timedelta(days=30)).isoformat()}
        self.events.append(
            webhooks.subscribed(self._id, self._fan, self._stamp(), event, subscribedOnData=ends)
        )

    def _other(self) -> None:
        self.events.append(webhooks.body("posts.liked", {"id": self._id}))


def rows_after(crm: Crm, deliveries: list[tuple[str, bytes]]) -> dict[str, list[Any]]:
    """The rows that the deliveries lead to."""
    kept = ", ".join(set(Row.metadata.tables) - {"users", "platform_connections"})
    with crm.engine.begin() as database:
        # Two of the fans were imported, and one of them with a value stated in between.
        database.execute(text(f"TRUNCATE {kept} RESTART IDENTITY CASCADE"))
    crm.fan("Imported", handle="@fan501", connection_id=None)
    crm.fan(
        "Stated",
        handle="@u502",
        platform_user_id="502",
        value_cents=77_000,
        value_stated_at=START + timedelta(days=10),
    )
    for key, raw in deliveries:
        crm.services.inbound.receive(raw, key, None)
    while {None} & set(handle_all(crm, NOW)):
        pass
    outcomes = crm.sql("SELECT outcome, count(*) AS n FROM platform_events GROUP BY 1 ORDER BY 1")
    assert {row.outcome for row in outcomes} == {"handled", "ignored"}
    return {name: [tuple(row) for row in crm.sql(query)] for name, query in SHOWN.items()}


def test_twice_and_shuffled_is_the_same_as_once_in_order(crm: Crm) -> None:
    story = [(f"evt_{number}", raw) for number, raw in enumerate(Story(seed=1).told())]
    in_order = rows_after(crm, story)
    # Most second deliveries come under the same key, every tenth under another.
    again = [(key if int(key[4:]) % 10 else f"{key}_2", raw) for key, raw in story]
    twice = story + again
    random.Random(2).shuffle(twice)

    shuffled = rows_after(crm, twice)

    for name, rows in in_order.items():
        assert shuffled[name] == rows, name
    assert {name: len(rows) > 10 for name, rows in in_order.items()} == dict.fromkeys(SHOWN, True)
    bought = [row for row in in_order["messages"] if row[10] is not None]
    linked = [row for row in in_order["transactions"] if row[-1] is not None]
    assert len(bought) > 10
    assert len(linked) > 10
