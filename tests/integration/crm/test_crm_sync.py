"""The periodic synchronisation: what is read, what is kept of it, and how it goes on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from domain.events import SyncDue
from domain.inbound import Fact, FanSeen, MessageSeen, MoneyMoved
from domain.messages import Outcome
from domain.ports import PlatformUnavailable
from domain.services import sync as service
from domain.services.sync import SyncService
from tests.crm import Crm

ACCOUNT = "acct_luna"


@dataclass
class RecordingFacts:
    """Keeps what it was told; stores the messages' ids so that they are held from then on."""

    crm: Crm
    facts: list[Fact] = field(default_factory=list)
    waits: list[Fact] = field(default_factory=list)
    fails: bool = False

    def apply(self, work, connection, facts: Sequence[Fact], now: datetime):
        if self.fails:
            raise RuntimeError("a bug")
        assert connection.id == self.crm.connection
        work.audit.add(self.crm.caller(), "facts.applied", "connection")
        self.facts += facts
        return SimpleNamespace(waits=[one for one in facts if one in self.waits])

    def texts(self) -> list[str]:
        return [one.text for one in self.facts if isinstance(one, MessageSeen)]

    def fans(self) -> list[str]:
        return [one.platform_user_id for one in self.facts if isinstance(one, FanSeen)]

    def money(self) -> list[int]:
        return [one.gross_cents for one in self.facts if isinstance(one, MoneyMoved)]


@dataclass
class World:
    crm: Crm
    facts: RecordingFacts
    service: SyncService
    shift: timedelta = timedelta()

    def run(self) -> bool:
        """One run, due now."""
        self.crm.sql("UPDATE platform_connections SET sync_after = now()")
        return self.service.run(self.crm.connection)

    def row(self):
        return self.crm.sql(
            "SELECT state, state_reason, sync_error, synced_at, sync_marks,"
            " extract(epoch FROM sync_after - now())::float AS due_in"
            " FROM platform_connections WHERE id = :id",
            id=self.crm.connection,
        )[0]

    def hold(self, fan: int, message) -> None:
        """A webhook brought this message already."""
        self.crm.sql(
            "INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,"
            " direction, text, created_at, platform_message_id)"
            " SELECT gen_random_uuid(), user_id, connection_id, id, fan_id, 'in', '', :at, :number"
            " FROM conversations WHERE fan_id = :fan",
            at=message.created_at,
            number=message.id,
            fan=fan,
        )
        self.crm.sql(
            "UPDATE conversations SET unread_count = unread_count + 1 WHERE fan_id = :f", f=fan
        )

    def fan(self, platform_user_id: str) -> int:
        """A linked fan with a conversation."""
        fan = self.crm.fan(platform_user_id=platform_user_id)
        self.crm.sql(
            "INSERT INTO conversations (user_id, fan_id, connection_id) VALUES (:o, :f, :c)",
            o=self.crm.owner,
            f=fan,
            c=self.crm.connection,
        )
        return fan

    def unread(self, fan: int) -> tuple[int, int]:
        """The conversation's count, and the messages that are not read."""
        row = self.crm.sql(
            "SELECT unread_count, (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id"
            " AND NOT read) AS messages FROM conversations c WHERE fan_id = :fan",
            fan=fan,
        )[0]
        return row.unread_count, row.messages


@pytest.fixture
def world(crm: Crm) -> World:
    facts = RecordingFacts(crm)
    made = World(crm, facts, service=None)
    made.service = SyncService(
        crm.services.open_unit_of_work,
        accounts=crm.accounts,
        inbound=facts,
        room=crm.services.room,
        rules=crm.services.rules,
        journal=crm.services.journal,
        now=lambda: datetime.now(UTC) + made.shift,
    )
    return made


def test_the_first_run_reads_chats_money_and_fans(world: World) -> None:
    accounts = world.crm.accounts
    for number in range(7):
        accounts.add_message(ACCOUNT, "41", f"a{number}")
    accounts.add_message(ACCOUNT, "42", "b", from_us=True)
    for cents in (500, 697):
        accounts.add_money(ACCOUNT, "41", cents)
    for fan in ("41", "42", "43", "44", "45"):
        accounts.add_fan(ACCOUNT, fan, f"name{fan}")

    assert world.run() is True

    # Pages of three, each in the order it was written.
    assert world.facts.texts() == ["b", "a4", "a5", "a6", "a1", "a2", "a3", "a0"]
    assert world.facts.money() == [500, 697]
    assert world.facts.fans() == ["42", "41", "41", "41", "41", "42", "43", "44", "45"]
    row = world.row()
    assert (row.sync_error, row.synced_at is not None) == (None, True)
    assert 290 < row.due_in < 301
    assert "lease" not in row.sync_marks


def test_a_run_with_nothing_new_reads_a_page_of_each_list_and_tells_nothing(world: World) -> None:
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")
    world.crm.accounts.add_fan(ACCOUNT, "41", "alex")
    world.hold(world.fan("41"), world.crm.accounts._chats[ACCOUNT, "41"][0])
    world.run()
    world.facts.facts.clear()
    world.crm.accounts.calls.clear()

    world.run()

    assert world.facts.facts == []
    assert [method for method, _ in world.crm.accounts.calls] == ["chats", "transactions"]


def test_what_is_not_due_is_not_read(world: World) -> None:
    world.run()
    world.crm.accounts.calls.clear()

    assert world.service.run(world.crm.connection) is False
    assert world.crm.accounts.calls == []


def test_one_run_at_a_time(world: World) -> None:
    ran: list[bool] = []

    def again() -> None:
        world.crm.accounts.during = None
        world.crm.sql("UPDATE platform_connections SET sync_after = now()")
        ran.append(world.service.run(world.crm.connection))

    world.crm.accounts.during = again

    assert world.run() is True
    assert ran == [False]


def test_no_transaction_is_open_during_a_call(world: World) -> None:
    open_during: list[int] = []

    def look() -> None:
        rows = world.crm.sql(
            "SELECT count(*) AS n FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        open_during.append(rows[0].n)

    world.crm.accounts.during = look
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")
    world.run()

    assert set(open_during) == {0}
    assert len(open_during) == 4


def test_a_gap_is_filled_although_the_newest_message_came_by_webhook(world: World) -> None:
    fan = world.fan("41")
    world.run()
    world.crm.accounts.add_message(ACCOUNT, "41", "missed")
    world.hold(fan, world.crm.accounts.add_message(ACCOUNT, "41", "held"))

    world.run()

    assert world.facts.texts() == ["missed", "held"]


def test_what_a_list_showed_late_is_found_though_passes_followed_closely(world: World) -> None:
    fan = world.fan("41")
    at = datetime.now(UTC)
    for number in range(3):
        world.crm.accounts.add_message(ACCOUNT, "42", f"other {number}")
        world.run()
    late = at - timedelta(seconds=30)
    world.crm.accounts.add_message(ACCOUNT, "41", "late", at=late)
    world.hold(fan, world.crm.accounts.add_message(ACCOUNT, "41", "held"))

    world.run()

    assert "late" in world.facts.texts()


def test_old_chats_give_their_last_message_and_no_history(world: World) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=90)
    for number in range(5):
        world.crm.accounts.add_message(ACCOUNT, "41", f"old{number}", at=long_ago)

    world.run()

    assert world.facts.texts() == ["old4"]


def test_a_crash_goes_on_where_it_stopped(world: World, monkeypatch) -> None:
    monkeypatch.setattr(service, "RUN_CALLS", 3)
    for number in range(7):
        world.crm.accounts.add_message(ACCOUNT, "41", f"n{number}")
    world.run()
    told = world.facts.texts()
    assert (told, world.row().due_in <= 0) == (["n4", "n5", "n6", "n1", "n2", "n3"], True)
    world.facts.fails = True
    with pytest.raises(RuntimeError):
        world.run()
    world.facts.fails = False
    world.crm.sql(
        "UPDATE platform_connections SET sync_marks = sync_marks - 'lease', sync_after = now()"
    )

    while world.row().due_in <= 0:
        world.service.run(world.crm.connection)

    assert world.facts.texts()[len(told) :] == ["n0"]


def test_runs_are_bounded_and_go_on_until_all_is_read(world: World, monkeypatch) -> None:
    monkeypatch.setattr(service, "RUN_CALLS", 4)
    for fan in range(100, 130):
        world.crm.accounts.add_message(ACCOUNT, str(fan), f"from {fan}")
        world.crm.accounts.add_fan(ACCOUNT, str(fan), f"name{fan}")

    runs = 0
    world.crm.sql("UPDATE platform_connections SET sync_after = now()")
    while world.row().due_in <= 0:
        world.crm.accounts.calls.clear()
        world.service.run(world.crm.connection)
        runs += 1
        assert len(world.crm.accounts.calls) <= 5
        assert runs < 100

    assert sorted(set(world.facts.texts())) == sorted(f"from {fan}" for fan in range(100, 130))
    assert {*world.facts.fans()} == {str(fan) for fan in range(100, 130)}


def test_a_lost_lease_writes_nothing_more(world: World) -> None:
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")

    def steal() -> None:
        world.crm.sql(
            "UPDATE platform_connections SET sync_marks = sync_marks || CAST(:lease AS jsonb)",
            lease=json.dumps({"lease": {"token": "other", "until": "2099-01-01T00:00:00Z"}}),
        )

    world.crm.accounts.during = steal

    world.run()

    assert world.facts.texts() == ["hello"]
    assert world.crm.sql("SELECT * FROM audit_log") == []  # rolled back
    assert world.row().sync_marks["lease"]["token"] == "other"


def test_an_account_disconnected_meanwhile_is_left_alone(world: World) -> None:
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")
    world.crm.accounts.during = lambda: world.crm.sql(
        "UPDATE platform_connections SET state = 'disconnected'"
    )

    world.run()

    assert world.facts.facts == []


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.AUTH_LOST, "paused_auth"), (Outcome.QUOTA_EXHAUSTED, "paused_quota")],
)
def test_a_lost_session_pauses_the_account_as_a_delivery_does(world: World, outcome, state) -> None:
    world.crm.accounts.refuses = outcome

    world.run()

    row = world.row()
    assert (row.state, row.state_reason) == (state, row.sync_error)
    assert row.synced_at is None
    assert world.run() is False  # until it is resumed
    with world.crm.services.open_unit_of_work() as work:
        work.connections.set_state(world.crm.connection, "active", None)
        work.commit()
    world.crm.accounts.refuses = None
    assert world.run() is True
    assert world.row().sync_error is None


def test_an_account_paused_by_hand_is_still_read(world: World) -> None:
    world.crm.post(f"/api/connections/{world.crm.connection}/pause")
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")

    world.run()

    assert world.facts.texts() == ["hello"]


def test_a_gateway_that_is_away_is_asked_less_and_less_often(world: World) -> None:
    world.crm.accounts.is_away = True
    waits = []
    for _ in range(3):
        world.run()
        waits.append(round(world.row().due_in))

    assert waits == [30, 60, 120]
    assert world.row().sync_error == "the platform's gateway does not answer"
    shown = world.crm.get(f"/api/connections/{world.crm.connection}").json["health"]
    assert shown["syncError"] == "the platform's gateway does not answer"
    world.crm.accounts.is_away = False
    world.run()
    assert (round(world.row().due_in), world.row().sync_error) == (300, None)


def test_a_list_that_is_refused_does_not_hide_the_others(world: World) -> None:
    world.crm.accounts.only_after["transactions"] = Outcome.REFUSED
    world.crm.accounts.add_fan(ACCOUNT, "41", "alex")

    world.run()

    assert world.facts.fans() == ["41"]
    row = world.row()
    assert (row.synced_at, row.sync_error is not None) == (None, True)


def test_a_page_that_was_read_stays_when_the_next_list_fails(world: World) -> None:
    world.crm.accounts.only_after["transactions"] = PlatformUnavailable
    world.crm.accounts.add_message(ACCOUNT, "41", "hello")

    world.run()

    assert world.facts.texts() == ["hello"]
    assert world.row().sync_marks["chats"]["done_to"] is not None


def test_what_was_read_on_the_platform_is_read_here(world: World) -> None:
    fan = world.fan("41")
    for text in ("one", "two", "three"):
        world.hold(fan, world.crm.accounts.add_message(ACCOUNT, "41", text))
    assert world.unread(fan) == (3, 3)
    world.crm.accounts.set_unread(ACCOUNT, "41", 1)

    world.run()

    assert world.unread(fan) == (1, 1)


def test_our_own_listing_does_not_count_as_reading(world: World) -> None:
    fan = world.fan("41")
    world.hold(fan, world.crm.accounts.add_message(ACCOUNT, "41", "one"))
    world.run()
    world.crm.accounts.set_unread(ACCOUNT, "41", 0)  # since we listed the chat

    world.run()

    assert world.unread(fan) == (1, 1)


def test_where_listing_keeps_messages_unread_a_later_reading_counts(world: World) -> None:
    fan = world.fan("41")
    world.hold(fan, world.crm.accounts.add_message(ACCOUNT, "41", "one"))
    world.run()
    world.run()
    assert world.unread(fan) == (1, 1)
    world.crm.accounts.set_unread(ACCOUNT, "41", 0)

    world.run()

    assert world.unread(fan) == (0, 0)


def test_a_message_that_must_wait_is_told_again(world: World) -> None:
    world.run()
    message = world.crm.accounts.add_message(ACCOUNT, "41", "ours", from_us=True)
    done_to = world.row().sync_marks["chats"]["done_to"]
    world.facts.waits = [
        MessageSeen(
            fan=world.crm.accounts._fan(ACCOUNT, "41"),
            platform_message_id=message.id,
            from_us=True,
            text="ours",
            price_cents=0,
            attachments=(),
            created_at=message.created_at,
        )
    ]

    world.run()
    assert world.row().sync_marks["chats"]["done_to"] == done_to
    world.facts.waits = []
    world.run()

    assert world.facts.texts() == ["ours", "ours"]


def test_a_refund_of_last_week_is_noticed_within_a_day(world: World) -> None:
    accounts = world.crm.accounts
    week_ago = datetime.now(UTC) - timedelta(days=7)
    money = accounts.add_money(ACCOUNT, "41", 500, at=week_ago)
    world.run()
    accounts.reverse(ACCOUNT, money)
    world.run()
    assert [one.is_reversed for one in world.facts.facts if isinstance(one, MoneyMoved)] == [False]

    world.shift = timedelta(days=1, minutes=1)
    world.run()

    told = [one for one in world.facts.facts if isinstance(one, MoneyMoved)]
    assert [one.is_reversed for one in told] == [False, True]


def test_fans_are_read_daily_and_on_request(world: World) -> None:
    world.crm.accounts.add_fan(ACCOUNT, "41", "alex")
    world.run()
    world.run()
    assert world.facts.fans() == ["41"]

    answer = world.crm.post(f"/api/connections/{world.crm.connection}/sync")
    world.run()
    world.shift = timedelta(days=1, minutes=1)
    world.run()

    assert (answer.status_code, answer.json["status"]) == (202, "requested")
    assert world.facts.fans() == ["41", "41", "41"]


def test_asking_announces_and_a_run_that_is_asked_for_meanwhile_is_due_again(world: World) -> None:
    def ask() -> None:
        world.crm.accounts.during = None
        world.crm.post(f"/api/connections/{world.crm.connection}/sync")

    world.crm.accounts.during = ask
    world.run()

    assert world.row().due_in <= 0
    [event] = [one for one in world.crm.bus.events if isinstance(one.payload, SyncDue)]
    assert event.payload.connection_id == world.crm.connection
    deeds = world.crm.sql("SELECT action FROM audit_log")
    assert [one.action for one in deeds] == ["connection.sync_asked"]


def test_what_is_due_is_announced_once_a_minute(world: World) -> None:
    first = world.service.announce_due()
    second = world.service.announce_due()
    world.crm.sql("UPDATE platform_connections SET sync_marks = '{}'")
    third = world.service.announce_due()

    # The stranger's account is due too.
    assert (first, second, third) == (2, 0, 2)
    groups = {one.group for one in world.crm.bus.events}
    assert groups == {str(world.crm.connection), str(world.crm.foreign_connection)}


@pytest.mark.parametrize("state", ["disconnected", "paused_auth", "paused_quota"])
def test_what_cannot_be_read_is_neither_announced_nor_asked_for(world: World, state: str) -> None:
    world.crm.sql("UPDATE platform_connections SET state = :state", state=state)

    answer = world.crm.post(f"/api/connections/{world.crm.connection}/sync")

    assert (answer.status_code, answer.json["code"]) == (409, state)
    assert world.service.announce_due() == 0
    assert world.run() is False
    assert world.crm.accounts.calls == []
