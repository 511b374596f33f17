"""Analytics: numbers equal to plain sums over the same rows, by day, filter, file and caller."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.crm import Crm

BASE = "/api/analytics"
PARTS = ("overview", "revenue", "top-fans", "messages")
PERIOD = "from=2026-03-01&to=2026-03-31"
MONEY = ("revenueCents", "netCents", "grossCents", "feesCents", "refundedCents", "purchases")


def pay(crm: Crm, moment: str | datetime, gross: int = 1000, **columns: object) -> None:
    row: dict[str, object] = {
        "user_id": crm.owner,
        "source": "manual",
        "type": "tip",
        "gross_cents": gross,
        "fee_cents": gross // 5,
        "net_cents": gross - gross // 5,
        "happened_at": moment,
    } | columns
    names, marks = ", ".join(row), ", ".join(f":{one}" for one in row)
    crm.sql(f"INSERT INTO transactions ({names}) VALUES ({marks})", **row)


def write(crm: Crm, fan: int, **columns: object) -> None:
    """A message with this fan, through the account of the fan's owner."""
    [row] = crm.sql("SELECT user_id, connection_id FROM fans WHERE id = :id", id=fan)
    [talk] = crm.sql(
        "INSERT INTO conversations (user_id, fan_id, connection_id) VALUES (:o, :f, :c)"
        " ON CONFLICT (fan_id, connection_id) DO UPDATE SET fan_id = :f RETURNING id",
        o=row.user_id,
        f=fan,
        c=columns.get("connection_id", row.connection_id),
    )
    new: dict[str, object] = {
        "user_id": row.user_id,
        "connection_id": row.connection_id,
        "conversation_id": talk.id,
        "fan_id": fan,
        "direction": "out",
        "state": "sent",
        "text": "Hi",
    } | columns
    names, marks = ", ".join(new), ", ".join(f":{one}" for one in new)
    crm.sql(f"INSERT INTO messages (public_id, {names}) VALUES (gen_random_uuid(), {marks})", **new)


def ask(crm: Crm, part: str, query: str = PERIOD, role: str = "owner") -> Any:
    answer = crm.get(f"{BASE}/{part}?{query}", role)
    assert answer.status_code == 200, answer.text
    return answer.json


def table(crm: Crm, part: str, query: str = PERIOD) -> list[dict[str, str]]:
    answer = crm.get(f"{BASE}/export.csv?part={part}&{query}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\N{BYTE ORDER MARK}"))))


def shown(row: dict[str, object]) -> dict[str, str]:
    """A row of the page as a file has it: a text that looks like a formula is quoted."""
    texts = {name: "" if value is None else str(value) for name, value in row.items()}
    return {name: f"'{text}" if text.startswith("@") else text for name, text in texts.items()}


def second_account(crm: Crm) -> int:
    [made] = crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, 'Two', 'acct_two') RETURNING id",
        owner=crm.owner,
    )
    return int(made.id)


def crowd(crm: Crm, dice: Random) -> int:
    """Fans, money and messages at random around March, ours and the stranger's; returns the id of
    our second account."""
    second = second_account(crm)
    start = datetime(2026, 2, 25, tzinfo=UTC)
    stranger = crm.users["stranger"].owner_id
    fans: list[tuple[int, int, int]] = []
    for number in range(24):
        owner, account = dice.choice(
            [(crm.owner, crm.connection), (crm.owner, second), (stranger, crm.foreign_connection)]
        )
        fan = crm.fan(
            f"Fan {number}",
            user_id=owner,
            connection_id=account,
            value_cents=dice.randrange(100_000),
            tags=dice.sample(["a", "b", "c"], dice.randrange(4)),
            deleted_at=start if dice.random() < 0.15 else None,
            subscription=dice.choice(["active", "expired", None]),
        )
        fans.append((fan, owner, account))
    for _ in range(150):
        fan, owner, account = dice.choice(fans)
        moment = start + timedelta(minutes=dice.randrange(60 * 24 * 40))
        pay(
            crm,
            moment,
            dice.randrange(1, 20_000),
            user_id=owner,
            fan_id=dice.choice([fan, fan, None]),
            connection_id=dice.choice([account, account, None]),
            reversed_at=moment if dice.random() < 0.2 else None,
        )
    for _ in range(80):
        fan, _owner, account = dice.choice(fans)
        moment = start + timedelta(minutes=dice.randrange(60 * 24 * 40))
        state = dice.choice(["sent", "delivered", "failed"])
        when = "failed_at" if state == "failed" else "sent_at"
        write(crm, fan, state=state, connection_id=account, **{when: moment})
    return second


FILTERS = {
    "": ("true", "true", "true"),
    "connectionId={second}": (
        "f.connection_id = :second",
        "coalesce(t.connection_id, f.connection_id) = :second",
        "m.connection_id = :second",
    ),
    "tag=a,b": ("f.tags && '{{a,b}}'",) * 3,
    "tag=a&tag=b&tags=all": ("f.tags @> '{{a,b}}'",) * 3,
    "tag=a&connectionId={second}&platform=onlyfans": (
        "f.tags && '{{a}}' AND f.connection_id = :second",
        "f.tags && '{{a}}' AND coalesce(t.connection_id, f.connection_id) = :second",
        "f.tags && '{{a}}' AND m.connection_id = :second",
    ),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_are_plain_sums_over_the_same_rows(crm: Crm, seed: int) -> None:
    second = crowd(crm, Random(seed))
    zone = ZoneInfo("America/New_York")
    bounds = {
        "since": datetime(2026, 3, 1, tzinfo=zone),
        "until": datetime(2026, 4, 1, tzinfo=zone),
        "owner": crm.owner,
        "second": second,
    }

    for sought, (of_fan, of_money, of_message) in FILTERS.items():
        query = f"{PERIOD}&timeZone=America/New_York&{sought.format(second=second)}".rstrip("&")
        live = "AND f.deleted_at IS NULL" if "tag" in sought else ""
        [fans] = crm.sql(
            "SELECT count(*) AS n, coalesce(sum(value_cents), 0) AS value FROM fans f"
            f" WHERE user_id = :owner AND deleted_at IS NULL AND {of_fan.format()}",
            **bounds,
        )
        days = crm.sql(
            "SELECT (happened_at AT TIME ZONE 'America/New_York')::date AS day,"
            " coalesce(sum(gross_cents) FILTER (WHERE reversed_at IS NULL), 0) AS gross,"
            " coalesce(sum(net_cents) FILTER (WHERE reversed_at IS NULL), 0) AS net,"
            " coalesce(sum(t.fee_cents) FILTER (WHERE reversed_at IS NULL), 0) AS fees,"
            " coalesce(sum(gross_cents) FILTER (WHERE reversed_at IS NOT NULL), 0) AS refunded,"
            " count(*) FILTER (WHERE reversed_at IS NULL) AS purchases"
            " FROM transactions t LEFT JOIN fans f ON f.id = t.fan_id"
            " WHERE t.user_id = :owner AND happened_at >= :since AND happened_at < :until"
            f" AND {of_money.format()} {live} GROUP BY 1",
            **bounds,
        )
        [sent] = crm.sql(
            "SELECT count(*) FILTER (WHERE sent_at >= :since AND sent_at < :until) AS sent,"
            " count(*) FILTER (WHERE failed_at >= :since AND failed_at < :until) AS failed"
            " FROM messages m JOIN fans f ON f.id = m.fan_id"
            f" WHERE m.user_id = :owner AND {of_message.format()} {live}",
            **bounds,
        )

        tiles = ask(crm, "overview", query)["overview"]
        chart = ask(crm, "revenue", query)
        rhythm = ask(crm, "messages", query)

        assert (tiles["totalFans"], tiles["lifetimeValueCents"]) == (fans.n, fans.value), sought
        assert (tiles["messagesSent"], tiles["messagesFailed"]) == (sent.sent, sent.failed)
        assert {
            one["date"]: [one[name] for name in MONEY]
            for one in chart["days"]
            if one["purchases"] or one["refundedCents"]
        } == {
            str(one.day): [*(one.net, one.net, one.gross, one.fees, one.refunded, one.purchases)]
            for one in days
        }
        for name in MONEY:
            total = sum(one[name] for one in chart["days"])
            assert chart["totals"][name] == tiles[name] == total, (sought, name)
            assert sum(one[name] for one in rhythm["hours"]) == total
            assert sum(one[name] for one in rhythm["weekdays"]) == total
        assert sum(one["sent"] for one in rhythm["hours"]) == sent.sent


def test_the_file_has_the_rows_and_numbers_of_the_page(crm: Crm) -> None:
    second = crowd(crm, Random(3))
    for sought in FILTERS:
        for basis in ("net", "gross"):
            query = f"{PERIOD}&basis={basis}&{sought.format(second=second)}".rstrip("&")
            tiles = ask(crm, "overview", query)["overview"]
            days = ask(crm, "revenue", query)["days"]
            tops = ask(crm, "top-fans", query)["topFans"]

            assert table(crm, "overview", query) == [shown(tiles)]
            assert table(crm, "days", query) == [shown(one) for one in days]
            assert table(crm, "top-fans", query) == [shown(one) for one in tops]
            assert tiles["revenueCents"] == tiles[f"{basis}Cents"]
            assert (
                sum(int(one["revenueCents"]) for one in table(crm, "days", query))
                == (tiles["revenueCents"])
            )
    assert len(table(crm, "messages")) == 24 + 7
    audited = crm.sql("SELECT detail FROM audit_log WHERE action = 'analytics.exported'")
    assert audited[-1].detail == {"part": "messages", "from": "2026-03-01", "to": "2026-03-31"}


def test_a_day_is_a_day_of_the_time_zone(crm: Crm) -> None:
    pay(crm, datetime(2026, 3, 7, 23, 30, tzinfo=ZoneInfo("America/New_York")))
    days = {
        zone: {
            one["date"]: one["netCents"]
            for one in ask(crm, "revenue", f"{PERIOD}&timeZone={zone}")["days"]
            if one["netCents"]
        }
        for zone in ("America/New_York", "UTC", "Asia/Kathmandu")
    }

    assert days == {
        "America/New_York": {"2026-03-07": 800},
        "UTC": {"2026-03-08": 800},
        "Asia/Kathmandu": {"2026-03-08": 800},
    }
    hours = ask(crm, "messages", f"{PERIOD}&timeZone=Asia/Kathmandu")
    assert [one["hour"] for one in hours["hours"] if one["netCents"]] == [10]
    assert [one["weekday"] for one in hours["weekdays"] if one["netCents"]] == ["sunday"]


def test_a_day_of_23_hours_ends_where_the_next_begins(crm: Crm) -> None:
    zone = ZoneInfo("America/New_York")
    pay(crm, datetime(2026, 3, 8, 23, 59, tzinfo=zone), 100)
    pay(crm, datetime(2026, 3, 9, 0, 0, tzinfo=zone), 1000)

    days = ask(crm, "revenue", "from=2026-03-08&to=2026-03-09&timeZone=America/New_York")["days"]

    assert [one["grossCents"] for one in days] == [100, 1000]


def test_the_time_zone_is_the_callers_unless_named(crm: Crm) -> None:
    crm.sql("UPDATE users SET time_zone = 'Asia/Tokyo' WHERE id = :id", id=crm.users["owner"].id)

    assert ask(crm, "overview", "")["filter"]["timeZone"] == "Asia/Tokyo"
    assert ask(crm, "overview", "timeZone=UTC")["filter"]["timeZone"] == "UTC"
    assert ask(crm, "overview", "", "analyst")["filter"]["timeZone"] == "UTC"


def test_without_dates_it_is_the_last_thirty_days(crm: Crm) -> None:
    found = ask(crm, "revenue", "")
    first, last = (date.fromisoformat(found["filter"][name]) for name in ("from", "to"))

    assert len(found["days"]) == 30
    assert (last - first).days == 29
    assert {one["netCents"] for one in found["days"]} == {0}


def test_what_was_taken_back_is_no_revenue(crm: Crm) -> None:
    pay(crm, "2026-03-05T12:00:00Z", 700, reversed_at="2026-05-01T00:00:00Z")
    pay(crm, "2026-03-05T13:00:00Z", 1000)

    tiles = ask(crm, "overview")["overview"]

    assert [tiles[name] for name in MONEY] == [800, 800, 1000, 200, 700, 1]


def test_active_is_who_is_subscribed_or_wrote_or_paid(crm: Crm) -> None:
    now = datetime.now(UTC)
    ago = {days: now - timedelta(days=days) for days in (5, 40)}
    crm.fan("Subscribed", subscription="active")
    wrote, wrote_long_ago, was_written_to, paid, took_back, gone = (
        crm.fan(name) for name in ("Wrote", "Long ago", "Silent", "Paid", "Took back", "Gone")
    )
    said = {"direction": "in", "state": None}
    write(crm, wrote, **said, created_at=ago[5])
    write(crm, wrote_long_ago, **said, created_at=ago[40])
    write(crm, was_written_to, sent_at=ago[5], created_at=ago[5])
    write(crm, gone, **said, created_at=ago[5])
    pay(crm, ago[5], fan_id=paid)
    pay(crm, ago[5], fan_id=took_back, reversed_at=now)
    crm.sql("UPDATE fans SET deleted_at = now() WHERE id = :id", id=gone)

    assert ask(crm, "overview", "")["overview"]["activeFans"] == 3
    assert ask(crm, "overview", "activeDays=60")["overview"]["activeFans"] == 4
    assert ask(crm, "overview", "activeDays=1")["overview"]["activeFans"] == 1


def test_no_fans_have_no_average_and_no_messages_no_failure_rate(crm: Crm) -> None:
    tiles = ask(crm, "overview")

    assert tiles["overview"]["averageValueCents"] is None
    assert tiles["overview"]["failureRate"] is None
    for name in ("totalFans", "activeFans", "lifetimeValueCents", "failureRate"):
        assert tiles["definitions"][name]


def test_top_fans_are_ten_by_value_with_the_periods_money(crm: Crm) -> None:
    fans = [crm.fan(f"Fan {n}", value_cents=n * 100) for n in range(12)]
    crm.fan("Gone", value_cents=10**6, deleted_at="2026-01-01T00:00:00Z")
    pay(crm, "2026-03-05T12:00:00Z", fan_id=fans[11])
    pay(crm, "2026-04-05T12:00:00Z", fan_id=fans[11])

    found = ask(crm, "top-fans")["topFans"]

    assert [one["id"] for one in found] == fans[:1:-1]
    assert [one["netCents"] for one in found] == [800, *[0] * 9]


def test_nothing_of_a_stranger_is_counted(crm: Crm) -> None:
    stranger = crm.users["stranger"].owner_id
    fan = crm.foreign_fan()
    crm.sql("UPDATE fans SET value_cents = 900, subscription = 'active' WHERE id = :id", id=fan)
    pay(crm, "2026-03-05T12:00:00Z", user_id=stranger, fan_id=fan)
    write(crm, fan, sent_at="2026-03-05T12:00:00Z")

    for query in (PERIOD, f"{PERIOD}&connectionId={crm.foreign_connection}"):
        tiles = ask(crm, "overview", query)["overview"]
        assert {value for value in tiles.values() if value is not None} == {0}
        assert ask(crm, "top-fans", query)["topFans"] == []
    assert ask(crm, "overview", PERIOD, "stranger")["overview"]["netCents"] == 800


def test_no_cell_of_a_file_is_a_formula(crm: Crm) -> None:
    crm.fan('=HYPERLINK("http://evil")', handle="@cmd", value_cents=5)

    [row] = table(crm, "top-fans")

    assert row["name"] == '\'=HYPERLINK("http://evil")'
    assert row["handle"] == "'@cmd"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-03-02&to=2026-03-01", "to"),
        ("from=2025-01-01&to=2026-01-02", "to"),
        ("from=2026-02-30", "from"),
        ("from=1999-12-31&to=2000-01-05", "from"),
        ("to=9999-12-31", "to"),
        ("timeZone=Mars/Base", "timeZone"),
        ("platform=letters", "platform"),
        ("activeDays=0", "activeDays"),
        ("basis=profit", "basis"),
        ("connectionId=x", "connectionId"),
    ],
)
def test_a_bad_filter_is_refused_by_name(crm: Crm, query: str, field: str) -> None:
    for part in PARTS:
        answer = crm.get(f"{BASE}/{part}?{query}")
        assert answer.status_code == 422
        assert [one["field"].split(".")[0] for one in answer.json["details"]] == [field]
    assert crm.get(f"{BASE}/export.csv?part=days&{query}").status_code == 422


def test_a_year_and_a_leap_day_are_not_too_long(crm: Crm) -> None:
    assert len(ask(crm, "revenue", "from=2028-01-01&to=2028-12-31")["days"]) == 366


def test_who_may_not_see_money_sees_no_analytics(crm: Crm) -> None:
    for part in PARTS:
        assert crm.get(f"{BASE}/{part}", "chatter").status_code == 403
        assert crm.get(f"{BASE}/{part}", "analyst").status_code == 200
    assert crm.get(f"{BASE}/export.csv?part=days", "chatter").status_code == 403
    assert crm.get(f"{BASE}/export.csv?part=days", "analyst").status_code == 200
