"""The sending services on fakes, with one clock that moves only when somebody waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.events import MessageReleased, MessageRequested
from domain.messages import Attempt, Draft, Message, attachments_of
from domain.pacing import Permit, RoomRules, Waiting
from domain.services.connections import ConnectionService
from domain.services.delivery import DeliveryService
from domain.services.healing import HealingService
from domain.services.messages import MessageService
from domain.services.results import SendResult
from domain.services.rules import SendingRules
from domain.services.wake_ups import waiting
from domain.users import Caller, Role, UserId
from tests.fakes.bus import FakeBus
from tests.fakes.platform import FakePlatform
from tests.fakes.platform_accounts import FakePlatformAccounts
from tests.fakes.unit_of_work import FakeDatabase
from tests.fakes.waiting_room import FakeWaitingRoom

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
INTERVAL = timedelta(milliseconds=6030)


class NoCache:
    """A StatusCache that remembers for ever what is kept for longer than a page view."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str, keep: timedelta) -> None:
        if keep > timedelta(seconds=2):
            self.values[key] = value


class Notes:
    """A Journal that keeps what was noted."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.alerts: list[str] = []

    def note(self, action: str, **facts: object) -> None:
        self.actions.append(action)

    def alert(self, action: str, **facts: object) -> None:
        self.alerts.append(action)


class Desk:
    """One owner with one connection, a linked and an unlinked fan, and every sending service."""

    def __init__(self, rules: SendingRules | None = None) -> None:
        self.at = START
        self.bus = FakeBus(lambda: self.seconds)
        self.data = FakeDatabase(self.bus, lambda: self.at)
        self.room = FakeWaitingRoom(lambda: self.at.timestamp() * 1000, RoomRules())
        self.platform = FakePlatform(lambda: self.at)
        self.notes, self.cache = Notes(), NoCache()
        self.owner = self.data.add_user("owner@example.com")
        self.caller = Caller(UserId(self.owner), self.owner, Role.OWNER)
        self.connection = self.data.add_connection(self.owner, "acct_1")
        self.fan = self.data.add_fan(self.owner, self.connection, "500")
        self.unlinked = self.data.add_fan(self.owner, None, None)
        self.naps: list[float] = []
        self.use(rules or SendingRules())

    def use(self, rules: SendingRules) -> None:
        """Start anew with these rules, on the same rows and the same waiting room."""
        self.rules = rules
        self.messages = MessageService(
            self.data.open, room=self.room, bus=self.bus, cache=self.cache, rules=rules
        )
        self.connections = ConnectionService(
            self.data.open, self.room, rules, FakePlatformAccounts(self.data.now)
        )
        self.delivery = DeliveryService(
            self.data.open,
            room=self.room,
            platform=self.platform,
            messages=self.messages,
            rules=rules,
            journal=self.notes,
            monotonic=lambda: self.seconds,
            sleep=self.nap,
        )
        self.healing = HealingService(
            self.data.open,
            room=self.room,
            bus=self.bus,
            platform=self.platform,
            rules=rules,
            journal=self.notes,
            now=lambda: self.at,
        )

    @property
    def seconds(self) -> float:
        return (self.at - START).total_seconds()

    def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.at += timedelta(seconds=seconds)

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def send(self, text: str = "Hello", **changes: object) -> SendResult:
        attachments = attachments_of(changes.pop("media_urls", ()))
        draft = replace(Draft(text, attachments), **changes)
        return self.messages.send_message(self.caller, f"fan_{self.fan}", draft, self.at)

    def work(self) -> None:
        """Let a worker handle every event on the queue."""
        events, self.bus.events = self.bus.events, []
        for event in events:
            if isinstance(event.payload, MessageRequested):
                self.delivery.requested(event.payload, self.at)
            elif isinstance(event.payload, MessageReleased):
                self.delivery.deliver(event.payload.permit())

    def release(self) -> list[Permit]:
        return list(self.room.release(100).permits)

    def run(self, seconds: float) -> None:
        """Workers and the pacer for a while."""
        end = self.at + timedelta(seconds=seconds)
        self.work()
        while self.at < end:
            for permit in self.release():
                self.delivery.deliver(permit)
            self.at += timedelta(milliseconds=50)

    def message(self, result: SendResult) -> Message:
        with self.data.open() as work:
            found = work.messages.by_public_id(result.message_id)
        assert found is not None
        return found

    def messages_waiting(self, result: SendResult) -> Waiting:
        return waiting(self.message(result))

    def attempts(self, result: SendResult) -> list[Attempt]:
        message = self.message(result)
        with self.data.open() as work:
            return list(work.messages.attempts(message.id))
