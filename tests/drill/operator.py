"""What a person does when the faults are over: resume what was paused, decide what stayed unclear;
and the wait until nothing is left to do."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx2
from system import Account

from drill.stand import Stand

# Longer than any lease, grace or breaker of the fast settings: what does not move then is stuck.
STILL_SECONDS = 180.0
RESUMED = ("paused_auth", "paused_quota")


class Operator:
    """Clicks as somebody of the team would."""

    def __init__(self, stand: Stand, accounts: Sequence[Account]) -> None:
        self._stand = stand
        self._ids = [account.id for account in accounts]
        self.clicks: Counter[str] = Counter()

    def _click(self, what: str, method: str, path: str, body: object = None) -> None:
        with suppress(httpx2.TransportError):
            if self._stand.api(method, path, body).status_code < 300:
                self.clicks[what] += 1

    def resume_accounts(self) -> None:
        for row in self._stand.sql(
            "SELECT id FROM platform_connections WHERE id = ANY(%s) AND state = ANY(%s)",
            *(self._ids, list(RESUMED)),
        ):
            self._click("resumed account", "POST", f"/api/connections/{row['id']}/resume")

    def resume_campaigns(self) -> None:
        for row in self._stand.sql(
            "SELECT public_id FROM campaigns"
            " WHERE starts_with(name, 'Campaign ') AND status = 'paused'"
        ):
            path = f"/api/messages/bulk/{row['public_id']}/status"
            self._click("resumed campaign", "PUT", path, {"status": "active"})

    def synchronise(self) -> None:
        """What the platform tried to tell while nobody listened."""
        for number in self._ids:
            self._click("synchronised", "POST", f"/api/connections/{number}/sync")

    def retry_unavailable(self) -> None:
        """The one click that the product asks for after an outage of SQS."""
        for row in self._stand.sql(
            "SELECT public_id FROM messages WHERE connection_id = ANY(%s) AND state = 'failed'"
            " AND error_code = 'queue_unavailable'",
            self._ids,
        ):
            path = f"/api/onlyfans/messages/{row['public_id']}/retry"
            self._click("retried message", "POST", path)

    def decide(self) -> None:
        """Look at the platform for each message that was left to a person."""
        held = self._stand.sql(
            "SELECT m.public_id, m.text, c.account_id, f.platform_user_id FROM messages m"
            " JOIN platform_connections c ON c.id = m.connection_id JOIN fans f ON f.id = m.fan_id"
            " WHERE c.id = ANY(%s) AND m.state = 'unknown' AND m.wake_after IS NULL",
            self._ids,
        )
        there = {(one["account"], one["chat"], one["text"]) for one in self._stand.accepted()}
        for row in held:
            is_there = (row["account_id"], row["platform_user_id"], row["text"]) in there
            button = "confirm" if is_there else "retry"
            path = f"/api/onlyfans/messages/{row['public_id']}/{button}"
            self._click(f"{button} by a person", "POST", path)

    def left(self) -> dict[str, int]:
        """What is not at its end, by kind and state."""
        found = {}
        for kind, query in OPEN_ENDS.items():
            for row in self._stand.sql(query, *([self._ids] if "%s" in query else [])):
                found[f"{kind} {row['state']}"] = int(row["n"])
        return found

    def drain(self, missing: Callable[[], int], say: Callable[[str], None]) -> dict[str, int]:
        """Wait until nothing is left; returns what did not move any more."""
        self.retry_unavailable()
        self.synchronise()
        before: dict[str, int] | None = None
        since = time.monotonic()
        while True:
            self.resume_accounts()
            self.resume_campaigns()
            self.decide()
            left = self.left() | ({"inbound missing": gone} if (gone := missing()) else {})
            if not left:
                return left
            if left != before:
                before, since = left, time.monotonic()
                say(f"left: {left}")
            if time.monotonic() - since > STILL_SECONDS:
                return left
            time.sleep(1)


OPEN_ENDS = {
    "message": "SELECT state, count(*) AS n FROM messages WHERE connection_id = ANY(%s)"
    " AND state IN ('queued', 'sending', 'unknown') GROUP BY state",
    "campaign": "SELECT status AS state, count(*) AS n FROM campaigns"
    " WHERE starts_with(name, 'Campaign ')"
    " AND status NOT IN ('completed', 'cancelled', 'failed') GROUP BY status",
    "import": "SELECT state, count(*) AS n FROM imports"
    " WHERE state IN ('pending', 'running', 'undoing') GROUP BY state",
    "platform event": "SELECT 'unhandled' AS state, count(*) AS n FROM platform_events"
    " WHERE handled_at IS NULL HAVING count(*) > 0",
}
