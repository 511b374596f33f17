"""Every question the inbox asks of a crowd's rows is answered by an index."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from domain.services.read_marks import ReadMarkService
from domain.services.unsending import UnsendingService
from infra.db.repositories import message_search
from infra.settings import Settings
from tests.conftest import empty
from tests.crm import Crm, crm_on
from tests.inbox import Chats

# Two hundred owners among whom nobody stands out; the first is ours.
CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1001, 1199) n;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT n, n, 'Luna', 'acct_' || n FROM generate_series(1001, 1199) n;
    CREATE TEMP TABLE owners ON COMMIT DROP AS
      SELECT 0 AS number, cast(:owner AS bigint) AS owner, cast(:connection AS bigint) AS connection
      UNION ALL SELECT n - 1000, n, n FROM generate_series(1001, 1199) n;
    INSERT INTO fans (id, user_id, name, handle, connection_id, platform_user_id, value_cents, tier,
        tags, tips_cents, last_seen_at)
      SELECT n, owner, 'Fan ' || md5(n::text), '@' || n, connection, n, mod(n, 997) * 100,
        (ARRAY['whale', 'spender', 'quiet', 'new'])[1 + mod(n / 200, 4)],
        CASE WHEN mod(n, 51) = 0 THEN ARRAY['vip'] ELSE ARRAY['tag' || mod(n, 23)] END,
        CASE WHEN mod(n, 21) = 0 THEN 100 ELSE 0 END, now() - n * interval '1 minute'
      FROM generate_series(1, 20000) n JOIN owners ON number = mod(n, 200);
    INSERT INTO conversations (id, user_id, fan_id, connection_id, last_message_at, unread_count,
        last_direction, is_direct, tell_read_after, read_at)
      SELECT id, user_id, id, connection_id, now() - id * interval '1 minute',
        CASE WHEN mod(id, 9) = 0 THEN 1 ELSE 0 END, CASE WHEN mod(id, 3) = 0 THEN 'in' ELSE 'out' END,
        mod(id, 7) > 0, CASE WHEN mod(id, 401) = 0 THEN now() END, now() FROM fans;
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, direction,
        text, state, created_at, sent_at, read, attachments, purchased_at, unsend_after)
      SELECT gen_random_uuid(), f.user_id, f.connection_id, f.id, f.id,
        CASE WHEN mod(n, 2) = 0 THEN 'in' ELSE 'out' END, 'hello ' || md5(n::text),
        CASE WHEN mod(n, 2) = 1 THEN CASE WHEN mod(n, 51) = 0 THEN 'failed' ELSE 'sent' END END,
        now() - n * interval '1 second', now(), mod(n, 9) > 0,
        CASE WHEN mod(n, 11) = 0 THEN '[{"type": "image", "url": "https://e.com/a"}]'::jsonb
          ELSE '[]' END,
        CASE WHEN mod(n, 101) = 0 THEN now() END, CASE WHEN mod(n, 1001) = 0 THEN now() END
      FROM generate_series(1, 60000) n JOIN fans f ON f.id = 1 + mod(n, 20000);
    INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents, happened_at)
      SELECT user_id, id, 'sync', 'tip', 100, 80, now() FROM fans
"""
TABLES = ("fans", "conversations", "messages", "transactions")
TALKS, MESSAGES = "/api/crm/conversations", "/api/crm/messages"
PATHS = [
    *(f"{TALKS}?{one}" for one in ("", "direct=false", "unread=true", "unreplied=true")),
    *(f"{TALKS}?{one}" for one in ("failed=true", "platform=onlyfans", "tier=whale", "tag=vip")),
    *(f"{TALKS}?{one}" for one in ("minSpendCents=90000", "online=true", "withTips=true")),
    *(f"{TALKS}?{one}" for one in ("q=fan+abc", "q=nobody", "from=2026-01-01T00:00:00Z")),
    f"{TALKS}?connectionId={{connection}}",
    f"{TALKS}?unread=true&tier=whale&tag=vip&q=fan&withTips=true&failed=true",
    f"{TALKS}/200",
    f"{TALKS}/200/messages",
    f"{TALKS}/200/messages?around={{message}}",
    "/api/crm/views",
    *(f"{MESSAGES}?{one}" for one in ("", "direction=in", "direction=out", "status=failed")),
    *(f"{MESSAGES}?{one}" for one in ("status=unsent", "fanId=200", "q=hello", "q=abcdef12")),
    f"{MESSAGES}?connectionId={{connection}}&status=sent&q=hello",
    f"{MESSAGES}?since={{since}}",
]


@pytest.fixture(scope="module")
def crowd(migrated: Engine, database_settings: Settings) -> Iterator[Crm]:
    """Loaded once: the questions change none of it that matters to another."""
    empty(migrated)
    with crm_on(migrated, database_settings) as crm:
        crm.load(CROWD, owner=crm.owner, connection=crm.connection)
        yield crm


def plans(crm: Crm, ask: Callable[[], object]) -> list[str]:
    """The plans of what is asked of PostgreSQL meanwhile, each under its statement."""
    asked: list[tuple[str, Any]] = []

    def listen(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            asked.append((statement, values))

    event.listen(crm.engine, "before_cursor_execute", listen)
    try:
        ask()
    finally:
        event.remove(crm.engine, "before_cursor_execute", listen)
    found = []
    with crm.engine.connect() as database:
        for statement, values in asked:
            if "set_config" in statement:  # What the planner is told holds here too.
                database.exec_driver_sql(statement, values)
                continue
            plan = database.exec_driver_sql(f"EXPLAIN {statement}", values).scalars()
            found.append("\n".join([statement, *plan]))
    return found


def scans(crm: Crm, ask: Callable[[], object]) -> tuple[int, list[str]]:
    """How many statements the question took, and the plans that read a whole table."""
    found = plans(crm, ask)
    return len(found), [
        plan for plan in found if any(f"Seq Scan on {table} " in plan for table in TABLES)
    ]


def test_no_list_filter_or_search_reads_a_whole_table(crowd: Crm) -> None:
    [message] = crowd.sql("SELECT id FROM messages WHERE conversation_id = 200 LIMIT 1")
    since = crowd.get(f"{MESSAGES}?since=now").json["since"]
    cursors = {path: crowd.get(f"{path}?limit=1").json["nextCursor"] for path in (TALKS, MESSAGES)}
    assert None not in cursors.values()
    places = {"connection": crowd.connection, "message": message.id, "since": since}
    paths = [path.format_map(places) for path in PATHS]
    paths += [f"{path}?cursor={cursor}" for path, cursor in cursors.items()]

    for path in paths:
        count, bad = scans(crowd, lambda path=path: crowd.get(path))
        assert count > 0, path
        assert bad == [], path


def test_no_sweep_reads_a_whole_table(crowd: Crm) -> None:
    services = crowd.services
    marks = ReadMarkService(services.open_unit_of_work, Chats(), services.journal)
    unsending = UnsendingService(services.open_unit_of_work, Chats(), services.journal)

    for sweep in (marks.sweep, unsending.sweep):
        count, bad = scans(crowd, sweep)
        assert count > 0
        assert bad == []


def test_a_rare_word_is_found_through_its_index_and_a_common_one_on_the_walk(
    crowd: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_search, "WALK", 50)
    monkeypatch.setattr(message_search, "SEARCH_TOTAL_MAX", 10)
    [rare] = crowd.sql(
        "SELECT split_part(text, ' ', 2) AS word FROM messages WHERE user_id = :owner LIMIT 1",
        owner=crowd.owner,
    )

    def search(word: str) -> str:
        found = plans(crowd, lambda: crowd.get(f"{MESSAGES}?q={word}&limit=2"))
        return "\n".join(one for one in found if "to_tsquery" in one)

    assert "ix_messages_user_id_search" in search(rare.word)
    common = search("hello")
    assert "Index Scan Backward using ix_messages_user_id_created_at" in common
    assert "Sort" not in common
    assert "ix_messages_user_id_search" not in common
