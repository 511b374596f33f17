"""Money: what the platform tells, what is entered by hand, and what a fan is worth."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver, handle_all

NOW = datetime(2026, 7, 1, tzinfo=UTC)
PATH = "/api/crm/transactions"
TIERS = {"whaleCents": 1500, "spenderCents": 500, "quietDays": 3000, "newDays": 14}
NEW = {"type": "tip", "grossCents": 2000, "feeCents": 400, "happenedAt": "2026-06-01T10:00:00Z"}


def tell(crm: Crm, *raws: bytes) -> None:
    for number, raw in enumerate(raws):
        deliver(crm, raw, f"evt_{number}_{hash(raw)}")
    assert set(handle_all(crm, NOW)) == {"handled"}


def paid(name: str, day: int, amount: float, **more: Any) -> bytes:
    return webhooks.paid(name, 501, f"2026-06-{day:02} 12:00:00", amount, **more)


def worth(crm: Crm) -> tuple[int, int]:
    [row] = crm.sql("SELECT value_cents, tips_cents FROM fans")
    return row.value_cents, row.tips_cents


def test_a_transaction_is_stored_to_the_cent_and_counts_for_its_fan(crm: Crm) -> None:
    tell(crm, paid("t1", 10, 17), paid("t2", 11, 0.1 + 0.2, type="tip"))

    [row] = crm.sql("SELECT * FROM transactions WHERE platform_transaction_id = 't1'")
    assert (row.gross_cents, row.fee_cents, row.net_cents, row.vat_cents, row.tax_cents) == (
        1700,
        340,
        1360,
        221,
        0,
    )
    assert (row.type, row.source, row.currency, row.status, row.description) == (
        "message",
        "webhook",
        "USD",
        "loading",
        "Payment for message from Fan",
    )
    assert row.happened_at == datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert worth(crm) == (1730, 30)
    [fan] = crm.sql("SELECT last_purchase_at FROM fans")
    assert fan.last_purchase_at == datetime(2026, 6, 11, 12, tzinfo=UTC)


def test_the_same_transaction_settles_and_counts_once(crm: Crm) -> None:
    tell(crm, paid("t1", 10, 17, status="done"), paid("t1", 10, 17), paid("t1", 10, 17))

    [row] = crm.sql("SELECT status FROM transactions")
    assert (row.status, worth(crm)) == ("done", (1700, 0))


def test_reversed_money_is_taken_back_for_good(crm: Crm) -> None:
    tell(crm, paid("t1", 10, 17, type="tip"), paid("t2", 9, 5))
    tell(crm, paid("t1", 10, 17, type="tip", status="undo"))
    tell(crm, paid("t1", 10, 17, type="tip", status="done"))

    [row] = crm.sql("SELECT status, reversed_at FROM transactions WHERE gross_cents = 1700")
    assert (row.status, row.reversed_at is not None, worth(crm)) == ("undo", True, (500, 0))
    [fan] = crm.sql("SELECT last_purchase_at FROM fans")
    assert fan.last_purchase_at == datetime(2026, 6, 9, 12, tzinfo=UTC)


def test_a_stated_value_holds_all_that_came_before_it(crm: Crm) -> None:
    crm.fan(
        "Fan 501",
        handle="@fan501",
        platform_user_id="501",
        value_cents=50_000,
        value_stated_at=datetime(2026, 6, 10, tzinfo=UTC),
    )

    tell(crm, paid("before", 9, 17), paid("after", 11, 3), paid("back", 12, 4, status="refunded"))

    assert worth(crm) == (50_300, 0)


def test_money_of_nobody_known_waits_for_its_fan(crm: Crm) -> None:
    day = "2026-06-10 12:00:00"
    tell(crm, webhooks.paid("t1", 501, day, 17, fan_name=None), webhooks.paid("t2", None, day, 3))
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 0

    tell(crm, webhooks.received(1, 501, "2026-06-12T10:00:00Z"))

    assert worth(crm) == (1700, 0)
    rows = crm.sql("SELECT fan_id IS NULL AS alone FROM transactions ORDER BY gross_cents")
    assert [row.alone for row in rows] == [True, False]


def test_tips_and_unlocked_messages_move_no_money(crm: Crm) -> None:
    tell(
        crm,
        webhooks.tipped(1, 501, "2026-06-10T12:00:00Z"),
        webhooks.unlocked(2, 501, "2026-06-10T12:00:00Z", "$12.00"),
    )

    assert crm.sql("SELECT count(*) AS n FROM transactions")[0].n == 0
    assert worth(crm) == (0, 0)


# The list


def test_the_list_shows_money_newest_first_with_sums_of_the_whole_filter(crm: Crm) -> None:
    tell(
        crm,
        *(paid(f"t{day}", day, day, type="tip" if day % 2 else "message") for day in range(1, 8)),
    )
    tell(crm, paid("t7", 7, 7, type="tip", status="undo"))

    first = crm.get(f"{PATH}?limit=3").get_json()
    second = crm.get(f"{PATH}?limit=3&cursor={first['nextCursor']}").get_json()
    third = crm.get(f"{PATH}?limit=3&cursor={second['nextCursor']}").get_json()

    shown = [one["grossCents"] for page in (first, second, third) for one in page["transactions"]]
    assert shown == [700, 600, 500, 400, 300, 200, 100]
    assert (third["nextCursor"], first["total"], first["totalCapped"]) == (None, 7, False)
    assert first["totals"] == second["totals"]
    assert first["totals"] == {
        "grossCents": 2100,
        "netCents": 1680,
        "feeCents": 420,
        "vatCents": 6 * 221,
        "refundedCents": 700,
        "count": 7,
        "capped": False,
    }
    assert first["transactions"][0]["fan"] == {
        "id": first["transactions"][0]["fanId"],
        "name": "Fan 501",
    }
    assert first["transactions"][0]["reversedAt"] is not None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=tip", [300, 100]),
        ("from=2026-06-02T00:00:00Z&to=2026-06-03T12:00:00Z", [200]),
        ("fanId={fan}", [300, 200, 100]),
        ("fanId=999999", []),
        ("connectionId={connection}", [300, 200, 100]),
        ("connectionId={foreign}", []),
        ("connectionId={connection}&type=message&fanId={fan}", [200]),
    ],
)
def test_filters(crm: Crm, query: str, found: list[int]) -> None:
    tell(
        crm, *(paid(f"t{day}", day, day, type="tip" if day % 2 else "message") for day in (1, 2, 3))
    )
    fan = crm.sql("SELECT id FROM fans")[0].id
    asked = query.format(fan=fan, connection=crm.connection, foreign=crm.foreign_connection)

    page = crm.get(f"{PATH}?{asked}").get_json()

    assert [one["grossCents"] for one in page["transactions"]] == found
    assert (page["totals"]["grossCents"], page["total"]) == (sum(found), len(found))


@pytest.mark.parametrize("query", ["from=yesterday", "from=2026-06-01T10:00:00", "cursor=x", "x=1"])
def test_a_bad_filter_is_refused(crm: Crm, query: str) -> None:
    assert crm.get(f"{PATH}?{query}").status_code == 422


def test_a_stranger_sees_nothing_and_a_chatter_may_not_look(crm: Crm) -> None:
    tell(crm, paid("t1", 10, 17))

    assert crm.get(PATH, "stranger").get_json()["transactions"] == []
    assert crm.get(PATH, "stranger").get_json()["totals"]["grossCents"] == 0
    assert crm.get(PATH, "chatter").status_code == 403
    assert crm.get(PATH, "analyst").status_code == 200


# By hand


def test_a_manual_entry_counts_and_is_taken_back(crm: Crm) -> None:
    fan = crm.fan("Alex")

    made = crm.post(PATH, {**NEW, "fanId": fan})

    entered = made.get_json()["transaction"]
    assert (made.status_code, entered["source"], entered["netCents"]) == (201, "manual", 1600)
    assert worth(crm) == (2000, 2000)

    back = crm.post(f"{PATH}/{entered['id']}/reverse")
    again = crm.post(f"{PATH}/{entered['id']}/reverse")

    assert (back.status_code, again.status_code) == (200, 200)
    assert back.get_json()["transaction"]["status"] == "reversed"
    assert worth(crm) == (0, 0)
    lines = crm.sql("SELECT action FROM audit_log ORDER BY id")
    assert [row.action for row in lines] == ["transaction.entered", "transaction.reversed"]


def test_an_idempotency_key_enters_money_once(crm: Crm) -> None:
    fan = crm.fan("Alex")
    answers = [
        crm.post(PATH, {**NEW, "fanId": fan}, headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]

    assert [one.status_code for one in answers] == [201, 201]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert answers[0].get_json() == answers[1].get_json()
    assert worth(crm) == (2000, 2000)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grossCents": 0}, "grossCents"),
        ({"grossCents": 10**9 + 1}, "grossCents"),
        ({"feeCents": -1}, "feeCents"),
        ({"netCents": 2001}, "netCents"),
        ({"type": "Not a word"}, "type"),
        ({"happenedAt": "2999-01-01T00:00:00Z"}, "happenedAt"),
        ({"happenedAt": "2026-06-01T10:00:00"}, "happenedAt"),
        ({"happenedAt": "soon"}, "happenedAt"),
        ({"happenedAt": "0001-01-01T00:00:00+14:00"}, "happenedAt"),
        ({"description": "x" * 501}, "description"),
        ({"grossCents": "20"}, "grossCents"),
    ],
)
def test_a_bad_entry_is_refused_by_field(crm: Crm, changes: dict[str, object], field: str) -> None:
    answer = crm.post(PATH, NEW | changes)

    assert answer.status_code == 422
    assert field in [one["field"] for one in answer.get_json()["details"]]
    assert crm.sql("SELECT count(*) AS n FROM transactions")[0].n == 0


def test_entering_and_reversing_need_a_manager_and_ones_own_rows(crm: Crm) -> None:
    fan, foreign = crm.fan("Alex"), crm.foreign_fan()
    entered = crm.post(PATH, {**NEW, "fanId": fan}).get_json()["transaction"]

    assert crm.post(PATH, NEW, "analyst").status_code == 403
    assert crm.post(PATH, NEW, "chatter").status_code == 403
    assert crm.post(PATH, {**NEW, "fanId": foreign}).status_code == 404
    assert crm.post(f"{PATH}/{entered['id']}/reverse", role="stranger").status_code == 404
    assert crm.post(f"{PATH}/{entered['id']}/reverse", role="analyst").status_code == 403
    assert worth_of(crm, fan) == 2000


def worth_of(crm: Crm, fan: int) -> int:
    return int(crm.sql("SELECT value_cents FROM fans WHERE id = :id", id=fan)[0].value_cents)


def test_only_the_platform_reverses_its_transactions(crm: Crm) -> None:
    tell(crm, paid("t1", 10, 17))
    [row] = crm.sql("SELECT id FROM transactions")

    answer = crm.post(f"{PATH}/{row.id}/reverse")

    assert (answer.status_code, answer.get_json()["code"]) == (409, "not_manual")
    assert worth(crm) == (1700, 0)


def tier_lines(crm: Crm) -> list[tuple[str | None, str | None]]:
    """What the rules made of the fan, line by line, and what stands there now at last."""
    lines = crm.sql("SELECT before, after FROM fan_changes WHERE source = 'rules' ORDER BY id")
    [fan] = crm.sql("SELECT tier FROM fans")
    return [(one.before["tier"], one.after["tier"]) for one in lines] + [("now", fan.tier)]


def test_the_tier_follows_the_platforms_money_at_once(crm: Crm) -> None:
    crm.call("PUT", "/api/crm/tier-rules", json=TIERS)
    crm.services.tiers.sweep()

    tell(crm, paid("t1", 10, 20))
    assert tier_lines(crm) == [(None, "whale"), ("now", "whale")]

    # Settling changes nothing that counts, so nothing is said of it.
    tell(crm, paid("t1", 10, 20, status="done"))
    assert tier_lines(crm) == [(None, "whale"), ("now", "whale")]

    tell(crm, paid("t1", 10, 20, status="refunded"))
    assert tier_lines(crm) == [(None, "whale"), ("whale", "new"), ("now", "new")]


def test_the_tier_follows_money_that_is_entered_and_taken_back(crm: Crm) -> None:
    crm.call("PUT", "/api/crm/tier-rules", json=TIERS)
    fan = crm.fan("Alex", tier="new")

    entered = crm.post(PATH, {**NEW, "fanId": fan}).get_json()["transaction"]
    assert tier_lines(crm) == [("new", "whale"), ("now", "whale")]

    crm.post(f"{PATH}/{entered['id']}/reverse")
    assert tier_lines(crm)[1:] == [("whale", "new"), ("now", "new")]


def test_the_tier_follows_money_that_came_before_its_fan(crm: Crm) -> None:
    crm.call("PUT", "/api/crm/tier-rules", json=TIERS)
    tell(crm, paid("t1", 10, 20, fan_name=None))
    assert crm.sql("SELECT FROM fans") == []

    tell(crm, webhooks.received(1, 501, "2026-06-11T10:00:00+00:00"))

    assert tier_lines(crm) == [(None, "whale"), ("now", "whale")]


@pytest.mark.parametrize("status", ["cancelled", "Canceled", "refund", "charge_back"])
def test_money_of_any_word_for_taken_back_counts_for_nothing(crm: Crm, status: str) -> None:
    tell(crm, paid("t1", 10, 17), paid("t1", 10, 17, status=status))

    [row] = crm.sql("SELECT reversed_at FROM transactions")
    assert row.reversed_at is not None
    assert worth(crm) == (0, 0)


# Among many others


CROWD = """
    INSERT INTO transactions (user_id, connection_id, fan_id, platform_transaction_id,
        platform_user_id, source, type, gross_cents, net_cents, happened_at)
      SELECT :owner, :connection, :fan, 't' || n, mod(n, 50), 'webhook',
        CASE WHEN mod(n, 100) = 0 THEN 'tip' ELSE 'message' END, 100, 80, now() - n * interval '1 minute'
      FROM generate_series(1, 20000) n;
    INSERT INTO platform_connections (user_id, name, account_id)
      SELECT :owner, n, n FROM generate_series(1, 100) n;
    INSERT INTO platform_events (key, account_id, event, body, connection_id, received_at,
        handled_at, wake_after)
      SELECT 'e' || n, 'acct_luna', 'x', CASE WHEN n < 500 THEN 'b' ELSE '' END,
        1 + mod(n, 100), now() - n * interval '1 minute',
        CASE WHEN mod(n, 500) > 0 THEN now() END, CASE WHEN mod(n, 500) = 0 THEN now() END
      FROM generate_series(1, 20000) n;
    ANALYZE
"""
QUERIES = {
    "ix_transactions_user_id_happened_at": """
        SELECT * FROM transactions WHERE user_id = :owner
        ORDER BY happened_at DESC, id DESC LIMIT 51""",
    "ix_transactions_user_id_type": """
        SELECT * FROM transactions WHERE user_id = :owner AND type = 'tip'
        ORDER BY happened_at DESC, id DESC LIMIT 51""",
    "ix_platform_events_wake_after": """
        SELECT id FROM platform_events WHERE handled_at IS NULL AND wake_after <= now()
        ORDER BY wake_after LIMIT 500""",
    "ix_platform_events_received_at": """
        SELECT id FROM platform_events WHERE body <> '' AND received_at < now() - interval '30 days'
        AND handled_at < now() - interval '30 days' ORDER BY received_at LIMIT 500""",
    "ix_platform_events_connection_id_id": """
        SELECT id FROM platform_events WHERE connection_id = :connection AND id < 9000
        ORDER BY id DESC LIMIT 51""",
}


def test_each_list_and_each_sweep_walks_its_index(crm: Crm) -> None:
    fan = crm.fan("Alex")
    names = {"owner": crm.owner, "connection": crm.connection, "fan": fan}
    for statement in CROWD.split(";"):
        used = {name: value for name, value in names.items() if f":{name}" in statement}
        crm.sql(statement, **used)

    for index, query in QUERIES.items():
        used = {name: value for name, value in names.items() if f":{name}" in query}
        plan = "\n".join(row[0] for row in crm.sql(f"EXPLAIN {query}", **used))
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan
    totals = crm.get(f"{PATH}").get_json()
    assert (totals["totals"]["count"], totals["total"], totals["totalCapped"]) == (
        20_000,
        10_000,
        True,
    )
