"""Every question about fans of a crowd's, and every deed, is answered by an index."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from infra.settings import Settings
from tests.conftest import empty
from tests.crm import Crm, crm_on
from tests.plans import scans, watched

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
      FROM generate_series(1, 20000) n;
    INSERT INTO fan_changes (user_id, fan_id, source, before, after)
      SELECT user_id, id, 'rules', '{}', '{}' FROM fans;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT id, id, 'Luna', 'acct_' || id FROM users WHERE id > 1000;
    INSERT INTO conversations (user_id, fan_id, connection_id)
      SELECT user_id, id, user_id FROM fans WHERE user_id > 1000;
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, direction,
        text)
      SELECT gen_random_uuid(), user_id, connection_id, id, fan_id, 'in', '' FROM conversations;
    INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents, happened_at)
      SELECT user_id, id, 'manual', 'tip', 1, 1, now() FROM fans
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
PAGES = (
    "/fans",
    "/fans?q=abc&sort=value",
    "/fans?tag=t7&tier=whale&min=1",
    "/fans?deleted=yes",
    "/fans?after=2025-01-01&before=2025-12-31",
    "/fans/fans.csv?tag=t7",
    "/fans/{fan}",
)


@pytest.fixture(scope="module")
def crowd(migrated: Engine, database_settings: Settings) -> Iterator[Crm]:
    """Loaded once: the deeds are few among so many rows."""
    empty(migrated)
    with crm_on(migrated, database_settings) as crm:
        crm.load(CROWD)
        yield crm


def test_no_list_reads_a_whole_table(crowd: Crm) -> None:
    [fan] = crowd.sql(
        "SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL LIMIT 1",
        owner=crowd.owner,
    )

    assert scans(crowd, [("SELECT * FROM fans WHERE notes = 'none'", None)]) == {"fans"}

    for path in PATHS:
        with watched(crowd) as seen:
            answer = crowd.get(f"/api/crm/{path.format(fan=fan.id)}")
            assert answer.status_code == 200, path
            if cursor := json.loads(answer.text).get("nextCursor"):
                joint = "&" if "?" in path else "?"
                assert crowd.get(f"/api/crm/{path}{joint}cursor={cursor}").status_code == 200
        assert seen, path
        assert scans(crowd, seen) == set(), path


def test_no_page_reads_a_whole_table(crowd: Crm) -> None:
    [fan] = crowd.sql(
        "SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL LIMIT 1",
        owner=crowd.owner,
    )

    for path in PAGES:
        with watched(crowd) as seen:
            answer = crowd.get(path.format(fan=fan.id))
            assert answer.status_code == 200, path
            assert answer.text
        assert scans(crowd, seen) == set(), path


def test_no_deed_reads_a_whole_table(crowd: Crm) -> None:
    ids = [
        one.id
        for one in crowd.sql(
            "SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL ORDER BY id LIMIT 3",
            owner=crowd.owner,
        )
    ]
    new = {"name": "New", "platform": "onlyfans", "handle": "new"}

    with watched(crowd) as seen:
        assert crowd.post("/api/crm/fans", new).status_code == 201
        tags = {"filter": {"tier": "whale"}, "add": ["big"]}
        assert crowd.post("/api/crm/fans/tags", tags).status_code == 200
        merged = crowd.post(f"/api/crm/fans/{ids[0]}/merge", {"otherId": ids[1]})
        assert merged.status_code == 200
        assert crowd.post(f"/api/crm/merges/{merged.json['mergeId']}/undo").status_code == 200
        assert crowd.call("DELETE", f"/api/crm/fans/{ids[1]}").status_code == 204
        assert crowd.post(f"/api/crm/fans/{ids[1]}/restore").status_code == 200
        assert crowd.call("DELETE", f"/api/crm/fans/{ids[2]}?mode=hard").status_code == 204
        crowd.services.tiers.sweep()

    assert scans(crowd, seen) & {"fans"} == set()
