"""Everything a test may ask of, or do to, a running product.

The tests ask the API, the platform simulator's ledger, PostgreSQL and SQS; nothing is patched. Waits
end with an event: their time-out is only a safety net.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx2
import psycopg
import redis
from mypy_boto3_sqs import SQSClient
from psycopg.rows import dict_row
from running import PATIENCE, Running, eventually

DEMO_EMAIL = "demo@huntaze.example"

# Sixty times the default pace, and every time of recovery as short as the others allow.
FAST = {
    "RATE_LIMIT_PER_MINUTE": "600",
    "API_RATE_LIMIT_PER_MINUTE": "100000",
    "PLATFORM_TIMEOUT_SECONDS": "2",
    "DELIVERY_DEADLINE_SECONDS": "5",
    "SEND_LEASE_SECONDS": "6",
    "PERMIT_LEASE_SECONDS": "5",
    "UNKNOWN_GRACE_SECONDS": "2",
    "WAKE_AFTER_SECONDS": "5",
    "VISIBILITY_TIMEOUT_SECONDS": "8",
}
INTERVAL_MS = 60_000 / 600 * 1.005
# How many permits of one account may be out at this pace: the lead of 300 ms, and one. Those may
# overtake each other on their way to a worker.
PERMITS_OUT = 4
# The platform has it: sent by its own answer, delivered once its webhook has told of it too.
ACCEPTED = frozenset({"sent", "delivered"})


@dataclass(frozen=True)
class Account:
    """A connected account of the test's own, with its fans as the API names them."""

    id: int
    account_id: str
    fans: Sequence[str]
    chats: Sequence[str]


class System(Running):
    """A running product with clients of all its parts."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__(directory, settings)
        self._tokens: dict[str, str] = {}

    def start(self, **changed: str) -> None:
        self._tokens.clear()
        super().start(**changed)
        # A test says itself when a fan writes.
        self.platform("POST", "settings", {"fansAnswer": False})

    # The API

    def login(self, email: str = DEMO_EMAIL) -> str:
        """A token of the demo user, or of another owner, asked for once."""
        if email not in self._tokens:
            answer = self._web.post(
                f"{self.address}/api/auth/login",
                json={"email": email, "password": self.environment["DEMO_PASSWORD"]},
            )
            assert answer.status_code == 200, answer.text
            self._tokens[email] = answer.json()["token"]
        return self._tokens[email]

    def owner(self) -> tuple[int, str]:
        """Another owner, who has nothing yet and the demo user's password: its id and email."""
        [row] = self.sql(
            "INSERT INTO users (id, owner_id, email, password_hash, role)"
            " SELECT n, n, 'owner' || n || '@huntaze.example', password_hash, 'owner'"
            " FROM users, nextval(pg_get_serial_sequence('users', 'id')) n WHERE email = %s"
            " RETURNING id, email",
            DEMO_EMAIL,
        )
        return row["id"], row["email"]

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        key: str = "",
    ) -> httpx2.Response:
        """Call the API as the demo user, or as the token's."""
        headers = {"Authorization": f"Bearer {token or self.login()}"}
        if key:
            headers["Idempotency-Key"] = key
        return self._web.request(method, self.address + path, json=body, headers=headers)

    def upload(
        self,
        file: bytes,
        *,
        token: str | None = None,
        wait_seconds: int = 30,
        dry_run: bool = False,
        **fields: str,
    ) -> httpx2.Response:
        """Import a file; 0 seconds = do not wait for its end."""
        return self._web.post(
            f"{self.address}/api/onlyfans/import/csv",
            params={"dryRun": "true"} if dry_run else {},
            files={"file": ("fans.csv", file, "text/csv")},
            data=fields,
            headers={
                "Authorization": f"Bearer {token or self.login()}",
                "Prefer": f"wait={wait_seconds}" if wait_seconds else "respond-async",
            },
            timeout=PATIENCE,
        )

    def send(self, fan: str, text: str, *, token: str | None = None, **more: object) -> str:
        """Accept one message; returns its id."""
        body = {"recipientId": fan, "content": text, **more}
        answer = self.api("POST", "/api/onlyfans/messages/send", body, token=token)
        assert answer.status_code == 202, answer.text
        message_id: str = answer.json()["messageId"]
        return message_id

    def send_patiently(self, fan: str, text: str) -> str:
        """As a good client does: the same request with the same key until it is answered."""
        body, key = {"recipientId": fan, "content": text}, uuid4().hex

        def answered() -> str | None:
            try:
                answer = self.api("POST", "/api/onlyfans/messages/send", body, key=key)
            except httpx2.TransportError:
                return None
            if answer.status_code >= 500 or answer.status_code == 409:
                return None
            assert answer.status_code == 202, answer.text
            message_id: str = answer.json()["messageId"]
            return message_id

        return eventually(answered, f"an answer for {text}")

    def message(self, message_id: str) -> dict[str, Any]:
        """All that the API tells of one message."""
        answer = self.api("GET", f"/api/onlyfans/messages/{message_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def until(self, message_id: str, *states: str) -> dict[str, Any]:
        """The message once it is in one of these states; a delivered one was sent."""
        wanted = {*states, *(ACCEPTED if "sent" in states else ())}

        def arrived() -> dict[str, Any] | None:
            found = self.message(message_id)
            return found if found["status"] in wanted else None

        return eventually(arrived, f"{message_id} in {states}", lambda: self.message(message_id))

    # The platform

    def platform(self, method: str, path: str, body: object = None) -> Any:
        """The simulator's own endpoints below /_admin."""
        url = self.environment["ONLYFANS_API_URL"].removesuffix("/api")
        answer = self._web.request(method, f"{url}/_admin/{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def fault(self, kind: str, account: Account, **more: object) -> None:
        """Make the platform fail for one account."""
        self.platform("POST", "faults", {"kind": kind, "account": account.account_id, **more})

    def fault_hits(self, account: Account) -> int:
        """How many calls the account's faults have hit."""
        faults = self.platform("GET", "faults")
        return sum(one["hits"] for one in faults if one["account"] == account.account_id)

    @contextmanager
    def untold(self) -> Iterator[None]:
        """The platform sends no webhook of what happens in this block."""
        self.platform("POST", "webhooks", {"drop": 1_000_000})
        try:
            yield
        finally:
            self.platform("POST", "webhooks", {"drop": 0})

    def received(self, *accounts: Account) -> list[dict[str, Any]]:
        """What the platform accepted, in the order of arrival; of all accounts when none is named."""
        wanted = {account.account_id for account in accounts}
        ledger = self.platform("GET", "ledger")
        return [one for one in ledger if not wanted or one["account"] in wanted]

    def texts(self, *accounts: Account) -> list[str]:
        """The received texts, in the order of arrival."""
        return [one["text"] for one in self.received(*accounts)]

    # The rows

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask PostgreSQL itself; outlasts its restarts."""

        def answered() -> list[dict[str, Any]] | None:
            with suppress(psycopg.OperationalError):
                return self._query(query, values)
            return None

        return eventually(answered, "PostgreSQL", allow_empty=True)

    def _query(self, query: str, values: Sequence[object]) -> list[dict[str, Any]]:
        url = self.environment["DATABASE_URL"]
        with psycopg.connect(url, connect_timeout=5, row_factory=dict_row) as database:
            cursor = database.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def account(self, *, fans: int = 1, rate: float | None = None, owner: int = 1) -> Account:
        """A new connected account with fans, so that no other test's pace or pause touches it."""
        name = f"acct_{uuid4().hex[:12]}"
        [connection] = self.sql(
            "INSERT INTO platform_connections (user_id, name, account_id, rate_per_minute)"
            " VALUES (%s, %s, %s, %s) RETURNING id",
            *(owner, name, name, rate),
        )
        rows = self.sql(
            "INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)"
            " SELECT %s, 'Fan', '@' || %s || n, %s, (%s * 1000 + n)::text"
            " FROM generate_series(1, %s) n RETURNING id, platform_user_id",
            *(owner, name, connection["id"], connection["id"], fans),
        )
        return Account(
            connection["id"],
            name,
            [f"fan_{row['id']}" for row in rows],
            [row["platform_user_id"] for row in rows],
        )

    def states(self, *accounts: Account) -> dict[str, int]:
        """How many of these accounts' messages are in which state; a delivered one was sent."""
        rows = self.sql(
            "SELECT state, count(*) AS n FROM messages"
            " WHERE direction = 'out' AND connection_id = ANY(%s) GROUP BY state",
            [account.id for account in accounts],
        )
        found: Counter[str] = Counter()
        for row in rows:
            found["sent" if row["state"] in ACCEPTED else row["state"]] += row["n"]
        return dict(found)

    def all_sent(self, count: int, *accounts: Account) -> None:
        """Wait until these accounts have `count` messages, and each is sent."""
        eventually(
            lambda: self.states(*accounts) == {"sent": count},
            f"{count} sent messages",
            lambda: self.states(*accounts),
        )

    # The other services

    def redis(self) -> "redis.Redis":
        """A client of its Redis; close it."""
        host, _, port = self.environment["REDIS_ENDPOINT"].rpartition(":")
        return redis.Redis(host, int(port), decode_responses=True)

    def sqs(self) -> SQSClient:
        """A client of its SQS; close it."""
        given = self.environment
        return boto3.client(
            "sqs",
            endpoint_url=given["AWS_ENDPOINT_URL"],
            region_name=given["AWS_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def audit(self) -> list[str]:
        """The lines of `huntaze audit --platform`, whose exit code must agree with them."""
        done = self.command("audit", "--platform")
        lines = done.stdout.splitlines()
        assert done.returncode == 0, done.stdout + done.stderr
        return lines


def over_limit(times_ms: Sequence[float], interval_ms: float = INTERVAL_MS) -> int:
    """How many pairs of sends i < j are nearer than (j - i) intervals less 0.3 s of slack."""
    ordered = sorted(times_ms)
    return sum(
        ordered[later] - ordered[earlier] < (later - earlier) * interval_ms - 300
        for later in range(len(ordered))
        for earlier in range(later)
    )


def most_displaced(arrived: Sequence[str], expected: Sequence[str]) -> int:
    """By how many places the most displaced of these distinct texts is away from its own."""
    places = {text: place for place, text in enumerate(expected)}
    assert sorted(arrived) == sorted(expected)
    return max(abs(place - places[text]) for place, text in enumerate(arrived))
