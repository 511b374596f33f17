"""The simulated platform's webhooks: signed, at least once, in no promised order.

One thread of its own delivers; a queue that is full drops the oldest, as a platform that gives up.
"""

import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from random import Random
from threading import Condition, Event, Thread
from time import monotonic
from urllib.parse import urlsplit

from infra.local.simulator_ledger import clock, iso

CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 10.0
ATTEMPTS = 3
QUEUE_MAX, LOG_MAX = 10_000, 1000
USER_AGENT = "OnlyFansAPI.com/Webhook-Client"


@dataclass
class Rules:
    """How deliveries go wrong; a test or a person sets them by name."""

    duplicate: int = 0  # more copies of each, under the same key
    shuffle_seconds: float = 0  # each waits a random time up to this
    drop: int = 0  # how many of the next are never delivered
    delay_seconds: float = 0
    bad_signature: int = 0  # how many of the next are signed wrongly
    backoff_seconds: float = 1.0  # before the second try; doubles


FIELDS = {
    "duplicate": "duplicate",
    "shuffleSeconds": "shuffle_seconds",
    "drop": "drop",
    "delaySeconds": "delay_seconds",
    "badSignature": "bad_signature",
    "backoffSeconds": "backoff_seconds",
}


@dataclass
class Sent:
    """One event's way: what the log shows."""

    event: str
    account: str
    key: str | None
    at: float
    attempts: int = 0
    statuses: list[int | str] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def as_json(self) -> dict[str, object]:
        return {
            "event": self.event,
            "accountId": self.account,
            "key": self.key,
            "at": iso(self.at),
            "attempts": self.attempts,
            "statuses": self.statuses,
            "status": self.statuses[-1] if self.statuses else None,
        }


@dataclass(frozen=True)
class _Due:
    sent: Sent
    body: bytes
    signature: str | None
    tries: int = 1
    # A copy is made once, and is no news to whoever waits for the first.
    is_copy: bool = False


class Webhooks:
    """Where the platform tells what happened; without a URL it only logs."""

    def __init__(self, url: str | None = None, secret: str | None = None) -> None:
        self.url, self.secret, self.rules = url, secret, Rules()
        self._log: deque[Sent] = deque(maxlen=LOG_MAX)
        self._due: list[tuple[float, int, _Due]] = []
        self._numbers = count()
        self._changed = Condition()
        self._dice = Random(5)
        self._stopped = False
        self._thread: Thread | None = None

    def emit(
        self,
        account: str,
        event: str,
        payload: object,
        *,
        after: float = 0,
        is_ephemeral: bool = False,
    ) -> Sent:
        """Tell of an event, `after` seconds from now; an ephemeral one has no key."""
        body = json.dumps({"event": event, "account_id": account, "payload": payload}).encode()
        key = None if is_ephemeral else f"evt_{secrets.token_hex(20)}"
        sent = Sent(event, account, key, clock())
        with self._changed:
            self._log.append(sent)
            if self.url is None or self._stopped:
                sent.over.set()
                return sent
            if self.rules.drop > 0:
                self.rules.drop -= 1
                sent.statuses.append("dropped")
                sent.over.set()
                return sent
            due = _Due(sent, body, self._sign(body))
            for copy in range(1 + self.rules.duplicate):
                self._put(_Due(due.sent, due.body, due.signature, 1, copy > 0), self._wait(after))
            self._start()
        return sent

    def log(self) -> list[dict[str, object]]:
        with self._changed:
            return [sent.as_json() for sent in self._log]

    def change(self, fields: Mapping[str, object]) -> str | None:
        """Set rules, the URL or the secret; returns what is wrong with the fields."""
        for name, value in fields.items():
            good = (
                isinstance(value, str | None)
                if name in {"url", "secret"}
                else (name in FIELDS and isinstance(value, int | float) and value >= 0)
            )
            if not good:
                return f"{name} is unknown, or its value is not possible"
        with self._changed:
            for name, value in fields.items():
                if name in FIELDS:
                    setattr(self.rules, FIELDS[name], value)
                else:
                    setattr(self, name, value or None)
        return None

    def as_json(self) -> dict[str, object]:
        rules = {name: getattr(self.rules, attribute) for name, attribute in FIELDS.items()}
        with self._changed:
            return {"url": self.url, **rules, "waiting": len(self._due), "log": self.log_lines()}

    def log_lines(self) -> list[dict[str, object]]:
        return [sent.as_json() for sent in self._log]

    def clear(self) -> None:
        """Forget what waits, the log and the rules."""
        with self._changed:
            for _, _, due in self._due:
                due.sent.over.set()
            self._due.clear()
            self._log.clear()
            self.rules = Rules()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(TOTAL_SECONDS + CONNECT_SECONDS)

    def _wait(self, after: float) -> float:
        shuffled = self._dice.uniform(0, self.rules.shuffle_seconds)
        return after + self.rules.delay_seconds + shuffled

    def _sign(self, body: bytes) -> str | None:
        if self.secret is None:
            return None
        if self.rules.bad_signature > 0:
            self.rules.bad_signature -= 1
            return "0" * 64
        return hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()

    def _put(self, due: _Due, wait: float) -> None:
        if len(self._due) >= QUEUE_MAX:
            heappop(self._due)[2].sent.over.set()
        heappush(self._due, (monotonic() + wait, next(self._numbers), due))
        self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._deliver_forever, name="webhooks", daemon=True)
            self._thread.start()

    def _deliver_forever(self) -> None:
        while (due := self._next()) is not None:
            status = self._post(due)
            with self._changed:
                due.sent.attempts += 1
                due.sent.statuses.append(status)
                is_good = isinstance(status, int) and 200 <= status < 300
                if not is_good and due.tries < ATTEMPTS:
                    again = _Due(due.sent, due.body, due.signature, due.tries + 1, due.is_copy)
                    self._put(again, self.rules.backoff_seconds * 2 ** (due.tries - 1))
                    continue
            due.sent.over.set()

    def _next(self) -> _Due | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heappop(self._due)[2]
                self._changed.wait(wait)
        return None

    def _post(self, due: _Due) -> int | str:
        """The answer's status, or the name of what went wrong."""
        target = urlsplit(self.url or "")
        kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
        connection = kind(target.hostname or "", target.port, timeout=CONNECT_SECONDS)
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if due.sent.key is not None:
            headers["X-OFAPI-Idempotency-Key"] = due.sent.key
        if due.signature is not None:
            headers["Signature"] = due.signature
        try:
            connection.connect()
            connection.sock.settimeout(TOTAL_SECONDS)
            connection.request("POST", target.path or "/", due.body, headers)
            response = connection.getresponse()
            response.read(1024)
            return response.status
        except (OSError, HTTPException) as problem:
            return type(problem).__name__
        finally:
            connection.close()
