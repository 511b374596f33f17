"""A gateway's accounts in memory, in small pages; held to the contract of the real adapter."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, TypeVar

from domain.inbound import FanSeen, MoneyMoved, Subscription
from domain.messages import Outcome
from domain.ports import (
    Account,
    Chat,
    Listed,
    PlatformMessage,
    PlatformRefused,
    PlatformUnavailable,
    Profile,
)

T = TypeVar("T")
ENDS = datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC)


class FakePlatformAccounts:
    """Every account exists, unless `refuses` or `is_away` say otherwise.

    `calls` is what was asked, as (method, account id); `during` runs inside every call."""

    def __init__(
        self, now: Callable[[], datetime] = lambda: datetime.now(UTC), page: int = 3
    ) -> None:
        self.calls: list[tuple[str, str]] = []
        self.keys: list[str | None] = []
        self.is_away = False
        self.refuses: Outcome | None = None
        self.only_after: dict[str, Outcome | type[PlatformUnavailable]] = {}
        self.during: Callable[[], None] | None = None
        self.vault: dict[str, bytes] = {}
        self.read: list[tuple[str, str]] = []
        self.unsent: list[tuple[str, str, str]] = []
        self._now, self._page, self._ids = now, page, 0
        self._fans: dict[str, dict[str, FanSeen]] = {}
        self._chats: dict[tuple[str, str], list[PlatformMessage]] = {}
        self._unread: dict[tuple[str, str], int] = {}
        self._money: dict[str, list[MoneyMoved]] = {}

    # What a test says

    def add_fan(self, account_id: str, platform_user_id: str, username: str) -> FanSeen:
        fan = FanSeen(
            platform_user_id,
            username,
            username,
            subscription=Subscription.ACTIVE,
            subscription_ends_at=ENDS,
        )
        self._fans.setdefault(account_id, {})[platform_user_id] = fan
        return fan

    def add_message(
        self,
        account_id: str,
        platform_user_id: str,
        text: str,
        *,
        from_us: bool = False,
        at: datetime | None = None,
    ) -> PlatformMessage:
        self._ids += 1
        message = PlatformMessage(
            str(4_000_000_000 + self._ids), from_us, text, 0, 0, at or self._now()
        )
        self._chats.setdefault((account_id, platform_user_id), []).append(message)
        if not from_us:
            key = account_id, platform_user_id
            self._unread[key] = self._unread.get(key, 0) + 1
        return message

    def set_unread(self, account_id: str, platform_user_id: str, count: int) -> None:
        self._unread[account_id, platform_user_id] = count

    def add_money(
        self,
        account_id: str,
        platform_user_id: str,
        gross_cents: int,
        *,
        kind: str = "tip",
        at: datetime | None = None,
        status: str = "loading",
    ) -> MoneyMoved:
        self._ids += 1
        fee = gross_cents // 5
        money = MoneyMoved(
            platform_transaction_id=f"t{self._ids}",
            type=kind,
            gross_cents=gross_cents,
            fee_cents=fee,
            net_cents=gross_cents - fee,
            vat_cents=0,
            tax_cents=0,
            currency="USD",
            status=status,
            description=None,
            happened_at=at or self._now(),
            platform_user_id=platform_user_id,
            is_reversed=status == "undo",
        )
        self._money.setdefault(account_id, []).insert(0, money)
        return money

    def reverse(self, account_id: str, money: MoneyMoved) -> None:
        rows = self._money[account_id]
        rows[rows.index(money)] = replace(money, status="undo", is_reversed=True)

    # The port

    def profile(self, account: Account, deadline: timedelta) -> Profile:
        self._call("profile", account)
        name = account.account_id.removeprefix("acct_")
        return Profile("1", name, name.capitalize())

    def chats(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[Chat]:
        self._call("chats", account)
        found = [
            Chat(self._fan(account_id, fan), messages[-1], self._unread.get((account_id, fan), 0))
            for (account_id, fan), messages in self._chats.items()
            if account_id == account.account_id and messages
        ]
        found.sort(key=lambda chat: -int(chat.last_message.id))
        return self._part(found, mark)

    def messages(
        self, account: Account, platform_user_id: str, mark: str | None, deadline: timedelta
    ) -> Listed[PlatformMessage]:
        self._call("messages", account)
        chat = self._chats.get((account.account_id, platform_user_id), [])
        return self._part(list(reversed(chat)), mark)

    def fans(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[FanSeen]:
        self._call("fans", account)
        chats = {fan for account_id, fan in self._chats if account_id == account.account_id}
        known = chats | set(self._fans.get(account.account_id, {}))
        return self._part([self._fan(account.account_id, one) for one in sorted(known)], mark)

    def find_fan(self, account: Account, handle: str, deadline: timedelta) -> FanSeen | None:
        self._call("find_fan", account)
        fans = self._fans.get(account.account_id, {}).values()
        return next((one for one in fans if one.username.lower() == handle.lower()), None)

    def transactions(
        self, account: Account, since: datetime, mark: str | None, deadline: timedelta
    ) -> Listed[MoneyMoved]:
        self._call("transactions", account)
        rows = self._money.get(account.account_id, [])
        return self._part([one for one in rows if one.happened_at >= since], mark)

    def unsend(
        self, account: Account, platform_user_id: str, message_id: str, deadline: timedelta
    ) -> None:
        self._call("unsend", account)
        self.unsent.append((account.account_id, platform_user_id, message_id))
        chat = self._chats.get((account.account_id, platform_user_id), [])
        chat[:] = [one for one in chat if one.id != message_id]

    def mark_read(self, account: Account, platform_user_id: str, deadline: timedelta) -> None:
        self._call("mark_read", account)
        self.read.append((account.account_id, platform_user_id))
        self._unread[account.account_id, platform_user_id] = 0

    def upload(self, account: Account, file: BinaryIO, name: str, deadline: timedelta) -> str:
        self._call("upload", account)
        file.seek(0)
        content = file.read()
        if not content:
            raise PlatformRefused(Outcome.REFUSED, "The platform refused this.")
        self._ids += 1
        self.vault[str(self._ids)] = content
        return str(self._ids)

    def _call(self, method: str, account: Account) -> None:
        self.calls.append((method, account.account_id))
        self.keys.append(account.access_key)
        if self.during is not None:
            self.during()
        if self.is_away or self.only_after.get(method) is PlatformUnavailable:
            raise PlatformUnavailable("scripted")
        refuses = self.refuses or self.only_after.get(method)
        if isinstance(refuses, Outcome):
            raise PlatformRefused(refuses, "The account's session has ended. Connect it again.")

    def _fan(self, account_id: str, platform_user_id: str) -> FanSeen:
        made_up = FanSeen(
            platform_user_id,
            f"fan{platform_user_id}",
            f"fan{platform_user_id}",
            subscription=Subscription.ACTIVE,
            subscription_ends_at=ENDS,
        )
        return self._fans.get(account_id, {}).get(platform_user_id, made_up)

    def _part(self, items: Sequence[T], mark: str | None) -> Listed[T]:
        start = int(mark or 0)
        end = start + self._page
        return Listed(items[start:end], str(end) if end < len(items) else None)
