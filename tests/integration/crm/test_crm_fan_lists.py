"""The list of fans: every filter, every order, page by page."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.crm import Crm
from tests.plans import scans, watched

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
def names(crm: Crm) -> dict[str, int]:
    """Five fans of the owner's and one of the stranger's, by their names."""
    rows = {
        "Anna": {
            "handle": "@anna_b",
            "email": "anna@example.com",
            "tags": ["vip", "fr"],
            "value_cents": 500,
            "last_seen_at": "2025-01-05T00:00:00Z",
            "tier": "new",
            "subscription": "active",
        },
        "ben": {
            "handle": "@big100%",
            "tags": ["vip"],
            "value_cents": 900,
            "last_seen_at": "2025-01-03T00:00:00Z",
            "tier": "whale",
            "subscription": "expired",
            "subscription_tier": "Premium",
        },
        "Émile": {"handle": "@emile", "value_cents": 500, "connection_id": None},
        "Дарья 👑": {"handle": "@darya", "value_cents": 0, "tags": ["fr"]},
        "ann": {"handle": "@zoe\\x", "last_seen_at": "2025-01-01T00:00:00Z", "tier": "quiet"},
    }
    made = {name: crm.fan(name, **columns) for name, columns in rows.items()}
    crm.foreign_fan("Anna")
    return made


def listed(crm: Crm, query: str) -> list[str]:
    answer = crm.get(f"/api/crm/fans?{query}")
    assert answer.status_code == 200, answer.json
    assert answer.json["total"] == len(answer.json["fans"])
    return [one["name"] for one in answer.json["fans"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["ann", "Дарья 👑", "Émile", "ben", "Anna"]),
        ("q=ANN", ["ann", "Anna"]),
        ("q=nna%40ex", ["Anna"]),
        ("q=100%25", ["ben"]),
        ("q=1_0", []),
        ("q=na_b", ["Anna"]),
        ("q=zoe%5Cx", ["ann"]),
        ("q=арь", ["Дарья 👑"]),
        ("q=ДАРЬЯ", ["Дарья 👑"]),
        ("q=é", ["Émile"]),
        ("q=E%CC%81mi", ["Émile"]),
        ("q=an", ["ann", "Anna"]),
        ("q=em", ["Émile"]),
        ("q=%40da", ["Дарья 👑"]),
        ("q=%40d", ["Дарья 👑"]),
        ("q=nn", []),
        ("tag=vip", ["ben", "Anna"]),
        ("tag=VIP&tag=fr", ["Anna"]),
        ("tag=vip,fr", ["Anna"]),
        ("tag=nobody", []),
        ("minSpendCents=500", ["Émile", "ben", "Anna"]),
        ("minSpendCents=500&maxSpendCents=500", ["Émile", "Anna"]),
        ("maxSpendCents=0", ["ann", "Дарья 👑"]),
        ("seenAfter=2025-01-03", ["ben", "Anna"]),
        ("seenBefore=2025-01-03T00:00:00Z", ["ann"]),
        ("seenAfter=2025-01-02&seenBefore=2025-01-04", ["ben"]),
        ("tier=whale", ["ben"]),
        ("tier=regular", ["Дарья 👑", "Émile"]),
        ("subscription=active", ["Anna"]),
        ("subscriptionTier=Premium", ["ben"]),
        ("linked=false", ["Émile"]),
        ("linked=true&tag=fr", ["Дарья 👑", "Anna"]),
        ("connectionId=1", ["ann", "Дарья 👑", "ben", "Anna"]),
        ("connectionId=2", []),
        ("deleted=true", []),
        ("sort=oldest", ["Anna", "ben", "Émile", "Дарья 👑", "ann"]),
        ("sort=name", ["ann", "Anna", "ben", "Émile", "Дарья 👑"]),
        ("sort=value", ["ben", "Émile", "Anna", "ann", "Дарья 👑"]),
        ("sort=lastSeen", ["Anna", "ben", "ann", "Дарья 👑", "Émile"]),
        ("sort=value&tag=vip&q=an", ["Anna"]),
    ],
)
def test_filters_and_orders(crm: Crm, names: dict[str, int], query: str, found: list[str]) -> None:
    assert listed(crm, query) == found


@pytest.mark.parametrize("sort", ["newest", "oldest", "name", "value", "lastSeen"])
def test_pages_of_every_order_hold_each_fan_once(
    crm: Crm, names: dict[str, int], sort: str
) -> None:
    for number in range(4):
        crm.fan("ann", handle=f"@twin{number}")
    whole = listed(crm, f"sort={sort}")
    ids, cursor = [], ""
    for _ in range(5):
        page = crm.get(f"/api/crm/fans?sort={sort}&limit=2{cursor}").json
        ids += [one["id"] for one in page["fans"]]
        cursor = f"&cursor={page['nextCursor']}"

    assert page["nextCursor"] is None
    assert len(set(ids)) == len(ids) == len(whole) == 9


def test_a_cursor_of_another_order_is_refused(crm: Crm, names: dict[str, int]) -> None:
    cursor = crm.get("/api/crm/fans?sort=name&limit=1").json["nextCursor"]

    answer = crm.get(f"/api/crm/fans?sort=value&limit=1&cursor={cursor}")

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=%F0%9F%91%91", "q"),
        ("q=" + "a" * 101, "q"),
        ("q=", "q"),
        ("q=a%00", "q"),
        ("q=one&q=two", "q"),
        ("tag=" + "t" * 51, "tag"),
        ("minSpendCents=-1", "minSpendCents"),
        ("minSpendCents=" + "9" * 30, "minSpendCents"),
        ("seenAfter=soon", "seenAfter"),
        ("tier=rich", "tier"),
        ("subscription=gone", "subscription"),
        ("connectionId=" + "9" * 30, "connectionId"),
        ("linked=perhaps", "linked"),
        ("sort=mood", "sort"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_bad_filter_is_named(crm: Crm, query: str, field: str) -> None:
    answer = crm.get(f"/api/crm/fans?{query}")

    assert answer.status_code == 422
    assert [one["field"] for one in answer.json["details"]] == [field]


def test_deleted_fans_are_listed_apart(crm: Crm, names: dict[str, int]) -> None:
    crm.call("DELETE", f"/api/crm/fans/{names['ben']}")

    assert "ben" not in listed(crm, "")
    assert listed(crm, "deleted=true") == ["ben"]
    assert listed(crm, "deleted=true&tag=fr") == []


def test_counting_stops_where_nobody_counts_on(crm: Crm) -> None:
    crm.sql(
        "INSERT INTO fans (user_id, name, handle, tags)"
        " SELECT :owner, 'Fan', '@' || n, '{all}' FROM generate_series(1, 10001) n",
        owner=crm.owner,
    )

    whole = crm.get("/api/crm/fans?limit=1").json
    tags = crm.get("/api/crm/tags").json

    assert (whole["total"], whole["totalCapped"]) == (10_000, True)
    assert tags == {
        "tags": [{"tag": "all", "fans": 10_000}],
        "countedFans": 10_000,
        "totalCapped": True,
    }


def test_fans_seen_lately_are_counted_through_the_index_of_moments(crm: Crm) -> None:
    """Also where most fans of a table are one owner's, and few of them were seen since then."""
    crm.load(
        "INSERT INTO fans (user_id, name, handle, last_seen_at) SELECT :owner, 'Fan', '@' || n,"
        " now() - n * interval '1 minute' FROM generate_series(1, 30000) n",
        owner=crm.owner,
    )
    since = datetime.now(UTC) - timedelta(minutes=500)

    with watched(crm) as seen:
        page = crm.get(f"/api/crm/fans?seenAfter={since:%Y-%m-%dT%H:%M:%SZ}&limit=2").json

    assert 499 <= page["total"] <= 501
    assert len(page["fans"]) == 2
    assert scans(crm, seen) == set()
    with crm.engine.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN {statement}", values).all())
            for statement, values in seen
            if "last_seen_at" in statement and statement.startswith("SELECT")
        ]
    assert len(plans) == 2
    assert all("ix_fans_user_id_last_seen" in plan for plan in plans)
