"""The page of numbers: equal to sums over the same rows, filtered alike, safe, and for few."""

import csv
import html
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm

PASSWORD = "correct horse battery"
PATH = "/platforms/onlyfans/analytics"
PERIOD = "from=2026-03-01&to=2026-03-31"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    """The owner, logged in."""
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    with crm.client.application.test_client() as client:
        enter(client, "owner")
        yield client


def enter(client: FlaskClient, name: str) -> None:
    client.post("/login", data={"email": f"{name}@example.com", "password": PASSWORD})


def pay(crm: Crm, moment: str, gross: int, fan: int | None = None, **columns: object) -> None:
    row: dict[str, object] = {
        "user_id": crm.owner,
        "fan_id": fan,
        "source": "manual",
        "type": "tip",
        "gross_cents": gross,
        "fee_cents": gross // 5,
        "net_cents": gross - gross // 5,
        "happened_at": moment,
    } | columns
    names, marks = ", ".join(row), ", ".join(f":{one}" for one in row)
    crm.sql(f"INSERT INTO transactions ({names}) VALUES ({marks})", **row)


def show(browser: FlaskClient, query: str = PERIOD, code: int = 200) -> str:
    answer = browser.get(f"{PATH}?{query}")
    assert answer.status_code == code, answer.text[:2000]
    return answer.text


def tiles(text: str) -> dict[str, str]:
    one = r'<div class="tile[^"]*">\s*<dt>(.*?)(?:<button|</dt>).*?<dd>(.*?)</dd>'
    return dict(re.findall(one, text, re.DOTALL))


def file(browser: FlaskClient, text: str, part: str) -> list[dict[str, str]]:
    [address] = re.findall(rf'href="(/api/analytics/export\.csv\?[^"]*part={part})"', text)
    answer = browser.get(html.unescape(address))
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\N{BYTE ORDER MARK}"))))


def test_tiles_are_plain_sums_and_the_file_says_the_same(crm: Crm, browser: FlaskClient) -> None:
    tagged = crm.fan("Ann", value_cents=5_000, tags=["vip"], subscription="active")
    other = crm.fan("Ben", value_cents=123_456)
    pay(crm, "2026-03-02T12:00:00Z", 10_000, tagged)
    pay(crm, "2026-03-31T23:59:59Z", 2_505, other)
    pay(crm, "2026-03-09T12:00:00Z", 700, other, reversed_at="2026-03-10T00:00:00Z")
    pay(crm, "2026-04-01T00:00:00Z", 999, tagged)

    for sought, condition in (("", "true"), ("&tag=vip&basis=gross", "'vip' = ANY (f.tags)")):
        [row] = crm.sql(
            "SELECT coalesce(sum(net_cents), 0) AS net, coalesce(sum(gross_cents), 0) AS gross,"
            " count(*) AS n FROM transactions t JOIN fans f ON f.id = t.fan_id"
            " WHERE t.user_id = :owner AND reversed_at IS NULL"
            f" AND happened_at >= '2026-03-01Z' AND happened_at < '2026-04-01Z' AND {condition}",
            owner=crm.owner,
        )
        [fans] = crm.sql(
            f"SELECT count(*) AS n, sum(value_cents) AS value FROM fans f WHERE {condition}"
            " AND user_id = :owner",
            owner=crm.owner,
        )
        basis = "gross" if "gross" in sought else "net"
        revenue = getattr(row, basis)

        text = show(browser, PERIOD + sought)
        shown = tiles(text)
        [exported] = file(browser, text, "overview")

        assert shown[f"Revenue, {basis}"] == f"${revenue / 100:,.2f}"
        assert shown["Purchases"] == str(row.n)
        assert shown["Total fans"] == str(fans.n)
        assert shown["Lifetime value"] == f"${fans.value / 100:,.2f}"
        assert exported["revenueCents"] == str(revenue)
        assert (exported["totalFans"], exported["purchases"]) == (str(fans.n), str(row.n))
        assert sum(int(one["revenueCents"]) for one in file(browser, text, "days")) == revenue
        assert ("Ben" in text) == (not sought)


def test_the_period_before_is_compared(crm: Crm, browser: FlaskClient) -> None:
    pay(crm, "2026-03-05T12:00:00Z", 3_000)
    pay(crm, "2026-02-05T12:00:00Z", 2_000)

    text = show(browser, f"{PERIOD}&basis=gross")

    assert "up 50 % from $20.00" in text
    assert "29 Jan 2026 to 28 Feb 2026" in text


def test_a_name_is_text_and_no_formula(crm: Crm, browser: FlaskClient) -> None:
    crm.fan(MARKUP, value_cents=9)
    crm.fan("=1+1", value_cents=8)

    text = show(browser, f"{PERIOD}&tag=")

    assert MARKUP not in text
    assert html.escape(MARKUP) in text
    assert [one["name"] for one in file(browser, text, "top-fans")] == [MARKUP, "'=1+1"]
    assert MARKUP not in show(browser, f"from={MARKUP}&tag={MARKUP}", 422)


def test_a_year_is_drawn_by_week_and_loses_nothing(crm: Crm, browser: FlaskClient) -> None:
    for day in (1, 99, 300):
        pay(crm, str(datetime(2025, 6, 1, 12, tzinfo=UTC) + timedelta(day)), 1_000)

    text = show(browser, "from=2025-06-01&to=2026-05-31&basis=gross")

    assert "by week" in text
    assert text.count('class="point"') == 53
    assert text.count(": $10</title>") == 3 + len(re.findall(r"<title>12: \$10<", text))
    assert tiles(text)["Revenue, gross"] == "$30.00"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=2026-03-02&to=2026-03-01", "use a day that is not before"),
        ("from=yesterday", "use a day such as"),
        ("timeZone=Mars/Base", "use a name such as Europe/Paris"),
        ("basis=profit", "basis"),
        ("connectionId=x", "valid integer"),
        ("tag=a,b&tags=none", "tags"),
    ],
)
def test_a_bad_filter_says_what_to_change(browser: FlaskClient, query: str, told: str) -> None:
    assert told in show(browser, query, 422)


def test_numbers_are_for_those_who_may_see_money(crm: Crm, browser: FlaskClient) -> None:
    [own] = crm.sql("SELECT name FROM platform_connections WHERE id = :id", id=crm.connection)
    assert own.name in show(browser)
    show(browser, f"connectionId={crm.connection}")
    show(browser, f"connectionId={crm.foreign_connection}", 404)
    with browser.application.test_client() as chatter:
        enter(chatter, "chatter")
        show(chatter, code=403)
    with browser.application.test_client() as nobody:
        show(nobody, code=303)


def test_an_empty_account_is_told_what_to_do(crm: Crm, browser: FlaskClient) -> None:
    crm.sql("DELETE FROM platform_connections WHERE user_id = :owner", owner=crm.owner)

    assert "No numbers yet" in show(browser, "")
