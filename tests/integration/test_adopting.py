"""`huntaze migrate` on a database that holds the product owner's five tables already."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from infra.db.adopting import TablesDiffer
from infra.db.migrate import pending, upgrade
from infra.settings import Settings

OLD = """
    CREATE TABLE platform_connections (id serial PRIMARY KEY, user_id integer NOT NULL,
      platform varchar(50) NOT NULL, username text, created_with text);
    CREATE TABLE fans (id serial PRIMARY KEY, user_id integer NOT NULL, name varchar(255) NOT NULL,
      platform varchar(50) NOT NULL, handle varchar(255) NOT NULL, email text, avatar text,
      tags text[], value_cents integer, last_seen_at timestamptz, notes text,
      created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), nickname text);
    CREATE TABLE conversations (id serial PRIMARY KEY, user_id integer NOT NULL,
      fan_id integer NOT NULL REFERENCES fans(id), platform varchar(50) NOT NULL,
      last_message_at timestamptz, unread_count integer DEFAULT 0);
    CREATE TABLE messages (id serial PRIMARY KEY,
      conversation_id integer NOT NULL REFERENCES conversations(id), fan_id integer,
      direction varchar(3) NOT NULL, text text NOT NULL, price_cents integer, read boolean,
      attachments jsonb, sent_by_ai boolean, created_at timestamptz DEFAULT now());
    CREATE TABLE campaigns (id serial PRIMARY KEY, user_id integer NOT NULL, name text NOT NULL,
      type text, status text, template jsonb, target_audience jsonb, metrics jsonb,
      started_at timestamptz, completed_at timestamptz);
    INSERT INTO platform_connections (user_id, platform) VALUES (1, 'onlyfans');
    INSERT INTO fans (user_id, name, platform, handle, value_cents, nickname)
      VALUES (1, 'John', 'onlyfans', '@john', 50000, 'J'), (2, 'Ann', 'onlyfans', '@ann', NULL, NULL);
    INSERT INTO conversations (user_id, fan_id, platform) VALUES (1, 1, 'onlyfans'), (2, 2, 'onlyfans');
    INSERT INTO messages (conversation_id, fan_id, direction, text)
      VALUES (1, 1, 'in', 'Hello!'), (1, 1, 'out', '100 % :yes'), (2, NULL, 'out', 'Hi');
    INSERT INTO campaigns (user_id, name, status) VALUES (1, 'Black Friday', 'completed')
"""


@pytest.fixture
def old(database_settings: Settings) -> Iterator[Engine]:
    url = make_url(database_settings.database_url).set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS old_product"))
        connection.execute(text("CREATE DATABASE old_product"))
    engine = create_engine(url.set(database="old_product"))
    with engine.begin() as connection:
        connection.exec_driver_sql(OLD.replace("%", "%%"))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE old_product"))
    server.dispose()


def rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_every_row_and_column_stays_and_what_is_missing_is_added(old: Engine) -> None:
    upgrade(old)

    assert pending(old) == []
    fans = rows(
        old, "SELECT id, user_id, name, handle, value_cents, nickname, tags FROM fans ORDER BY id"
    )
    assert fans == [(1, 1, "John", "@john", 50000, "J", []), (2, 2, "Ann", "@ann", 0, None, [])]
    messages = rows(
        old, "SELECT id, user_id, fan_id, direction, text, state FROM messages ORDER BY id"
    )
    assert messages == [
        (1, 1, 1, "in", "Hello!", None),
        (2, 1, 1, "out", "100 % :yes", "sent"),
        (3, 2, 2, "out", "Hi", "sent"),
    ]
    assert rows(old, "SELECT name, status FROM campaigns") == [("Black Friday", "completed")]
    assert rows(old, "SELECT id, owner_id, role FROM users ORDER BY id") == [
        (1, 1, "owner"),
        (2, 2, "owner"),
    ]
    connections = rows(old, "SELECT user_id, state FROM platform_connections ORDER BY user_id")
    assert connections == [(1, "disconnected"), (2, "disconnected")]
    assert rows(old, "SELECT count(created_with) FROM platform_connections") == [(0,)]


def test_new_rows_are_numbered_behind_the_old_ones(old: Engine) -> None:
    upgrade(old)
    upgrade(old)

    with old.begin() as connection:
        made = connection.scalar(
            text("INSERT INTO fans (user_id, name, handle) VALUES (1, 'New', '@new') RETURNING id")
        )
    assert made == 3


def test_types_that_do_not_fit_are_all_listed_and_nothing_is_changed(old: Engine) -> None:
    with old.begin() as connection:
        connection.execute(text("ALTER TABLE fans ALTER tags TYPE text USING tags::text"))
        connection.execute(text("ALTER TABLE fans ADD shard integer NOT NULL DEFAULT 1"))
        connection.execute(text("ALTER TABLE fans ALTER shard DROP DEFAULT"))
        connection.execute(text("ALTER TABLE messages ALTER text TYPE bytea USING text::bytea"))

    with pytest.raises(TablesDiffer) as told:
        upgrade(old)

    assert set(told.value.differences) == {
        "fans.tags is text, and must be text[]",
        "fans.shard is required and unknown to us: give it a default",
        "messages.text is bytea, and must be text",
    }
    tables = rows(
        old,
        "SELECT count(*) FROM pg_tables WHERE schemaname NOT LIKE 'pg%' AND schemaname <> 'information_schema'",
    )
    assert tables == [(5,)]


def test_rows_that_break_a_rule_are_listed_and_stay(old: Engine) -> None:
    with old.begin() as connection:
        connection.execute(text("UPDATE campaigns SET status = 'running'"))

    with pytest.raises(TablesDiffer, match="ck_campaigns_status"):
        upgrade(old)

    assert rows(old, "SELECT status FROM campaigns") == [("running",)]
