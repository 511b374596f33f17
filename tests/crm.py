"""The whole web application on a real PostgreSQL, with a team of every role and a stranger.

The bus, the waiting room and the platform are fakes held to the contracts of the real ones, so that a
test can look at what was published and say what the platform answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from api.app import create_app
from domain.users import Caller, OwnerId, Role, User
from infra.settings import Settings
from infra.wiring import Adapters, Services, build
from tests.fakes.bus import FakeBus
from tests.fakes.files import FakeFileStore
from tests.fakes.platform import FakePlatform
from tests.fakes.platform_accounts import FakePlatformAccounts
from tests.fakes.quota import FakeRequestQuota
from tests.fakes.waiting_room import FakeWaitingRoom


@dataclass
class Crm:
    """A running application, its rows, and callers of every role (`stranger` owns other rows)."""

    services: Services
    client: FlaskClient
    engine: Engine
    bus: FakeBus
    platform: FakePlatform
    quota: FakeRequestQuota
    accounts: FakePlatformAccounts
    files: FakeFileStore
    users: dict[str, User]
    connection: int
    foreign_connection: int

    @property
    def owner(self) -> OwnerId:
        return self.users["owner"].owner_id

    def caller(self, role: str = "owner") -> Caller:
        user = self.users[role]
        return Caller(user.id, user.owner_id, user.role)

    def bearer(self, role: str = "owner") -> dict[str, str]:
        token = self.services.tokens.issue(self.users[role], datetime.now(UTC)).text
        return {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, role: str = "owner", **more: Any) -> Any:
        """A request as a member of the team, or as the stranger."""
        headers = self.bearer(role) | more.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **more)

    def get(self, path: str, role: str = "owner", **more: Any) -> Any:
        return self.call("GET", path, role, **more)

    def post(self, path: str, body: object = None, role: str = "owner", **more: Any) -> Any:
        return self.call("POST", path, role, json={} if body is None else body, **more)

    def sql(self, query: str, **values: object) -> list[Any]:
        """Ask or change the rows themselves."""
        with self.engine.begin() as database:
            # A crowd of rows takes what it takes on a busy machine.
            database.execute(text("SET LOCAL statement_timeout = 0"))
            done = database.execute(text(query), values)
            return list(done.all()) if done.returns_rows else []

    def load(self, statements: str, **values: object) -> None:
        """Make many rows, however long that takes, and let PostgreSQL look at them, as it does by
        itself within a minute: without that its plans are for empty tables."""
        with self.engine.begin() as database:
            database.execute(text("SET LOCAL statement_timeout = 0"))
            for statement in statements.split(";"):
                named = {name: value for name, value in values.items() if f":{name}" in statement}
                database.execute(text(statement), named)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as database:
            database.execute(text("SET statement_timeout = 0"))
            database.execute(text("VACUUM ANALYZE"))
            database.execute(text("RESET statement_timeout"))

    def fan(self, name: str = "John Doe", **columns: object) -> int:
        """A linked fan of the owner's, unless told otherwise."""
        row: dict[str, object] = {
            "user_id": self.owner,
            "name": name,
            "handle": f"@fan{self.sql('SELECT count(*) + 1 AS n FROM fans')[0].n}",
            "connection_id": self.connection,
        } | columns
        if row["connection_id"] is not None:
            row.setdefault("platform_user_id", str(row["handle"]).strip("@fan") or "0")
        names = ", ".join(row)
        marks = ", ".join(f":{one}" for one in row)
        [made] = self.sql(f"INSERT INTO fans ({names}) VALUES ({marks}) RETURNING id", **row)
        return int(made.id)

    def foreign_fan(self, name: str = "Somebody else's") -> int:
        """A fan of the stranger's."""
        return self.fan(
            name,
            user_id=self.users["stranger"].owner_id,
            connection_id=self.foreign_connection,
        )


@contextmanager
def crm_on(database: Engine, settings: Settings) -> Iterator[Crm]:
    """The application on an empty database, with its users and two accounts."""
    bus, platform, accounts = FakeBus(), FakePlatform(), FakePlatformAccounts()
    room = FakeWaitingRoom(lambda: datetime.now(UTC).timestamp() * 1000)
    quota = FakeRequestQuota(lambda: datetime.now(UTC).timestamp())
    files = FakeFileStore()
    adapters = Adapters(
        engine=database,
        bus=bus,
        room=room,
        platform=platform,
        accounts=accounts,
        quota=quota,
        files=files,
    )
    services = build(settings, adapters=adapters)
    users: dict[str, User] = {}
    with services.open_unit_of_work() as work:
        users["owner"] = owner = work.users.add("owner@example.com", "-", Role.OWNER, None, "UTC")
        for role in (Role.MANAGER, Role.CHATTER, Role.ANALYST):
            users[role] = work.users.add(f"{role}@example.com", "-", role, owner.owner_id, "UTC")
        users["stranger"] = work.users.add("stranger@example.com", "-", Role.OWNER, None, "UTC")
        work.commit()
    app = create_app(services)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    made = Crm(
        services=services,
        client=app.test_client(),
        engine=database,
        bus=bus,
        platform=platform,
        quota=quota,
        accounts=accounts,
        files=files,
        users=users,
        connection=0,
        foreign_connection=0,
    )
    accounts = (("owner", "acct_luna"), ("stranger", "acct_nova"))
    made.connection, made.foreign_connection = (
        made.sql(
            "INSERT INTO platform_connections (user_id, name, account_id)"
            " VALUES (:owner, :name, :name) RETURNING id",
            owner=users[who].owner_id,
            name=name,
        )[0].id
        for who, name in accounts
    )
    yield made
    services.healing_turn.give_up()
