"""Sending on real rows and a real waiting room, where a process may die, hear nothing or stand still
between any two of its effects. One clock for all of it, which moves only when somebody waits.

The clock reaches PostgreSQL as a function `now()` that stands before its own in the search path,
and Redis as the argument that replaces its TIME.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from domain.events import Event
from domain.messages import Outcome
from domain.pacing import RoomRules
from domain.ports import PlatformMessage, PlatformUnavailable, SendAnswer, SendRequest
from domain.services.connections import ConnectionService
from domain.services.delivery import DeliveryService
from domain.services.healing import HealingService
from domain.services.inbound import InboundService
from domain.services.messages import MessageService
from domain.services.rules import SendingRules
from domain.users import Caller, Role
from infra.cipher import Cipher
from infra.db.engine import make_engine
from infra.db.migrate import upgrade
from infra.db.unit_of_work import SqlUnitOfWork
from infra.platform.webhooks import WebhookReader
from infra.redis.waiting_room import RedisWaitingRoom
from infra.settings import Settings
from tests.fakes.bus import FakeBus
from tests.fakes.platform import FakePlatform
from tests.fakes.platform_accounts import FakePlatformAccounts
from tests.sending import START, NoCache, Notes
from workers.pacer import Pacer

T = TypeVar("T")
DATABASE = "message_life"
# What stands before PostgreSQL's own clock, and what writes down every change of a message's state.
CLOCK = """
    CREATE SCHEMA life;
    CREATE TABLE life.clock (at timestamptz NOT NULL);
    INSERT INTO life.clock VALUES ('2026-01-01');
    CREATE FUNCTION life.now() RETURNS timestamptz LANGUAGE sql STABLE
      AS 'SELECT at FROM life.clock';
    CREATE TABLE life.moves (id bigserial PRIMARY KEY, public_id uuid, old text, new text);
    CREATE FUNCTION life.moved() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO life.moves (public_id, old, new) VALUES (NEW.public_id, OLD.state, NEW.state);
        RETURN NULL;
      END $$;
    CREATE TRIGGER moved AFTER UPDATE OF state ON messages FOR EACH ROW
      WHEN (NEW.origin = 'huntaze' AND OLD.state IS DISTINCT FROM NEW.state)
      EXECUTE FUNCTION life.moved();
    DO $$
      DECLARE one record;
      BEGIN
        FOR one IN SELECT table_name, column_name FROM information_schema.columns
          WHERE table_schema = 'public' AND column_default = 'now()'
        LOOP
          EXECUTE 'ALTER TABLE ' || one.table_name || ' ALTER ' || one.column_name
            || ' SET DEFAULT life.now()';
        END LOOP;
      END $$;
"""
# Emptied between two lives; what hangs on them goes with them.
OWN_TABLES = (
    *("message_attempts", "messages", "conversations", "platform_events", "idempotency_keys"),
    *("notifications", "fan_changes", "fans", "audit_log", "platform_connections", "users"),
)


class Crash(BaseException):
    """The process is gone: nothing catches this, and nothing done afterwards has an effect."""


class Kind(StrEnum):
    """What may happen between two effects."""

    CRASH = "crash"
    LOST = "lost"  # the effect, or its answer, is lost on the way
    FROZEN = "frozen"  # the process stands still, and others do not


@dataclass(frozen=True)
class Trouble:
    """What happens at one point of an operation: each effect has one before and one after it."""

    at: int
    kind: Kind
    meanwhile: tuple[Callable[[], object], ...] = field(default=(), compare=False)


@dataclass
class Process:
    """Who does one operation. `points` counts those that it has passed."""

    number: int
    troubles: list[Trouble]
    points: int = 0
    transactions: int = 0
    dead: bool = False


@dataclass(frozen=True)
class Call:
    """One request that reached the platform. `late` = since the process decided to call."""

    request: SendRequest
    at: datetime
    process: int
    late: timedelta
    delivered: bool
    state: str  # of its row, at that moment
    attempt_key: str | None  # of the row's newest attempt


@contextmanager
def life_database(settings: Settings) -> Iterator[Engine]:
    """A migrated database of its own, under the clock."""
    url = make_url(settings.database_url).set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {DATABASE}"))
        connection.execute(text(f"CREATE DATABASE {DATABASE}"))
    bare = create_engine(url.set(database=DATABASE))
    upgrade(bare)
    with bare.begin() as connection:
        connection.exec_driver_sql(CLOCK)
        connection.exec_driver_sql(
            f"ALTER DATABASE {DATABASE} SET search_path = life, public, pg_catalog"
        )
    bare.dispose()
    own = url.set(database=DATABASE).render_as_string(hide_password=False)
    engine = make_engine(settings.model_copy(update={"database_url": own}))
    event.listen(engine, "connect", allow_to_idle)
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {DATABASE}"))
    server.dispose()


def allow_to_idle(connection: Any, _: object) -> None:
    """A busy machine may stand still in a transaction for longer than the product would."""
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
    connection.commit()


class Life:
    """One owner with connections and fans, every sending service, and a clock."""

    def __init__(self, engine: Engine, redis: Redis, settings: Settings) -> None:
        self.engine, self.redis = engine, redis
        self._look = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self.at = START
        self.cipher, self.sessions = Cipher(settings.encryption_keys), sessionmaker(engine)
        self.processes: list[Process] = []
        self.numbers = 0
        self.calls: list[Call] = []
        self.lost: list[SendRequest] = []  # calls of which only the caller knows
        self.takes = timedelta(0)
        self.bus, self.gateway = FakeBus(lambda: self.seconds), FakePlatform(lambda: self.at)
        self.notes, self.rules = Notes(), SendingRules()
        self._empty()
        self._services()

    def _empty(self) -> None:
        self.redis.flushall()
        with self.engine.begin() as database:
            database.execute(text("SET LOCAL session_replication_role = replica"))
            for table in OWN_TABLES:
                database.execute(text(f"DELETE FROM {table}"))
            database.execute(text("DELETE FROM life.moves"))
            database.execute(text("UPDATE life.clock SET at = :at"), {"at": self.at})
            # Small numbers read better in a history that failed.
            for table in ("messages", "platform_connections", "fans", "users"):
                database.execute(text(f"SELECT setval('{table}_id_seq', 1, false)"))

    def _services(self) -> None:
        bus, platform = TroubledBus(self), TroubledPlatform(self)
        self.open = partial(TroubledUnitOfWork, self)
        self.room = RedisWaitingRoom(
            TroubledRedis(self), RoomRules(), now_ms=lambda: self.at.timestamp() * 1000
        )
        self.messages = MessageService(
            self.open, room=self.room, bus=bus, cache=NoCache(), rules=self.rules
        )
        self.connections = ConnectionService(
            self.open, self.room, self.rules, FakePlatformAccounts(lambda: self.at)
        )
        self.inbound = InboundService(
            self.open,
            reader=WebhookReader(()),
            room=self.room,
            rules=self.rules,
            journal=self.notes,
        )
        self.delivery = DeliveryService(
            self.open,
            room=self.room,
            platform=platform,
            messages=self.messages,
            rules=self.rules,
            journal=self.notes,
            monotonic=lambda: self.seconds,
            sleep=self.wait,
        )
        self.healing = HealingService(
            self.open,
            room=self.room,
            bus=bus,
            platform=platform,
            rules=self.rules,
            journal=self.notes,
            proofs=self.inbound.proofs,
            now=lambda: self.at,
        )
        services = SimpleNamespace(
            rules=self.rules, room=self.room, bus=bus, journal=self.notes, healing=self.healing
        )
        self.pacer = Pacer(services, SimpleNamespace())

    def settle_in(self, accounts: Sequence[str], fans: int) -> None:
        """The owner, and linked fans of each account."""
        with SqlUnitOfWork(self.sessions, self.bus, self.cipher) as work:
            user = work.users.add("owner@example.com", "hash", Role.OWNER, None, "UTC")
            work.commit()
        self.caller = Caller(user.id, user.owner_id, Role.OWNER)
        self.accounts, self.fans = [], []
        with self.engine.begin() as database:
            for account in accounts:
                connection = database.scalar(
                    text(
                        "INSERT INTO platform_connections (user_id, name, account_id)"
                        " VALUES (:owner, :account, :account) RETURNING id"
                    ),
                    {"owner": user.owner_id, "account": account},
                )
                self.accounts.append(connection)
                for number in range(fans):
                    fan = database.scalar(
                        text(
                            "INSERT INTO fans (user_id, name, handle, connection_id,"
                            " platform_user_id) VALUES (:owner, 'Fan', :handle, :connection,"
                            " :platform_id) RETURNING id"
                        ),
                        {
                            "owner": user.owner_id,
                            "handle": f"@{account}{number}",
                            "connection": connection,
                            "platform_id": str(500 + number),
                        },
                    )
                    self.fans.append(fan)

    # Time

    @property
    def seconds(self) -> float:
        return (self.at - START).total_seconds()

    def wait(self, seconds: float) -> None:
        """Everybody's clock moves on, and what Redis keeps for a time comes nearer to its end."""
        if seconds <= 0:
            return
        self.at += timedelta(seconds=seconds)
        self.execute("UPDATE life.clock SET at = :at", at=self.at)
        for key in self.redis.scan_iter():
            if (left := self.redis.pttl(key)) > 0:
                self.redis.pexpire(key, max(0, int(left - seconds * 1000)))

    # Looking

    def execute(self, query: str, **values: object) -> list:
        """Ask or change the rows themselves, without trouble."""
        done = self._look.execute(text(query), values)
        return list(done) if done.returns_rows else []

    def close(self) -> None:
        self._look.close()

    # Trouble

    @contextmanager
    def process(self, troubles: Sequence[Trouble] = ()) -> Iterator[Process]:
        """A process that does what is inside; what it held in memory is gone afterwards."""
        self.numbers += 1
        process = Process(self.numbers, sorted(troubles, key=lambda one: one.at))
        self.processes.append(process)
        try:
            yield process
        finally:
            self.processes.pop()

    def effect(self, act: Callable[[], T], lost: Callable[[], T], *, may_freeze: bool = True) -> T:
        """Do it, unless trouble comes before; `lost` is what the caller sees when no answer does."""
        process = self.processes[-1]
        if process.dead:
            raise Crash
        if self._loses(process, may_freeze=may_freeze):
            return lost()
        result = act()
        return lost() if self._loses(process, may_freeze=may_freeze) else result

    def _loses(self, process: Process, *, may_freeze: bool) -> bool:
        process.points += 1
        if not process.troubles or process.points <= process.troubles[0].at:
            return False
        trouble = process.troubles[0]
        if trouble.kind is Kind.FROZEN and (process.transactions or not may_freeze):
            return False  # Who waits for its locks would wait for ever: a moment later.
        process.troubles.pop(0)
        if trouble.kind is Kind.CRASH:
            process.dead = True
            raise Crash
        for deed in trouble.meanwhile:
            deed()
        return trouble.kind is Kind.LOST


class TroubledUnitOfWork(SqlUnitOfWork):
    """Rows, with trouble around COMMIT: a lost answer to it may mean either."""

    def __init__(self, life: Life) -> None:
        super().__init__(life.sessions, TroubledBus(life), life.cipher)
        self._life = life

    def __enter__(self):
        self._process = self._life.processes[-1]
        if self._process.dead:
            raise Crash
        self._process.transactions += 1
        return super().__enter__()

    def __exit__(self, *problem) -> None:
        self._process.transactions -= 1
        super().__exit__(*problem)

    def commit(self) -> None:
        self._life.effect(super().commit, lost_commit)


def lost_commit() -> None:
    raise OperationalError("COMMIT", {}, Exception("the server went away"))


class TroubledBus:
    """A bus that loses events, or only the answer that they have arrived."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        bus = self._life.bus
        return self._life.effect(lambda: bus.publish(events), lambda: events)


class TroubledRedis:
    """What the waiting room uses of the driver, with trouble around each round trip."""

    def __init__(self, life: Life) -> None:
        self._life, self._client = life, life.redis

    def register_script(self, script: str) -> Callable[..., object]:
        registered = self._client.register_script(script)

        def run(keys: list, arguments: list, pipe: object = None) -> object:
            if pipe is not None:
                return registered(keys, arguments, pipe)
            return self._life.effect(lambda: registered(keys, arguments), lost_answer)

        return run

    def exists(self, key: str) -> object:
        return self._life.effect(lambda: self._client.exists(key), lost_answer)

    def scan_iter(self, **options: object) -> Iterator[str]:
        return self._client.scan_iter(**options)

    def pipeline(self, *, transaction: bool):
        pipe = self._client.pipeline(transaction=transaction)
        execute = pipe.execute
        pipe.execute = lambda: self._life.effect(execute, lost_answer)
        return pipe


def lost_answer() -> None:
    raise RedisTimeoutError("Timeout reading from socket")


class TroubledPlatform:
    """The gateway, with trouble on the way there and back. It writes down each call."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def send(self, request: SendRequest, deadline: timedelta) -> SendAnswer:
        life, decided = self._life, self._life.at
        process, before = life.processes[-1].number, len(life.calls)

        def call() -> SendAnswer:
            [row] = life.execute(ROW_CALLED, id=request.send_key.split(".")[0])
            already = len(life.gateway.delivered)
            late, at = life.at - decided, life.at
            answer = life.gateway.send(request, deadline)
            delivered = len(life.gateway.delivered) > already
            life.calls.append(Call(request, at, process, late, delivered, row.state, row.send_key))
            life.wait(min(life.takes, deadline).total_seconds())
            return answer

        def lost() -> SendAnswer:
            if len(life.calls) == before:
                life.lost.append(request)
            return SendAnswer(Outcome.UNCLEAR)

        if deadline <= timedelta(0):
            life.lost.append(request)
            return SendAnswer(Outcome.UNCLEAR)  # As the adapter: no time left to send it.
        return life.effect(call, lost)

    def recent_messages(self, *names: object, **more: object) -> Sequence[PlatformMessage]:
        life = self._life
        # Chats are read in threads, which other processes would confuse.
        return life.effect(
            lambda: life.gateway.recent_messages(*names, **more), lost_chat, may_freeze=False
        )


def lost_chat() -> Sequence[PlatformMessage]:
    raise PlatformUnavailable("lost")


ROW_CALLED = """
    SELECT m.state, (SELECT a.send_key FROM message_attempts a
      WHERE a.message_id = m.id ORDER BY a.attempt_no DESC LIMIT 1) AS send_key
    FROM messages m WHERE m.public_id = cast(:id AS uuid)
"""
