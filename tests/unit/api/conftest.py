"""The whole web application on fakes, with a caller who owns one account and three fans."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from api.app import create_app
from domain.connections import ConnectionId
from domain.errors import Unavailable
from domain.fans import FanId
from domain.messages import Message
from domain.repositories import UnitOfWork
from domain.services.connections import ConnectionService
from domain.services.departures import DepartureService
from domain.services.fans import FanService
from domain.services.inbound import InboundService
from domain.services.keys import KeyService
from domain.services.limits import LimitService
from domain.services.logins import LoginService
from domain.services.merges import MergeService
from domain.services.messages import MessageService
from domain.services.money import MoneyService
from domain.services.monitoring import MonitoringService, Probes
from domain.services.rules import SendingRules
from domain.services.screening import ScreeningService
from domain.services.segments import SegmentService
from domain.services.tiers import TierService
from domain.services.users import UserService
from domain.users import OwnerId, Role, User
from infra.passwords import Argon2PasswordHasher
from infra.platform.webhooks import WebhookReader
from infra.settings import Settings
from infra.tokens import JwtIssuer
from tests.fakes.bus import FakeBus
from tests.fakes.platform_accounts import FakePlatformAccounts
from tests.fakes.quota import FakeRequestQuota
from tests.fakes.unit_of_work import FakeDatabase
from tests.fakes.waiting_room import FakeWaitingRoom
from tests.fakes.worker_errors import FakeWorkerErrors

PASSWORD = "correct horse battery"
KEY = "a key of at least thirty-two bytes for tests"
HASHER = Argon2PasswordHasher(memory_kib=8, passes=1)


class FakeJournal:
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def note(self, action: str, **facts: object) -> None:
        self.lines.append((action, facts))

    alert = note

    def of(self, action: str) -> list[dict[str, object]]:
        return [facts for name, facts in self.lines if name == action]


class FakeCache:
    """A StatusCache that forgets at once what is kept for a page view, and nothing else."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self._kept.get(key)

    def put(self, key: str, value: str, keep: timedelta) -> None:
        if keep > timedelta(seconds=2):
            self._kept[key] = value


@dataclass
class World:
    """The application and everything around it."""

    client: FlaskClient
    data: FakeDatabase
    bus: FakeBus
    room: FakeWaitingRoom
    journal: FakeJournal
    tokens: JwtIssuer
    user: User
    connection: ConnectionId
    fan: FanId
    unlinked: FanId
    foreign: FanId
    stranger: User
    away: set[str]

    @property
    def owner(self) -> OwnerId:
        return self.user.owner_id

    def token(self, user: User | None = None) -> str:
        # PyJWT reads the real clock.
        return self.tokens.issue(user or self.user, datetime.now(UTC)).text

    def bearer(self, user: User | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user)}"}

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, headers=self.bearer() | more.pop("headers", {}), **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.client.post(path, headers=self.bearer() | more.pop("headers", {}), **more)

    def send(self, headers: dict[str, str] | None = None, **changes: object) -> Any:
        body = {"recipientId": f"fan_{self.fan}", "content": "Hello 👋"} | changes
        return self.post("/api/onlyfans/messages/send", json=body, headers=headers or {})

    def sent(self) -> Message:
        """The one message stored so far."""
        [message] = self.data.messages()
        return message

    def let_time_pass(self, seconds: float) -> None:
        self.data.let_time_pass(timedelta(seconds=seconds))


def settings(**changes: object) -> Settings:
    return Settings(
        database_url="postgresql://nowhere/none",
        redis_endpoint="127.0.0.1:1",
        sqs_rate_limiter_queue_url="http://127.0.0.1:1/0/huntaze-rate-limiter-queue",
        **{"jwt_secret": KEY, "api_rate_limit_per_minute": 100_000} | changes,
    )


@pytest.fixture
def make_world(data: FakeDatabase, bus: FakeBus, room: FakeWaitingRoom) -> Callable[..., World]:
    def make(**changes: object) -> World:
        chosen = settings(**changes)
        password_hash = HASHER.hash(PASSWORD)
        user = data.new_user("ann@example.com", password_hash=password_hash)
        stranger = data.new_user("bob@example.com", password_hash=password_hash)
        connection = data.add_connection(user.owner_id, "acct_luna")
        theirs = data.add_connection(stranger.owner_id, "acct_nova")
        away: set[str] = set()
        services, journal, tokens = services_of(chosen, data, bus, room, away)
        app = create_app(services, clock=data.now)
        app.testing = True
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return World(
            client=app.test_client(),
            data=data,
            bus=bus,
            room=room,
            journal=journal,
            tokens=tokens,
            user=user,
            connection=connection,
            fan=data.add_fan(user.owner_id, connection, "501", name="John Doe"),
            unlinked=data.add_fan(user.owner_id, None, None),
            foreign=data.add_fan(stranger.owner_id, theirs, "601"),
            stranger=stranger,
            away=away,
        )

    return make


def services_of(
    chosen: Settings, data: FakeDatabase, bus: FakeBus, room: FakeWaitingRoom, away: set[str]
) -> tuple[Any, FakeJournal, JwtIssuer]:
    rules = SendingRules(enabled=chosen.rate_limiter_enabled)
    tokens = JwtIssuer([SecretStr(KEY)], timedelta(seconds=chosen.access_token_seconds))
    journal = FakeJournal()

    def open_unit_of_work() -> UnitOfWork:
        if "postgres" in away:
            raise Unavailable("the database does not answer; nothing was changed")
        return data.open()

    def probe(name: str) -> Callable[[], None]:
        def ask() -> None:
            if name in away:
                raise ConnectionError(name)

        return ask

    def seconds() -> float:
        return data.now().timestamp()

    accounts = FakePlatformAccounts(data.now)
    connections = ConnectionService(open_unit_of_work, room, rules, accounts)
    probes = Probes({name: probe(name) for name in ("postgres", "redis", "sqs")}, monotonic=seconds)
    users = UserService(open_unit_of_work, HASHER, tokens)
    quota = FakeRequestQuota(seconds)
    limits = LimitService(quota, journal, chosen.api_rate_limit_per_minute, monotonic=seconds)
    services = SimpleNamespace(
        settings=chosen,
        quota=quota,
        limits=limits,
        logins=LoginService(users, limits),
        keys=KeyService(open_unit_of_work),
        journal=journal,
        tokens=tokens,
        messages=MessageService(
            open_unit_of_work, room=room, bus=bus, cache=FakeCache(), rules=rules
        ),
        connections=connections,
        users=users,
        fans=FanService(open_unit_of_work),
        departures=DepartureService(open_unit_of_work, room, chosen.fan_delete_mode),
        merges=MergeService(open_unit_of_work),
        segments=SegmentService(open_unit_of_work),
        tiers=TierService(open_unit_of_work),
        screening=ScreeningService(open_unit_of_work),
        inbound=InboundService(
            open_unit_of_work,
            reader=WebhookReader(chosen.onlyfans_webhook_secret),
            room=room,
            rules=rules,
            journal=journal,
        ),
        money=MoneyService(open_unit_of_work),
        monitoring=MonitoringService(
            open_unit_of_work,
            bus,
            connections,
            rules,
            probes,
            worker_errors=FakeWorkerErrors(data.now),
            monotonic=seconds,
        ),
    )
    return services, journal, tokens


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def analyst(world: World) -> World:
    """The same world, asked by a member of the owner's team who may only look."""
    member = world.data.new_user("carl@example.com", Role.ANALYST, world.owner)
    return replace(world, user=member)
