"""The list of fans: every filter, every order, page by page, and no index left unused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from tests.crm import Crm

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


# Two hundred other owners among whom nobody stands out, and our owner is like them.
CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1001, 1200) n;
    INSERT INTO fans (user_id, name, handle, email, tags, value_cents, last_seen_at, tier,
        subscription, subscription_tier, platform_user_id, deleted_at)
      SELECT CASE WHEN mod(n, 201) = 0 THEN 1 ELSE 1000 + mod(n, 201) END, md5(n::text),
        '@' || md5(n || 'h'), md5(n || 'e') || '@example.com', ARRAY['t' || mod(n, 50)], n,
        now() - n * interval '1 minute',
        (ARRAY['whale', 'spender', 'quiet', 'new', NULL])[1 + mod(n, 5)],
        (ARRAY['active', 'expired', NULL])[1 + mod(n, 3)],
        (ARRAY['Premium', NULL])[1 + mod(n, 2)],
        CASE WHEN mod(n, 7) > 0 THEN n END, CASE WHEN mod(n, 10) = 0 THEN now() END
      FROM generate_series(1, 40000) n;
    ANALYZE
"""
PATHS = [
    *(f"fans?sort={sort}" for sort in ("newest", "oldest", "name", "value", "lastSeen")),
    "fans?q=abc",
    "fans?q=ab",
    "fans?q=abc&sort=value",
    "fans?tag=t7",
    "fans?tag=t7,t8&sort=name",
    "fans?minSpendCents=39000",
    "fans?minSpendCents=10&maxSpendCents=20&sort=name",
    "fans?seenAfter=2025-01-01",
    "fans?seenBefore=2025-01-01&sort=value",
    "fans?tier=whale",
    "fans?tier=regular&sort=lastSeen",
    "fans?subscription=expired",
    "fans?subscriptionTier=Premium",
    "fans?connectionId=1",
    "fans?linked=false",
    "fans?linked=true",
    "fans?deleted=true",
    "fans?deleted=true&q=abc",
    "fans/duplicates",
    "fans/{fan}",
    "fans/{fan}/changes",
    "fans/{fan}/export",
    "merges",
    "tags",
]


@contextmanager
def watched(crm: Crm) -> Iterator[list[tuple[str, object]]]:
    """Every statement that runs meanwhile, with its values."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _k: object, statement: str, values: object, *_: object) -> None:
        seen.append((statement, values))

    event.listen(crm.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(crm.engine, "before_cursor_execute", note)


def scans(crm: Crm, seen: list[tuple[str, object]]) -> set[str]:
    """The tables of fans, messages and their history that a statement would read as a whole."""
    found: set[str] = set()
    with crm.engine.connect() as connection:
        connection.execute(text("SET plan_cache_mode = force_custom_plan"))
        for statement, values in seen:
            if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
            found |= set(_whole(plan.scalar_one()[0]["Plan"]))
        connection.rollback()
    return found & {"fans", "messages", "fan_changes", "conversations", "transactions"}


def _whole(node: dict) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for inner in node.get("Plans", ()):
        yield from _whole(inner)


def test_no_list_reads_a_whole_table(crm: Crm) -> None:
    for statement in CROWD.split(";"):
        crm.sql(statement)
    crm.sql(
        "INSERT INTO fan_changes (user_id, fan_id, source, before, after)"
        " SELECT user_id, id, 'rules', '{}', '{}' FROM fans"
    )
    crm.sql(
        "INSERT INTO platform_connections (id, user_id, name, account_id)"
        " SELECT id, id, 'Luna', 'acct_' || id FROM users WHERE id > 1000"
    )
    crm.sql(
        "INSERT INTO conversations (user_id, fan_id, connection_id)"
        " SELECT user_id, id, user_id FROM fans WHERE user_id > 1000"
    )
    crm.sql(
        "INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,"
        " direction, text) SELECT gen_random_uuid(), user_id, connection_id, id, fan_id, 'in', ''"
        " FROM conversations"
    )
    crm.sql(
        "INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents,"
        " happened_at) SELECT user_id, id, 'manual', 'tip', 1, 1, now() FROM fans"
    )
    crm.sql("ANALYZE")
    [fan] = crm.sql(
        "SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL LIMIT 1", owner=crm.owner
    )

    assert scans(crm, [("SELECT * FROM fans WHERE notes = 'none'", None)]) == {"fans"}

    for path in PATHS:
        with watched(crm) as seen:
            answer = crm.get(f"/api/crm/{path.format(fan=fan.id)}")
            assert answer.status_code == 200, path
            if cursor := json.loads(answer.text).get("nextCursor"):
                joint = "&" if "?" in path else "?"
                assert crm.get(f"/api/crm/{path}{joint}cursor={cursor}").status_code == 200
        assert seen, path
        assert scans(crm, seen) == set(), path


def test_fans_seen_lately_are_counted_through_the_index_of_moments(crm: Crm) -> None:
    """Also where most fans of a table are one owner's, and few of them were seen since then."""
    crm.sql(
        "INSERT INTO fans (user_id, name, handle, last_seen_at) SELECT :owner, 'Fan', '@' || n,"
        " now() - n * interval '1 minute' FROM generate_series(1, 30000) n",
        owner=crm.owner,
    )
    crm.sql("ANALYZE")
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


def test_no_deed_reads_a_whole_table(crm: Crm) -> None:
    for statement in CROWD.split(";"):
        crm.sql(statement)
    ids = [
        one.id
        for one in crm.sql(
            "SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL ORDER BY id LIMIT 3",
            owner=crm.owner,
        )
    ]
    new = {"name": "New", "platform": "onlyfans", "handle": "new"}

    with watched(crm) as seen:
        assert crm.post("/api/crm/fans", new).status_code == 201
        tags = {"filter": {"tier": "whale"}, "add": ["big"]}
        assert crm.post("/api/crm/fans/tags", tags).status_code == 200
        merged = crm.post(f"/api/crm/fans/{ids[0]}/merge", {"otherId": ids[1]})
        assert merged.status_code == 200
        assert crm.post(f"/api/crm/merges/{merged.json['mergeId']}/undo").status_code == 200
        assert crm.call("DELETE", f"/api/crm/fans/{ids[1]}").status_code == 204
        assert crm.post(f"/api/crm/fans/{ids[1]}/restore").status_code == 200
        assert crm.call("DELETE", f"/api/crm/fans/{ids[2]}?mode=hard").status_code == 204
        crm.services.tiers.sweep()

    assert scans(crm, seen) & {"fans"} == set()
