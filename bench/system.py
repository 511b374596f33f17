"""The system that the bench measures: accounts of the bench's own, messages accepted for them, and
what the platform received."""

import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bench.running import CHECKOUT, Running, eventually
from domain.messages import Draft
from domain.users import Caller, OwnerId, Role, UserId
from infra.settings import Settings, load_settings
from infra.wiring import Services, build

# Every other setting has its default: what the bench speeds up, it says of one connection.
GIVEN = {"API_RATE_LIMIT_PER_MINUTE": "1000000"}
DEMO = Caller(UserId(1), OwnerId(1), Role.OWNER)
DEMO_EMAIL = "demo@huntaze.example"
QUEUE = "huntaze-rate-limiter-queue"
# What the platform has: by its own answer, or by its webhook as well.
ACCEPTED = ("sent", "delivered")


UNTOLD = {"drop": 1_000_000_000}


@dataclass(frozen=True)
class Account:
    """A connected account of the bench's own, with its fans as the API names them."""

    id: int
    account_id: str
    fans: Sequence[str]


@dataclass(frozen=True)
class Scale:
    """How much to measure: a full run, or a quick one that only shows that the bench works."""

    quick: bool

    def of(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True)
class Arrival:
    """One message at the platform; `at` is seconds since 1970 on the receiver's clock."""

    id: str
    account: str
    text: str
    at: float


class BenchSystem(Running):
    """A system under measurement; the block starts and ends it."""

    services: Services

    def __init__(self, directory: Path, given: Mapping[str, str]) -> None:
        super().__init__(directory, GIVEN | dict(given))

    def __enter__(self) -> Self:
        super().__enter__()
        self.services = build(self.settings)
        # A figure is of the sending alone, unless it says that webhooks are handled beside it.
        self.platform("POST", "settings", {"fansAnswer": False})
        self.platform("POST", "webhooks", UNTOLD)
        # A bucket of the default pace is empty at first: this message leaves when it is full.
        warm = self.account(rate=10)
        self.accept(warm, "warm")
        self.wait_sent(1, [warm])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if hasattr(self, "services"):
            self.services.close()
        super().__exit__(kind, problem, trace)

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment)

    # Sending

    def account(self, rate: float, fans: int = 1) -> Account:
        """A new account at a pace of its own."""
        [account] = self.accounts(1, rate, fans)
        return account

    def accounts(self, count: int, rate: float, fans: int = 1) -> list[Account]:
        """Many new accounts in one statement; they are not synchronised."""
        rows = self.sql(
            """
            WITH made AS (
              INSERT INTO platform_connections
                (user_id, name, account_id, rate_per_minute, sync_after)
              SELECT 1, 'Bench', 'bench_' || gen_random_uuid(), %s, NULL
              FROM generate_series(1, %s)
              RETURNING id, account_id),
            fans AS (
              INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
              SELECT 1, 'Fan', '@' || account_id || n, id, '9' || id || '0' || n
              FROM made, generate_series(1, %s) AS n
              RETURNING id, connection_id)
            SELECT made.id, made.account_id, array_agg(fans.id ORDER BY fans.id) AS fans
            FROM made JOIN fans ON fans.connection_id = made.id
            GROUP BY made.id, made.account_id ORDER BY made.id
            """,
            *(rate, count, fans),
        )
        return [
            Account(row["id"], row["account_id"], [f"fan_{fan}" for fan in row["fans"]])
            for row in rows
        ]

    def accept(self, account: Account, text: str) -> None:
        """Accept one message as the API does: its service, one transaction, one event."""
        now = datetime.now(UTC)
        self.services.messages.send_message(DEMO, account.fans[0], Draft(content=text), now)

    def accept_many(self, items: Sequence[tuple[Account, str]], chunk: int = 100) -> None:
        """Accept messages a chunk per transaction, announced ten per request."""
        for start in range(0, len(items), chunk):
            drafts = [
                (account.fans[0], Draft(content=text))
                for account, text in items[start : start + chunk]
            ]
            results = self.services.messages.send_batch(DEMO, drafts, datetime.now(UTC))
            errors = {result.error for result in results if result.error}
            if errors:
                raise RuntimeError(f"not accepted: {errors}")

    def insert_rows(self, account: Account, count: int) -> None:
        """Waiting messages as the service stores them, without an event: cheap backlog."""
        self.sql(
            """
            WITH talk AS (
              INSERT INTO conversations (user_id, fan_id, connection_id)
              SELECT user_id, id, connection_id FROM fans WHERE connection_id = %s
              ON CONFLICT (fan_id, connection_id) DO UPDATE SET user_id = excluded.user_id
              RETURNING id, user_id, fan_id, connection_id)
            INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,
              direction, text, state, queued_at, wake_after)
            SELECT gen_random_uuid(), user_id, connection_id, id, fan_id,
              'out', 'waits', 'queued', now(), now() + interval '1 hour'
            FROM talk, generate_series(1, %s)
            """,
            *(account.id, count),
        )

    def unadmitted(self, account: Account) -> int:
        """How many of its messages no worker has put into the waiting room yet."""
        [row] = self.sql(
            "SELECT count(*) AS n FROM messages"
            " WHERE connection_id = %s AND state = 'queued' AND admitted_at IS NULL",
            account.id,
        )
        return int(row["n"])

    # Reading

    def arrivals(self, accounts: Sequence[Account]) -> list[Arrival]:
        """What the platform received for these accounts, in the order of arrival."""
        wanted = {account.account_id for account in accounts}
        query = f"?account={accounts[0].account_id}" if len(accounts) == 1 else ""
        return [
            Arrival(one["id"], one["account"], one["text"], one["receivedMs"] / 1000)
            for one in self.platform("GET", f"ledger{query}")
            if one["account"] in wanted
        ]

    def states(self, accounts: Sequence[Account]) -> dict[str, int]:
        """How many of these accounts' messages are in which state."""
        rows = self.sql(
            "SELECT state, count(*) AS n FROM messages"
            " WHERE direction = 'out' AND connection_id = ANY(%s) GROUP BY state",
            [account.id for account in accounts],
        )
        return {row["state"]: row["n"] for row in rows}

    def sent_count(self, accounts: Sequence[Account], states: Collection[str] = ACCEPTED) -> int:
        """How many of these accounts' messages the platform has."""
        return sum(n for state, n in self.states(accounts).items() if state in states)

    def promise_errors(self, accounts: Sequence[Account]) -> list[float]:
        """Of each message that was sent: seconds that its call began later than promised."""
        rows = self.sql(
            "SELECT extract(epoch FROM a.started_at - m.promised_at)::float8 AS error"
            " FROM messages m JOIN message_attempts a ON a.message_id = m.id"
            " WHERE m.connection_id = ANY(%s) AND a.outcome = 'sent'",
            [account.id for account in accounts],
        )
        return [row["error"] for row in rows]

    def wait_sent(
        self, count: int, accounts: Sequence[Account], states: Collection[str] = ACCEPTED
    ) -> None:
        """Return when `count` messages of these accounts are sent; gives up when none leaves."""
        best, since = -1, time.monotonic()
        while (sent := self.sent_count(accounts, states)) < count:
            if sent > best:
                best, since = sent, time.monotonic()
            if time.monotonic() - since > 60:
                raise RuntimeError(f"stuck at {sent} of {count}: {self.states(accounts)}")
            time.sleep(0.2)

    @contextmanager
    def told(self, count: int, accounts: Sequence[Account]) -> Iterator[None]:
        """The platform tells of every send by webhook, as it does outside of the bench; the block
        ends when `count` more messages of these accounts are delivered by that."""
        before = self.sent_count(accounts, {"delivered"})
        self.platform("POST", "webhooks", {"drop": 0})
        try:
            yield
            self.wait_sent(before + count, accounts, {"delivered"})
        finally:
            self.platform("POST", "webhooks", UNTOLD)

    def settle(self) -> None:
        """Wait until the queue's counters stand still: the last deletes follow the last call."""

        def quiet() -> bool:
            before = self.queue_counts(QUEUE)
            time.sleep(0.4)
            after = self.queue_counts(QUEUE)
            return all(
                after[action]["messages"] == before.get(action, {}).get("messages", 0)
                for action in after
            )

        eventually(quiet, "a quiet queue")

    # Processes beside it

    def login(self) -> dict[str, str]:
        """The headers of a logged-in demo user."""
        password = self.environment["DEMO_PASSWORD"]
        answer = self.web.post(
            f"{self.address}/api/auth/login", json={"email": DEMO_EMAIL, "password": password}
        )
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    def click(self, headers: dict[str, str], fan: str, text: str) -> str:
        """Send one message over HTTP; returns the promised time."""
        answer = self.web.post(
            f"{self.address}/api/onlyfans/messages/send",
            json={"recipientId": fan, "content": text},
            headers=headers,
        )
        if answer.status_code != 202:
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        promise: str = answer.json()["estimatedSendTime"]
        return promise

    def bench_queue(self, name: str) -> str:
        """A new queue of the bench's own with its dead-letter queue; returns its URL."""
        queue = f"bench-{name}-{time.monotonic_ns()}"
        sqs = self.sqs()
        sqs.create_queue(QueueName=f"{queue}-dlq")
        url: str = sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "120"})[
            "QueueUrl"
        ]
        sqs.close()
        given = urlsplit(url)
        return f"{self.environment['AWS_ENDPOINT_URL']}{given.path}"

    def settings_for(self, queue_url: str) -> Settings:
        """The system's settings with another messages queue."""
        return load_settings({**self.environment, "SQS_RATE_LIMITER_QUEUE_URL": queue_url})

    @contextmanager
    def beside(self, module: str, queue_url: str, **given: str) -> Iterator[int]:
        """Run a worker of the bench beside the system, on a queue of its own; gives its pid."""
        process = self.start_child(
            module,
            f'cd "{CHECKOUT}" && exec "{sys.executable}" -m {module}',
            **{**self.environment, "SQS_RATE_LIMITER_QUEUE_URL": queue_url, **given},
        )
        queue = queue_url.rsplit("/", 1)[-1]
        try:
            eventually(lambda: self._listens(process, queue), f"{module}: {self.log(module)}")
            yield process.pid
        finally:
            process.kill()
            process.wait()

    def _listens(self, process: subprocess.Popen[bytes], queue: str) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the worker of {queue} ended with {process.returncode}")
        return bool(self.queue_counts(queue))
