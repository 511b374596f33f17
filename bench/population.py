"""A crowd for the lists: an owner with many fans, conversations and messages, loaded by COPY.

Messages come in the order of time, as they do in life, so that a thread's rows lie far apart."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from uuid import UUID

import psycopg

from bench.system import BenchSystem

FIRST = [f"{a}{b}" for a in ("An", "Be", "Ca", "Da", "El", "Fe", "Jo", "Lu", "Ma", "Ro") for b in
         ("na", "nno", "ra", "rio", "sa", "tta", "vid", "cas", "lena", "mi")]  # fmt: skip
LAST = [f"{a}{b}" for a in ("Ad", "Br", "Co", "Du", "Fi", "Ga", "Ha", "Ki", "Mo", "We") for b in
        ("ler", "andt", "sta", "arte", "scher", "rcia", "ddad", "mura", "reau", "ber")]  # fmt: skip
WORDS = ["hello", "you", "tonight", "love", "weekend", "photo", "thanks", "soon", "morning", "new"]
RARE = "xylophone"
TAGS = [("vip", 20), ("whale", 8), ("birthday", 2), ("moderator", 0.02)]
YEARS = timedelta(days=730)
ACCOUNTS = 5
# Indexes that are cheaper to build at the end than to keep up row by row.
TABLES = ("fans", "conversations", "messages")


@dataclass(frozen=True)
class Size:
    """How many rows one owner has."""

    fans: int
    conversations: int
    messages: int


@dataclass(frozen=True)
class Crowd:
    """An owner with its rows: its id, and its conversations, the longest first."""

    owner: int
    conversations: list[int]


@dataclass(frozen=True)
class Loader:
    """One owner's rows on their way in: the ids they get, and the dice."""

    database: psycopg.Connection
    dice: Random
    size: Size
    owner: int
    account: int
    fans: int
    talks: int
    messages: int

    @property
    def spread(self) -> int:
        """Every how many-th fan has a conversation."""
        return self.size.fans // self.size.conversations

    def copy_fans(self) -> None:
        now, dice = datetime.now(UTC), self.dice
        columns = "id, user_id, name, handle, email, tags, value_cents, last_seen_at, tier,"
        columns += " connection_id, platform_user_id, created_at, tips_cents"
        with self.copying("fans", columns) as copy:
            for number in range(self.size.fans):
                name = f"{dice.choice(FIRST)} {dice.choice(LAST)}"
                tags = ",".join(tag for tag, share in TAGS if dice.random() * 100 < share)
                value = int(dice.paretovariate(0.9) * 200) if dice.random() < 0.4 else 0
                value = min(value, 10**9)
                row = (
                    *(self.fans + number, self.owner, name, f"@{name[:3].lower()}{number}"),
                    *(f"f{number}@example.com" if number % 3 == 0 else None, f"{{{tags}}}", value),
                    now - YEARS * dice.random() ** 2,
                    "whale" if value > 50_000 else "spender" if value > 5_000 else None,
                    *(self.account_of(number), f"{self.owner}{number:07d}"),
                    *(now - YEARS * (1 - number / self.size.fans), value // 10),
                )
                copy.write(line(row))

    def copy_messages(self) -> list[tuple[datetime, str, int]]:
        """Returns for every conversation its newest message's time and direction, and how many."""
        dice, count = self.dice, self.size.conversations
        start, step = datetime.now(UTC) - YEARS, YEARS / self.size.messages
        last: list[tuple[datetime, str, int]] = [(start, "in", 0)] * count
        # A few talk much, most a little: the longest thread holds a hundredth of all.
        weights = list(accumulate(1 / (10 + number) for number in range(count)))
        picks = dice.choices(range(count), cum_weights=weights, k=self.size.messages)
        texts = [sentence(dice) for _ in range(20_000)]
        columns = "id, public_id, user_id, connection_id, conversation_id, fan_id, direction, text,"
        columns += " state, read, created_at, queued_at, sent_at"
        with self.copying("messages", columns) as copy:
            for number, talk in enumerate(picks):
                at, fan, ours = start + step * number, talk * self.spread, dice.random() < 0.5
                last[talk] = (at, "out" if ours else "in", last[talk][2] + 1)
                text = RARE if number % 50_000 == 7 else texts[number % len(texts)]
                row = (
                    *(self.messages + number, UUID(int=dice.getrandbits(128), version=4)),
                    *(self.owner, self.account_of(fan), self.talks + talk, self.fans + fan),
                    *(last[talk][1], text, "delivered" if ours else None, "t", at),
                    *((at, at) if ours else (None, None)),
                )
                copy.write(line(row))
        return last

    def copy_conversations(self, last: list[tuple[datetime, str, int]]) -> None:
        columns = "id, user_id, fan_id, connection_id, last_message_at, last_direction,"
        columns += " unread_count, is_direct"
        with self.copying("conversations", columns) as copy:
            for number, (at, direction, _) in enumerate(last):
                fan, asked = number * self.spread, direction == "in" and self.dice.random() < 0.1
                row = (
                    *(self.talks + number, self.owner, self.fans + fan, self.account_of(fan)),
                    *(at, direction, 2 if asked else 0, "t"),
                )
                copy.write(line(row))

    def account_of(self, fan: int) -> int:
        return self.account + fan % ACCOUNTS

    def copying(self, table: str, columns: str) -> AbstractContextManager[psycopg.Copy]:
        statement = f"COPY {table} ({columns}) FROM STDIN"
        return self.database.cursor().copy(statement.encode())


def line(row: Iterable[object]) -> str:
    """A row in COPY's text format; none of our texts holds what it would have to escape."""
    return "\t".join("\\N" if one is None else str(one) for one in row) + "\n"


def load(system: BenchSystem, name: str, size: Size, seed: int) -> Crowd:
    """Add an owner with rows of that size."""
    with psycopg.connect(system.environment["DATABASE_URL"]) as database:
        # No foreign key is checked and no trigger runs: the rows are made to fit.
        database.execute("SET session_replication_role = replica")
        database.execute("SET statement_timeout = 0")
        database.execute("SET maintenance_work_mem = '512MB'")
        owner = next_id(database, "users", 1)
        database.execute(
            "INSERT INTO users (id, owner_id, email, password_hash, role)"
            " VALUES (%s, %s, %s, '-', 'owner')",
            (owner, owner, f"{name}@bench.example"),
        )
        account = next_id(database, "platform_connections", ACCOUNTS)
        database.execute(
            "INSERT INTO platform_connections (id, user_id, name, account_id, sync_after)"
            " SELECT %s + n, %s, 'Bench', %s || n, NULL FROM generate_series(0, %s) n",
            (account, owner, f"acct_{name}", ACCOUNTS - 1),
        )
        loader = Loader(
            database,
            Random(seed),
            size,
            owner,
            account,
            fans=next_id(database, "fans", size.fans),
            talks=next_id(database, "conversations", size.conversations),
            messages=next_id(database, "messages", size.messages),
        )
        with without_indexes(database):
            loader.copy_fans()
            last = loader.copy_messages()
            loader.copy_conversations(last)
    with psycopg.connect(system.environment["DATABASE_URL"], autocommit=True) as database:
        database.execute("SET statement_timeout = 0")
        for table in TABLES:
            database.execute(f"VACUUM (ANALYZE) {table}".encode())
    longest = sorted(range(size.conversations), key=lambda number: -last[number][2])
    return Crowd(owner, [loader.talks + number for number in longest])


def next_id(database: psycopg.Connection, table: str, count: int) -> int:
    """The first of `count` ids that nobody else will get."""
    sequence = f"pg_get_serial_sequence('{table}', 'id')"
    found = database.execute(f"SELECT nextval({sequence})".encode()).fetchone()
    assert found is not None
    database.execute(f"SELECT setval({sequence}, {found[0] + count})".encode())
    return int(found[0])


@contextmanager
def without_indexes(database: psycopg.Connection) -> Iterator[None]:
    """Drop what only speeds reading up, and build it again."""
    found = database.execute(
        "SELECT i.indexname, i.indexdef FROM pg_indexes i"
        " JOIN pg_class c ON c.relname = i.indexname JOIN pg_index x ON x.indexrelid = c.oid"
        " WHERE i.tablename = ANY(%s) AND NOT x.indisunique",
        (list(TABLES),),
    ).fetchall()
    for name, _ in found:
        database.execute(f"DROP INDEX {name}".encode())
    yield
    for _, definition in found:
        database.execute(definition.encode())


def sentence(dice: Random) -> str:
    """A few words: common ones, and many that hardly anybody else says."""
    words = [
        dice.choice(WORDS) if dice.random() < 0.5 else f"word{dice.randrange(50_000)}"
        for _ in range(dice.randrange(3, 16))
    ]
    return " ".join(words)
