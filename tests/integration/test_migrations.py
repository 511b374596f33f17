"""Every migration up, down and up again, on a database of its own; and what the queries lean on."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from infra.db.migrate import downgrade, drift, pending, revisions, upgrade
from infra.settings import Settings


@pytest.fixture
def empty(database_settings: Settings) -> Iterator[Engine]:
    url = make_url(database_settings.database_url).set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS migrations"))
        connection.execute(text("CREATE DATABASE migrations"))
    engine = create_engine(url.set(database="migrations"))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE migrations"))
    server.dispose()


def tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        found = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        return set(found) - {"alembic_version"}


def test_each_migration_goes_up_down_and_up_again(empty: Engine) -> None:
    before = "base"
    for revision in revisions():
        upgrade(empty, revision)
        downgrade(empty, before)
        upgrade(empty, revision)
        before = revision

    assert pending(empty) == []
    assert drift(empty) == []


@dataclass(frozen=True)
class Column:
    """What code of before relies on when it reads and writes a table."""

    type: str
    is_nullable: bool
    has_default: bool


def columns(engine: Engine) -> dict[tuple[str, str], Column]:
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT table_name, column_name, udt_name, is_nullable = 'YES' AS is_nullable,"
                " column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS'"
                " AS has_default FROM information_schema.columns WHERE table_schema = 'public'"
            )
        )
        return {
            (row.table_name, row.column_name): Column(
                row.udt_name, row.is_nullable, row.has_default
            )
            for row in found
        }


def test_the_release_before_works_on_with_the_schema_of_the_next(empty: Engine) -> None:
    """It reads what it knew, where it was, and may leave out what it does not know."""
    first, *later = revisions()
    upgrade(empty, first)
    for revision in later:
        before = columns(empty)
        upgrade(empty, revision)
        after = columns(empty)

        assert before.keys() - after.keys() == set(), f"{revision} takes away"
        known = {table for table, _ in before}
        for name, column in after.items():
            if name in before:
                old = before[name]
                assert column.type == old.type, (revision, name)
                assert column.is_nullable or not old.is_nullable, (revision, name)
                assert column.has_default or not old.has_default, (revision, name)
            elif name[0] in known:
                assert column.is_nullable or column.has_default, (revision, name)


def test_all_the_way_down_leaves_nothing(empty: Engine) -> None:
    assert pending(empty) == revisions()
    upgrade(empty)
    assert {"users", "messages", "message_attempts", "idempotency_keys"} <= tables(empty)

    downgrade(empty, "base")

    assert tables(empty) == set()
    assert pending(empty) == revisions()


def test_migrating_twice_changes_nothing(empty: Engine) -> None:
    upgrade(empty)
    upgrade(empty)

    assert drift(empty) == []


# Two hundred owners among whom nobody stands out, with a small part of their messages still waiting.
CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1, 200) n;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT n, n, 'Luna', 'acct_' || n FROM generate_series(1, 200) n;
    INSERT INTO fans (id, user_id, name, handle, connection_id, platform_user_id)
      SELECT n, 1 + mod(n, 200), 'Fan', '@' || n, 1 + mod(n, 200), n FROM generate_series(1, 10000) n;
    INSERT INTO conversations (id, user_id, fan_id, connection_id)
      SELECT id, user_id, id, connection_id FROM fans;
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, direction,
        text, state, priority, queued_at, sent_at, wake_after, lease_until)
      SELECT gen_random_uuid(), f.user_id, f.connection_id, f.id, f.id, 'out', 'text',
        CASE WHEN mod(n, 50) = 0 THEN 'queued' WHEN mod(n, 50) = 1 THEN 'sending' ELSE 'sent' END,
        1 + mod(n, 10), now() - n * interval '1 minute', now() - n * interval '1 minute',
        CASE WHEN mod(n, 50) = 0 THEN now() + (n - 500) * interval '1 second' END,
        CASE WHEN mod(n, 50) = 1 THEN now() + (n - 500) * interval '1 second' END
      FROM generate_series(1, 30000) n JOIN fans f ON f.id = 1 + mod(n, 10000);
    INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key, slot_at)
      SELECT id, connection_id, 1, public_id, sent_at FROM messages;
    INSERT INTO audit_log (user_id, action, subject)
      SELECT 1 + mod(n, 200), 'fan.deleted', 'fan' FROM generate_series(1, 20000) n;
    INSERT INTO api_keys (user_id, member_id, name, prefix, key_hash)
      SELECT 1 + mod(n, 200), 1 + mod(n, 200), 'CI', 'hz_', n FROM generate_series(1, 5000) n;
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT 1000 + n, 1 + mod(n, 200), 'm' || n || '@example.com', '', 'chatter'
      FROM generate_series(1, 5000) n;
    ANALYZE
"""

QUERIES = {
    "ix_audit_log_user_id_id": """
        SELECT * FROM audit_log WHERE user_id = 7 AND id < 9000 ORDER BY id DESC LIMIT 51""",
    "ix_api_keys_user_id_id": """
        SELECT * FROM api_keys WHERE user_id = 7 AND revoked_at IS NULL ORDER BY id""",
    "uq_api_keys_key_hash": """
        SELECT * FROM api_keys WHERE key_hash = 'x' AND revoked_at IS NULL""",
    "uq_users_email": """
        SELECT * FROM users WHERE lower(email) = 'x' AND removed_at IS NULL""",
    "ix_users_owner_id": """
        SELECT * FROM users WHERE owner_id = 7 AND removed_at IS NULL ORDER BY id""",
    "ix_fans_user_id_id": """
        SELECT * FROM fans WHERE user_id = 7 AND deleted_at IS NULL AND id < 9000
        ORDER BY id DESC LIMIT 51""",
    "ix_messages_waiting": """
        SELECT priority, count(*) FROM messages
        WHERE connection_id = 7 AND state IN ('queued', 'sending') GROUP BY priority""",
    "ix_messages_wake_after": """
        SELECT id FROM messages WHERE state = 'queued' AND wake_after <= now()
        ORDER BY wake_after LIMIT 500""",
    "ix_messages_lease_until": """
        SELECT id FROM messages WHERE state = 'sending' AND lease_until < now()
        ORDER BY lease_until LIMIT 500""",
    "ix_messages_user_id_sent_at": """
        SELECT count(*) FROM messages
        WHERE user_id = 7 AND sent_at >= now() - interval '1 hour'""",
    "ix_message_attempts_connection_id_slot_at": """
        SELECT max(slot_at) FROM message_attempts WHERE connection_id = 7""",
}


def test_each_list_and_each_search_of_the_timer_walks_its_index(database: Engine) -> None:
    with database.begin() as connection:
        for statement in CROWD.split(";"):
            connection.execute(text(statement))

    with database.connect() as connection:
        for index, query in QUERIES.items():
            plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
            assert index in plan, query
            assert "Seq Scan" not in plan, query
