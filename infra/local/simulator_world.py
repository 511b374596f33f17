"""Who and what the simulated platform knows besides messages: fans, reads, sales, money, media.

Every change is one line in the ledger's file before it is told, so it survives a kill."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from threading import RLock
from typing import Any, TypeVar

from infra.local.demo_people import ACCOUNTS, people
from infra.local.simulator_ledger import Ledger, clock

MONTH = 30 * 24 * 3600.0
# Fans that nobody described are ordinary subscribers, far from the end of their time.
SINCE, UNTIL = 1_700_000_000.0, 4_000_000_000.0
FEE = 0.2


@dataclass(frozen=True)
class SimFan:
    """A fan of one account; instants are seconds since 1970."""

    account: str
    id: str
    username: str
    name: str
    last_seen: float | None = None
    subscribed_at: float = SINCE
    expires_at: float = UNTIL
    price: float = 9.99


@dataclass(frozen=True)
class SimMoney:
    """A transaction, in dollars as on the wire; `kind` is message, tip or subscription."""

    account: str
    id: str
    fan: str
    kind: str
    amount: float
    at: float
    status: str = "loading"

    @property
    def fee(self) -> float:
        return round(self.amount * FEE, 2)

    @property
    def net(self) -> float:
        return round(self.amount - self.fee, 2)


@dataclass(frozen=True)
class SimMedia:
    """A file: in the vault, or uploaded for one message."""

    account: str
    id: str
    type: str
    bytes: int
    is_vault: bool
    is_used: bool = False


T = TypeVar("T", SimFan, SimMoney, SimMedia)


class World:
    """Thread-safe; `has_demo` peoples the demo's accounts."""

    def __init__(self, ledger: Ledger, *, has_demo: bool = False) -> None:
        self._ledger = ledger
        self._lock = RLock()
        self._demo = _demo_fans() if has_demo else {}
        self.clear()
        for note in ledger.notes:
            self._load(note)

    def clear(self) -> None:
        """Forget everything but the demo's fans."""
        with self._lock:
            self._fans: dict[tuple[str, str], SimFan] = dict(self._demo)
            self._read: dict[tuple[str, str], int] = {}
            self._money: dict[tuple[str, str], SimMoney] = {}
            self._media: dict[tuple[str, str], SimMedia] = {}
            self._opened: set[int] = set()
            self._bought: set[int] = set()
            self._ended: set[str] = set()

    # Fans

    def fan(self, account: str, chat: str) -> SimFan:
        """The fan with this id, made up if nobody described one."""
        with self._lock:
            made_up = SimFan(account, chat, f"fan{chat}", f"fan{chat}")
            return self._fans.get((account, chat), made_up)

    def fans(self, account: str) -> list[SimFan]:
        """Everybody who subscribes, did, or is in a chat; the newest first."""
        with self._lock:
            chats = {(account, chat) for chat, _ in self._ledger.chats(account)}
            known = chats | {key for key in self._fans if key[0] == account}
            found = [self.fan(*key) for key in known]
        return sorted(found, key=lambda one: (-one.subscribed_at, one.id))

    def keep_fan(self, fan: SimFan) -> SimFan:
        return self._keep("fan", fan)

    # Chats

    def unread(self, account: str, chat: str) -> int:
        """How many of the fan's messages the creator has not read."""
        with self._lock:
            read = self._read.get((account, chat), 0)
        return sum(not m.from_us and m.id > read for m in self._ledger.chat(account, chat))

    def mark_read(self, account: str, chat: str) -> None:
        last = max((message.id for message in self._ledger.chat(account, chat)), default=0)
        self._tell({"read": [account, chat, last]})

    def open(self, message_id: int) -> None:
        self._tell({"opened": message_id})

    def buy(self, message_id: int) -> None:
        self._tell({"bought": message_id})

    def is_opened(self, message_id: int) -> bool:
        with self._lock:
            return message_id in self._opened

    def is_bought(self, message_id: int) -> bool:
        with self._lock:
            return message_id in self._bought

    # Money

    def pay(self, account: str, fan: str, kind: str, amount: float) -> SimMoney:
        number = f"{account}/{fan}/{kind}/{self._ledger.new_id()}"
        name = hashlib.md5(number.encode(), usedforsecurity=False).hexdigest()
        return self._keep("money", SimMoney(account, name, fan, kind, amount, clock()))

    def change_money(self, account: str, number: str, status: str) -> SimMoney | None:
        with self._lock:
            found = self._money.get((account, number))
        return self._keep("money", replace(found, status=status)) if found else None

    def money(self, account: str) -> list[SimMoney]:
        """The account's transactions, newest first."""
        with self._lock:
            mine = [one for one in self._money.values() if one.account == account]
        return sorted(mine, key=lambda one: (-one.at, one.id))

    # Media

    def keep_media(self, account: str, kind: str, size: int, *, is_vault: bool) -> SimMedia:
        number = str(self._ledger.new_id())
        name = number if is_vault else f"ofapi_media_{number}"
        return self._keep("media", SimMedia(account, name, kind, size, is_vault))

    def media(self, account: str) -> list[SimMedia]:
        with self._lock:
            return [one for one in self._media.values() if one.account == account]

    def use_media(self, account: str, ids: tuple[str, ...]) -> list[str]:
        """Attach files to a message: the ids that cannot be used, or none and they are used."""
        with self._lock:
            found = {one: self._media.get((account, one)) for one in ids}
            bad = [one for one, file in found.items() if file is None or file.is_used]
            if not bad:
                for file in found.values():
                    if file is not None and not file.is_vault:
                        self._keep("media", replace(file, is_used=True))
            return bad

    # Sessions

    def end_session(self, account: str) -> None:
        self._tell({"ended": account})

    def restore_session(self, account: str) -> None:
        self._tell({"restored": account})

    def is_ended(self, account: str) -> bool:
        with self._lock:
            return account in self._ended

    def _keep(self, kind: str, thing: T) -> T:
        self._tell({kind: asdict(thing)})
        return thing

    def _tell(self, note: Mapping[str, Any]) -> None:
        with self._lock:
            self._ledger.note(note)
            self._load(note)

    def _load(self, note: Mapping[str, Any]) -> None:
        [(kind, value)] = note.items()
        if kind == "fan":
            self._fans[value["account"], value["id"]] = SimFan(**value)
        elif kind == "money":
            self._money[value["account"], value["id"]] = SimMoney(**value)
        elif kind == "media":
            self._media[value["account"], value["id"]] = SimMedia(**value)
        elif kind == "read":
            self._read[value[0], value[1]] = value[2]
        elif kind == "ended":
            self._ended.add(value)
        elif kind == "restored":
            self._ended.discard(value)
        else:
            {"opened": self._opened, "bought": self._bought}[kind].add(value)


def _demo_fans() -> dict[tuple[str, str], SimFan]:
    """The people of the demo data; every fifth has let the subscription run out."""
    now, made = clock(), {}
    for one in people():
        _, account = ACCOUNTS[one.account]
        seen = now - one.hours_since_seen * 3600
        expires = now - 24 * 3600.0 * one.number if one.number % 5 == 0 else now + MONTH
        made[account, one.platform_user_id] = SimFan(
            account=account,
            id=one.platform_user_id,
            username=one.username,
            name=one.name,
            last_seen=seen,
            subscribed_at=min(seen, expires - MONTH),
            expires_at=expires,
        )
    return made
