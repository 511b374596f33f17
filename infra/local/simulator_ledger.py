"""What the simulated platform has accepted, and the answers it keeps under idempotency keys.

With a file, every answer is one line written before it is given, so a killed simulator forgets
nothing that anybody was told.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import Any

KEY_SECONDS = 24 * 3600
CANCEL_SECONDS = 24 * 3600
FIRST_ID = 4_000_000_001

# Wall-clock time that never steps: spacing is measured with it.
_ANCHOR = time() - monotonic()


def clock() -> float:
    """Seconds since 1970, from the monotonic clock."""
    return _ANCHOR + monotonic()


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Delivery:
    """One message in a chat; `received_at` is when its request's headers had arrived."""

    id: int
    account: str
    chat: str
    text: str
    price: float
    media: tuple[str, ...]
    key: str | None
    received_at: float
    from_us: bool = True
    replays: int = 0
    deleted_at: float | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "id": str(self.id),
            "account": self.account,
            "chat": self.chat,
            "text": self.text,
            "price": self.price,
            "media": self.media,
            "key": self.key,
            "receivedAt": iso(self.received_at),
            "receivedMs": round(self.received_at * 1000, 3),
            "replays": self.replays,
            "deletedAt": None if self.deleted_at is None else iso(self.deleted_at),
        }


@dataclass(frozen=True)
class Scope:
    """Where a key counts: one account's send endpoint."""

    account: str
    key: str


@dataclass(frozen=True)
class Stored:
    """The first answer under a key; without a status the call still runs."""

    fingerprint: str
    at: float
    status: int | None = None
    body: str = ""
    message_id: int | None = None


class KeyState(Enum):
    """What a key says of a call that carries it."""

    FIRST = auto()
    RUNNING = auto()
    MISMATCH = auto()
    ANSWERED = auto()


class Ledger:
    """Messages and keys, in memory and in an append-only file of JSON lines."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = Lock()
        self._messages: dict[int, Delivery] = {}
        self._chats: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._keys: dict[Scope, Stored] = {}
        self._last_at: dict[str, float] = {}
        self._next_id = FIRST_ID
        # What others wrote into the same file, for them to read.
        self.notes: list[Mapping[str, Any]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            for line in _lines(path):
                self._load(json.loads(line))
        self._file = path.open("a", encoding="utf-8") if path else None

    def open_key(self, scope: Scope, fingerprint: str, at: float) -> tuple[KeyState, Stored | None]:
        """Start a call under a key, unless it runs already, has an answer or is another call's."""
        with self._lock:
            stored = self._keys.get(scope)
            if stored is None or stored.at < at - KEY_SECONDS:
                self._keys[scope] = Stored(fingerprint, at)
                return KeyState.FIRST, None
            if stored.fingerprint != fingerprint:
                return KeyState.MISMATCH, None
            if stored.status is None:
                return KeyState.RUNNING, None
            message = self._messages.get(stored.message_id or 0)
            if message is not None:
                self._messages[message.id] = replace(message, replays=message.replays + 1)
                self._write({"replay": message.id})
            return KeyState.ANSWERED, stored

    def close_key(
        self,
        scope: Scope | None,
        status: int | None = None,
        body: str = "",
        message: Delivery | None = None,
    ) -> None:
        """End a call: keep the message it delivered, and its answer under its key. Without a
        status there is no answer to keep, and the key is free again."""
        with self._lock:
            record: dict[str, Any] = {}
            if message is not None:
                self._keep(message)
                record["message"] = asdict(message)
            if scope is not None:
                running = self._keys.pop(scope)
                if status is not None:
                    stored = replace(
                        running,
                        status=status,
                        body=body,
                        message_id=message.id if message else None,
                    )
                    self._keys[scope] = stored
                    record["key"] = asdict(scope) | asdict(stored)
            if record:
                self._write(record)

    def note(self, record: Mapping[str, object]) -> None:
        """Keep a line of somebody else's in the file."""
        with self._lock:
            self._write({"note": record})

    def new_id(self) -> int:
        with self._lock:
            self._next_id += 1
            return self._next_id - 1

    def too_soon(self, account: str, at: float, seconds: float) -> bool:
        """Whether the account's last message is less than `seconds` old; if not, this is it."""
        with self._lock:
            if at - self._last_at.get(account, float("-inf")) < seconds:
                return True
            self._last_at[account] = at
            return False

    def add_inbound(
        self, account: str, chat: str, text: str, at: float, media: tuple[str, ...] = ()
    ) -> Delivery:
        """A message the fan wrote."""
        message = Delivery(self.new_id(), account, chat, text, 0, media, None, at, from_us=False)
        self.close_key(None, message=message)
        return message

    def delete(self, account: str, chat: str, message_id: int, at: float) -> bool:
        """Unsend one of our messages; False when it is not there or older than a day."""
        with self._lock:
            message = self._messages.get(message_id)
            if (
                message is None
                or (message.account, message.chat) != (account, chat)
                or message.deleted_at is not None
                or message.received_at < at - CANCEL_SECONDS
            ):
                return False
            self._messages[message_id] = replace(message, deleted_at=at)
            self._write({"delete": message_id, "at": at})
            return True

    def find(self, account: str, message_id: int) -> Delivery | None:
        """A message of the account that was not deleted."""
        with self._lock:
            found = self._messages.get(message_id)
        return found if found and found.account == account and not found.deleted_at else None

    def chat(self, account: str, chat: str) -> list[Delivery]:
        """What the chat shows, oldest first."""
        with self._lock:
            messages = [self._messages[number] for number in self._chats.get((account, chat), ())]
        return [message for message in messages if message.deleted_at is None]

    def chats(self, account: str) -> list[tuple[str, Delivery]]:
        """The account's chats with their last message, the most recent first."""
        with self._lock:
            shown = [
                (chat, [self._messages[number] for number in numbers])
                for (owner, chat), numbers in self._chats.items()
                if owner == account
            ]
        left = [(chat, [one for one in all_ if not one.deleted_at]) for chat, all_ in shown]
        last = [(chat, messages[-1]) for chat, messages in left if messages]
        return sorted(last, key=lambda entry: -entry[1].id)

    def deliveries(self, account: str | None = None) -> Sequence[Delivery]:
        """All that was accepted from us, in the order of arrival."""
        with self._lock:
            messages = list(self._messages.values())
        mine = [m for m in messages if m.from_us and account in (None, m.account)]
        return sorted(mine, key=lambda message: message.received_at)

    def clear(self) -> None:
        """Forget messages and answered keys; ids go on, and running calls keep theirs."""
        with self._lock:
            self._messages.clear()
            self._chats.clear()
            self._last_at.clear()
            self._keys = {s: k for s, k in self._keys.items() if k.status is None}
            if self._file is not None:
                self._file.truncate(0)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _keep(self, message: Delivery) -> None:
        self._messages[message.id] = message
        self._chats[message.account, message.chat].append(message.id)
        self._next_id = max(self._next_id, message.id + 1)

    def _write(self, record: Mapping[str, object]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()

    def _load(self, record: Mapping[str, Any]) -> None:
        if "note" in record:
            self.notes.append(record["note"])
        if "message" in record:
            fields = record["message"]
            self._keep(Delivery(**{**fields, "media": tuple(fields["media"])}))
        if "key" in record:
            fields = dict(record["key"])
            scope = Scope(fields.pop("account"), fields.pop("key"))
            self._keys[scope] = Stored(**fields)
        if "replay" in record:
            message = self._messages[record["replay"]]
            self._messages[message.id] = replace(message, replays=message.replays + 1)
        if "delete" in record:
            message = self._messages[record["delete"]]
            self._messages[message.id] = replace(message, deleted_at=record["at"])


def _lines(path: Path) -> Iterator[str]:
    """The file's complete lines; a line torn by a kill was never answered and is cut off."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    yield from content[:whole].decode().splitlines()
