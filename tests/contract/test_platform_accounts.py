"""What every PlatformAccounts does: one suite on the fake, and on the adapter and the simulator."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from pydantic import SecretStr

from domain.inbound import Subscription
from domain.messages import Outcome
from domain.ports import Account, PlatformAccounts, PlatformRefused, PlatformUnavailable
from infra.local.simulator import Simulator
from infra.local.simulator_ledger import Delivery, clock
from infra.local.simulator_world import SimFan
from infra.platform.ofapi_accounts import OfapiAccounts
from tests.fakes.platform_accounts import FakePlatformAccounts

ACCOUNT = Account("acct_luna", "secret")
DEADLINE = timedelta(seconds=10)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAULTS = {
    "dead_session": Outcome.AUTH_LOST,
    "payment_required": Outcome.QUOTA_EXHAUSTED,
    "rate_limit": Outcome.RATE_LIMITED,
    "refuse_422": Outcome.REFUSED,
}


class World(Protocol):
    """Accounts and the strings a test may pull."""

    accounts: PlatformAccounts

    def hear(self, fan: str, text: str) -> None: ...

    def say(self, fan: str, text: str) -> str: ...

    def know(self, fan: str, username: str) -> None: ...

    def tip(self, fan: str, cents: int) -> None: ...

    def refund_all(self) -> None: ...

    def refuse(self, kind: str) -> None: ...

    def go_away(self) -> None: ...

    def in_vault(self) -> list[int]: ...


class FakeWorld:
    def __init__(self) -> None:
        self.accounts = FakePlatformAccounts()
        self._money = []

    def hear(self, fan: str, text: str) -> None:
        self.accounts.add_message(ACCOUNT.account_id, fan, text)

    def say(self, fan: str, text: str) -> str:
        return self.accounts.add_message(ACCOUNT.account_id, fan, text, from_us=True).id

    def know(self, fan: str, username: str) -> None:
        self.accounts.add_fan(ACCOUNT.account_id, fan, username)

    def tip(self, fan: str, cents: int) -> None:
        self._money.append(self.accounts.add_money(ACCOUNT.account_id, fan, cents))

    def refund_all(self) -> None:
        for money in self._money:
            self.accounts.reverse(ACCOUNT.account_id, money)

    def refuse(self, kind: str) -> None:
        self.accounts.refuses = FAULTS[kind]

    def go_away(self) -> None:
        self.accounts.is_away = True

    def in_vault(self) -> list[int]:
        return [len(content) for content in self.accounts.vault.values()]


class SimulatedWorld:
    def __init__(self, simulator: Simulator) -> None:
        self._state = simulator.state
        self.accounts = OfapiAccounts(simulator.api_url, SecretStr(""), max_connections=4)

    def hear(self, fan: str, text: str) -> None:
        self._state.hear(ACCOUNT.account_id, fan, text)

    def say(self, fan: str, text: str) -> str:
        ledger = self._state.ledger
        number = ledger.new_id()
        message = Delivery(number, ACCOUNT.account_id, fan, text, 0, (), None, clock())
        ledger.close_key(None, message=message)
        return str(number)

    def know(self, fan: str, username: str) -> None:
        self._state.world.keep_fan(SimFan(ACCOUNT.account_id, fan, username, username))

    def tip(self, fan: str, cents: int) -> None:
        self._state.world.pay(ACCOUNT.account_id, fan, "tip", cents / 100)

    def refund_all(self) -> None:
        for money in self._state.world.money(ACCOUNT.account_id):
            self._state.world.change_money(ACCOUNT.account_id, money.id, "undo")

    def refuse(self, kind: str) -> None:
        for on in ("read", "write"):
            self._state.faults.add({"kind": kind, "on": on})

    def go_away(self) -> None:
        for on in ("read", "write"):
            self._state.faults.add({"kind": "html_502_before", "on": on})

    def in_vault(self) -> list[int]:
        return [one.bytes for one in self._state.world.media(ACCOUNT.account_id)]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture(params=["fake", "ofapi"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    simulator = request.getfixturevalue("simulator")
    simulator.state.faults.clear()
    simulator.state.ledger.clear()
    simulator.state.world.clear()
    simulated = SimulatedWorld(simulator)
    yield simulated
    simulated.accounts.close()


def everything(part):
    """All items of a list, following its marks."""
    mark, found = None, []
    while True:
        page = part(mark)
        found += page.items
        if page.next_mark is None:
            return found
        mark = page.next_mark


def test_the_profile_says_whose_account_it_is(world):
    profile = world.accounts.profile(ACCOUNT, DEADLINE)

    assert (profile.username, profile.name) == ("luna", "Luna")
    assert profile.platform_user_id.isdecimal()


def test_chats_come_the_most_active_first_with_their_last_message_and_what_is_unread(world):
    world.hear("41", "old")
    world.hear("42", "one")
    world.hear("42", "two <b>&amp;")
    world.say("43", "ours")

    chats = everything(lambda mark: world.accounts.chats(ACCOUNT, mark, DEADLINE))

    shown = [(c.fan.platform_user_id, c.last_message.text, c.last_message.from_us) for c in chats]
    assert shown == [("43", "ours", True), ("42", "two <b>&amp;", False), ("41", "old", False)]
    assert [chat.unread_count for chat in chats] == [0, 2, 1]


def test_every_chat_is_on_some_page_once(world):
    for fan in range(100, 160):
        world.hear(str(fan), "hello")

    chats = everything(lambda mark: world.accounts.chats(ACCOUNT, mark, DEADLINE))

    ids = [chat.fan.platform_user_id for chat in chats]
    assert sorted(ids) == [str(fan) for fan in range(100, 160)]


def test_a_chats_messages_come_newest_first_page_by_page(world):
    for number in range(60):
        world.hear("42", f"n{number}")

    messages = everything(lambda mark: world.accounts.messages(ACCOUNT, "42", mark, DEADLINE))

    assert [m.text for m in messages] == [f"n{number}" for number in reversed(range(60))]


def test_every_fan_is_listed_once_although_pages_are_shorter_than_asked_for(world):
    for fan in range(100, 165):
        world.know(str(fan), f"name{fan}")

    fans = everything(lambda mark: world.accounts.fans(ACCOUNT, mark, DEADLINE))

    assert sorted(one.username for one in fans) == [f"name{fan}" for fan in range(100, 165)]
    assert {one.subscription for one in fans} == {Subscription.ACTIVE}
    assert all(one.subscription_ends_at.tzinfo for one in fans)


def test_a_fan_is_found_by_handle_whatever_its_case(world):
    world.know("501", "Alex1")

    found = world.accounts.find_fan(ACCOUNT, "aLEX1", DEADLINE)

    assert (found.platform_user_id, found.username) == ("501", "Alex1")


@pytest.mark.parametrize("handle", ["nobody", "stranger7", "alex", "a/../me", "é 🎉"])
def test_whoever_is_no_fan_is_not_found(world, handle):
    world.know("501", "alex1")

    assert world.accounts.find_fan(ACCOUNT, handle, DEADLINE) is None


def test_transactions_come_newest_first_in_whole_cents(world):
    for cents in (500, 697, 2000):
        world.tip("42", cents)

    money = everything(lambda mark: world.accounts.transactions(ACCOUNT, LONG_AGO, mark, DEADLINE))

    assert [one.gross_cents for one in money] == [2000, 697, 500]
    assert [one.fee_cents for one in money] == [400, 139, 100]
    assert [one.net_cents for one in money] == [1600, 558, 400]
    assert {(one.type, one.platform_user_id, one.is_reversed) for one in money} == {
        ("tip", "42", False)
    }
    assert len({one.platform_transaction_id for one in money}) == 3


def test_every_transaction_is_on_some_page_once(world):
    for number in range(120):
        world.tip("42", 300 + number)

    money = everything(lambda mark: world.accounts.transactions(ACCOUNT, LONG_AGO, mark, DEADLINE))

    assert sorted(one.gross_cents for one in money) == [300 + number for number in range(120)]


def test_transactions_before_the_instant_are_left_out(world):
    world.tip("42", 500)
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    assert list(world.accounts.transactions(ACCOUNT, tomorrow, None, DEADLINE).items) == []


def test_a_refunded_transaction_is_reversed(world):
    world.tip("42", 500)
    world.refund_all()

    [money] = world.accounts.transactions(ACCOUNT, LONG_AGO, None, DEADLINE).items

    assert (money.status, money.is_reversed) == ("undo", True)


def test_an_unsent_message_is_gone_and_may_be_unsent_again(world):
    gone = world.say("42", "oops")
    world.say("42", "better")

    world.accounts.unsend(ACCOUNT, "42", gone, DEADLINE)
    world.accounts.unsend(ACCOUNT, "42", gone, DEADLINE)

    messages = world.accounts.messages(ACCOUNT, "42", None, DEADLINE).items
    assert [message.text for message in messages] == ["better"]


def test_a_chat_marked_read_holds_nothing_unread(world):
    world.hear("42", "hello")

    world.accounts.mark_read(ACCOUNT, "42", DEADLINE)

    [chat] = world.accounts.chats(ACCOUNT, None, DEADLINE).items
    assert chat.unread_count == 0


def test_an_upload_gets_a_number_and_arrives_whole(world):
    content = b"\xff\xd8\xff" + bytes(range(256)) * 4000 + b"\r\n--"

    number = world.accounts.upload(ACCOUNT, io.BytesIO(content), 'a"\r\nb é.jpg', DEADLINE)

    assert number.isdecimal()
    assert world.in_vault() == [len(content)]


def test_an_empty_upload_is_refused(world):
    with pytest.raises(PlatformRefused) as refused:
        world.accounts.upload(ACCOUNT, io.BytesIO(b""), "a.jpg", DEADLINE)

    assert refused.value.outcome is Outcome.REFUSED
    assert world.in_vault() == []


CALLS = {
    "profile": lambda one: one.profile(ACCOUNT, DEADLINE),
    "chats": lambda one: one.chats(ACCOUNT, None, DEADLINE),
    "messages": lambda one: one.messages(ACCOUNT, "42", None, DEADLINE),
    "fans": lambda one: one.fans(ACCOUNT, None, DEADLINE),
    "transactions": lambda one: one.transactions(ACCOUNT, LONG_AGO, None, DEADLINE),
    "mark_read": lambda one: one.mark_read(ACCOUNT, "42", DEADLINE),
    "upload": lambda one: one.upload(ACCOUNT, io.BytesIO(b"x"), "x", DEADLINE),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FAULTS)
def test_a_refusal_says_in_which_way(world, kind, call):
    world.refuse(kind)

    with pytest.raises(PlatformRefused) as refused:
        CALLS[call](world.accounts)

    assert refused.value.outcome is FAULTS[kind]
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize("call", CALLS)
def test_a_gateway_that_is_away_is_unavailable(world, call):
    world.go_away()

    with pytest.raises(PlatformUnavailable):
        CALLS[call](world.accounts)
