"""The load: callers that do what users, programs and fans do, and remember what they were told."""

import csv
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random
from threading import Event
from typing import Any
from uuid import uuid4

import httpx2
from system import Account

from drill.operator import Operator
from drill.stand import Stand

SENDERS = 5
# An answer that did not come is asked for again, as often as a patient program would.
TRIES = 12
HEADER = ("Username", "Display Name", "Email", "Subscription Tier", "Total Spent", "Last Seen")


@dataclass
class Told:
    """A request, under a name that no other has, and all that its caller was told of it."""

    kind: str
    name: str
    size: int = 1
    ids: set[str] = field(default_factory=set)
    refusals: list[int] = field(default_factory=list)
    unclear: int = 0
    asked: int = 0


class Caller:
    """One program at the far end of the network."""

    def __init__(self, address: str, token: str, dice: Random, over: Event) -> None:
        self._http = httpx2.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {token}"},
            timeout=8,
            trust_env=False,
        )
        self.dice, self.over = dice, over

    def close(self) -> None:
        self._http.close()

    def rest(self, least: float, most: float) -> None:
        self.over.wait(self.dice.uniform(least, most))

    def request(self, method: str, path: str, **more: Any) -> httpx2.Response | None:
        """None when nobody knows what became of it."""
        try:
            answer = self._http.request(method, path, **more)
        except httpx2.TransportError:
            return None
        return None if answer.status_code >= 500 else answer

    def insist(self, told: Told, path: str, id_name: str, **more: Any) -> str | None:
        """Ask with one key until the answer is clear, seldom giving up before, sometimes asking
        once more after."""
        headers = {"Idempotency-Key": uuid4().hex, **more.pop("headers", {})}
        for _ in range(TRIES):
            told.asked += 1
            answer = self.request("POST", path, headers=headers, **more)
            if answer is None or answer.status_code == 409:  # its twin is still at work
                told.unclear += 1
                if self.over.is_set() or self.dice.random() < 0.1:
                    break
                self.rest(0.3, 1)
            elif answer.status_code in {200, 202}:
                told.ids.add(str(answer.json()[id_name]))
                if self.dice.random() > 0.15:
                    break
            else:
                told.refusals.append(answer.status_code)
                break
        return next(iter(told.ids), None)


Work = Callable[[Caller, str], None]


class Load:
    """All callers; `told` is what they know at the end."""

    def __init__(
        self, stand: Stand, accounts: Sequence[Account], seed: int, operator: Operator
    ) -> None:
        self._stand, self._accounts, self._seed = stand, accounts, seed
        self._operator = operator
        self._token = stand.login()
        self._over = Event()
        self._threads = ThreadPoolExecutor(SENDERS + 4)
        self._running: list[Future[None]] = []
        self.told: list[Told] = []

    def start(self) -> None:
        works: list[Work] = [self._send] * SENDERS
        works += [self._campaign, self._import, self._be_fans, self._operate]
        for number, work in enumerate(works):
            caller = Caller(
                self._stand.proxies["web"].url,
                self._token,
                Random(f"{self._seed} {number}"),
                self._over,
            )
            self._running.append(self._threads.submit(self._forever, work, caller, number))

    def stop(self) -> None:
        """Raises what a caller stumbled over."""
        self._over.set()
        self._threads.shutdown()
        for one in self._running:
            one.result()

    def _forever(self, work: Work, caller: Caller, number: int) -> None:
        with closing(caller):
            for turn in count(1):
                if self._over.is_set():
                    return
                work(caller, f"{number}-{turn}")

    def _asked(self, kind: str, name: str, size: int = 1) -> Told:
        told = Told(kind, name, size)
        self.told.append(told)
        return told

    def _send(self, caller: Caller, name: str) -> None:
        dice = caller.dice
        account = dice.choice(self._accounts)
        told = self._asked("message", f"Direct {name}")
        body: dict[str, object] = {
            "recipientId": dice.choice(account.fans),
            "content": told.name,
        }
        if dice.random() < 0.3:
            body["priority"] = dice.randint(1, 10)
        caller.insist(told, "/api/onlyfans/messages/send", "messageId", json=body)
        caller.rest(0.1, 0.6)

    def _campaign(self, caller: Caller, name: str) -> None:
        """Started, and then paused and resumed, or cancelled."""
        dice = caller.dice
        fans = dice.choice(self._accounts).fans
        chosen = dice.sample(fans, dice.randint(10, len(fans)))
        told = self._asked("campaign", f"Campaign {name}", len(chosen))
        body = {"recipientIds": chosen, "content": told.name, "campaignName": told.name}
        campaign_id = caller.insist(told, "/api/messages/bulk", "campaignId", json=body)
        for _ in range(dice.randint(0, 3)) if campaign_id else ():
            path = f"/api/messages/bulk/{campaign_id}/status"
            caller.rest(0.2, 1.5)
            caller.request("PUT", path, json={"status": "paused"})
            caller.rest(0.2, 1.5)
            status = "cancelled" if dice.random() < 0.1 else "active"
            caller.request("PUT", path, json={"status": status})
        caller.rest(2, 6)

    def _import(self, caller: Caller, name: str) -> None:
        told = self._asked("import", f"import-{name}", caller.dice.randint(50, 1500))
        caller.insist(
            told,
            "/api/onlyfans/import/csv",
            "importId",
            files={"file": (f"{told.name}.csv", file_of(told), "text/csv")},
            headers={"Prefer": f"wait={caller.dice.choice([1, 5])}"},
        )
        caller.rest(2, 6)

    def _be_fans(self, caller: Caller, name: str) -> None:
        """Fans write and tip; the platform tells of it twice, and in any order."""
        dice = caller.dice
        account = dice.choice(self._accounts)
        who = {"account": account.account_id, "chat": dice.choice(account.chats)}
        with suppress(httpx2.TransportError):
            # A restarted simulator has forgotten how.
            self._stand.platform("POST", "webhooks", {"duplicate": 1, "shuffleSeconds": 2})
            if dice.random() < 0.2:
                self._stand.platform("POST", "tips", {**who, "amount": dice.randint(5, 50)})
            else:
                self._stand.platform("POST", "inbound", {**who, "text": f"Inbound {name}"})
        caller.rest(0.2, 0.8)

    def _operate(self, caller: Caller, _name: str) -> None:
        caller.rest(2, 4)
        self._operator.resume_accounts()


def file_of(told: Told) -> bytes:
    """A CSV file of fans whose handles begin with the import's name."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    stem = told.name.replace("-", "_")
    for number in range(told.size):
        writer.writerow((f"{stem}x{number}", f"Fan {number}", "", "Basic", "$1.00", "2025-11-01"))
    return text.getvalue().encode()
