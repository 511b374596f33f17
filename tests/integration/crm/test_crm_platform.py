"""The application beside the simulated platform: the same rows, whether a webhook told or the
synchronisation found out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr
from werkzeug.serving import make_server

from domain.events import PlatformEventReceived
from domain.services.sync import SyncService
from infra.local.simulator import Simulator
from infra.platform.ofapi_accounts import OfapiAccounts
from infra.settings import Settings
from tests.crm import Crm, crm_on
from tests.webhooks import SECRET

ACCOUNT = "acct_luna"


@dataclass
class World:
    crm: Crm
    simulator: Simulator
    sync: SyncService

    def do(self, path: str, **content: object) -> None:
        """What a fan, or the account, does."""
        body = {"account": ACCOUNT} | content
        ask(self.simulator.port, path, body)

    def deliver(self) -> None:
        """Wait until every webhook was delivered, then do what the worker does."""
        hooks = self.simulator.state.webhooks
        assert all(sent.over.wait(10) for sent in list(hooks._log))
        for event in list(self.crm.bus.events):
            if isinstance(event.payload, PlatformEventReceived):
                self.crm.services.inbound.handle(event.payload.event_id, datetime.now(UTC))

    def synchronise(self) -> None:
        self.crm.sql("UPDATE platform_connections SET sync_after = now()")
        assert self.sync.run(self.crm.connection)
        row = self.crm.sql("SELECT sync_error FROM platform_connections ORDER BY id")[0]
        assert row.sync_error is None

    def rows(self) -> dict[str, list[Any]]:
        """What everybody sees of it; not who found out, nor when."""
        return {
            "fans": self.crm.sql(
                "SELECT handle, name, platform_user_id, subscription, value_cents"
                " FROM fans ORDER BY platform_user_id"
            ),
            "messages": self.crm.sql(
                "SELECT direction, text, price_cents, platform_message_id, read, state"
                " FROM messages ORDER BY platform_message_id"
            ),
            "conversations": self.crm.sql(
                "SELECT f.platform_user_id, unread_count, last_direction, last_message_at"
                " FROM conversations JOIN fans f ON f.id = fan_id ORDER BY 1"
            ),
            "money": self.crm.sql(
                "SELECT platform_transaction_id, type, gross_cents, fee_cents, net_cents, status,"
                " reversed_at IS NOT NULL AS is_reversed"
                " FROM transactions ORDER BY platform_transaction_id"
            ),
        }


def ask(port: int, path: str, content: object) -> None:
    """A POST to the platform that goes well."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, json.dumps(content), {"Authorization": "Bearer any"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status < 300, body


@pytest.fixture
def world(database: Any, database_settings: Settings) -> Iterator[World]:
    with crm_on(database, database_settings) as crm:
        server = make_server("127.0.0.1", 0, crm.client.application, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        hooks = f"http://127.0.0.1:{server.server_port}/api/webhooks/onlyfans"
        simulator = Simulator(webhook_url=hooks, webhook_secret=SECRET)
        simulator.start()
        accounts = OfapiAccounts(simulator.api_url, SecretStr("key"), max_connections=4)
        services = crm.services
        yield World(
            crm,
            simulator,
            SyncService(
                services.open_unit_of_work,
                accounts=accounts,
                inbound=services.inbound,
                room=services.room,
                rules=services.rules,
                journal=services.journal,
            ),
        )
        accounts.close()
        simulator.stop()
        server.shutdown()
        server.server_close()


def live(world: World) -> None:
    """A day in the life of an account."""
    file = world.simulator.state.world.keep_media(ACCOUNT, "photo", 9, is_vault=True).id
    world.do("/_admin/subscriptions", chat="501", how="new", username="alex1", name="Alex 🎉")
    world.do("/_admin/inbound", chat="501", text="Hi <b>you</b> & é 🎉")
    ask(world.simulator.port, f"/api/{ACCOUNT}/chats/501/messages", {"text": "Hello"})
    world.do("/_admin/inbound", chat="502", text="I am new")
    priced = {"text": "set", "price": 12.5, "mediaFiles": [int(file)]}
    ask(world.simulator.port, f"/api/{ACCOUNT}/chats/501/messages", priced)
    world.do("/_admin/purchases", chat="501")
    world.do("/_admin/tips", chat="502", amount=8)


def test_webhooks_and_the_synchronisation_tell_the_same(world: World) -> None:
    live(world)
    world.deliver()
    told = world.rows()
    assert [len(told[name]) for name in ("fans", "messages", "conversations", "money")] == [
        2,
        4,
        2,
        3,
    ]

    world.synchronise()
    world.synchronise()

    assert {name: len(rows) for name, rows in world.rows().items()} == {
        name: len(rows) for name, rows in told.items()
    }
    assert world.rows()["money"] == told["money"]
    assert world.rows()["messages"] == told["messages"]


def test_what_no_webhook_told_is_found(world: World) -> None:
    world.simulator.state.webhooks.url = None
    live(world)

    world.synchronise()

    found = world.rows()
    assert [(one.direction, one.text, one.price_cents or 0) for one in found["messages"]] == [
        ("in", "Hi <b>you</b> & é 🎉", 0),
        ("out", "Hello", 0),
        ("in", "I am new", 0),
        ("out", "set", 1250),
    ]
    assert sorted(one.gross_cents for one in found["money"]) == [800, 999, 1250]
    assert sorted(one.net_cents for one in found["money"]) == [640, 799, 1000]
    assert {one.handle.lower() for one in found["fans"]} == {"@alex1", "@fan502"}
    assert {one.platform_user_id: one.unread_count for one in found["conversations"]} == {
        "501": 1,
        "502": 1,
    }


def test_an_ended_session_pauses_and_a_restored_one_goes_on(world: World) -> None:
    world.do("/_admin/sessions/end")
    world.deliver()
    state = "SELECT state FROM platform_connections ORDER BY id"
    assert world.crm.sql(state)[0].state == "paused_auth"

    world.do("/_admin/sessions/restore")
    world.deliver()

    assert world.crm.sql(state)[0].state == "active"
