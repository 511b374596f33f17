"""One trace from the request to the platform call, through the real queue, room and database."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine, text
from sqs import eventually

from api.app import create_app
from domain.users import Role
from infra import tracing
from infra.bus.broker import QueueWorker, as_kombu
from infra.bus.envelope import Call, decode
from infra.bus.inbox import Received
from infra.bus.routing import tasks_on
from infra.local.services import LocalServices, messages_queue_url
from infra.local.simulator import Simulator
from infra.platform.ofapi import OfapiPlatform
from infra.settings import Settings
from infra.wiring import Adapters, Services, build
from workers.app import build as build_worker
from workers.pacer import Pacer

TEXT, KEY, EMAIL, NAME = "a planted text", "planted-key", "planted@example.com", "Planted Name"
SEND = "/api/onlyfans/messages/send"


def asked_at(held: tuple[Call, Received]) -> str:
    return str(held[0].payload.get("timestamp"))


@dataclass
class Product:
    """Every part of it in this process; a test lets each work in turn."""

    services: Services
    worker: QueueWorker
    client: FlaskClient
    exporter: InMemorySpanExporter
    bearer: dict[str, str]

    def send(self, text: str = TEXT) -> None:
        answer = self.client.post(
            SEND, headers=self.bearer, json={"recipientId": "fan_1", "content": text}
        )
        assert answer.status_code == 202, answer.text

    def work(self) -> list[str]:
        """Run each task that waits, that of the newest message first: it then admits the older ones
        too, and of these the oldest goes at once. Returns what SQS held."""
        messages = self.worker.inbox.receive(10, lambda: False)
        calls = [(decode(one.body, tasks_on("messages")), one) for one in messages]
        for call, one in sorted(calls, key=asked_at, reverse=True):
            raw = as_kombu(call, one, "messages")
            task: Any = self.worker.tasks[call.task]
            task.push_request(correlation_id=call.correlation_id, properties=raw["properties"])
            task(call.payload)
            task.pop_request()
            self.worker.inbox.delete(one.receipt)
        return [one.body for one in messages]

    def release(self) -> None:
        """Until the pacer published a permit."""
        pacer = Pacer(self.services, threading.Event())
        depths = self.services.bus.depths
        eventually(lambda: bool(pacer.release_once() and depths("messages")[0].depth))

    def chain(self) -> list[str]:
        """The names from the last call of the platform up to what caused it."""
        spans = {one.context.span_id: one for one in self.exporter.get_finished_spans()}
        last = [one for one in spans.values() if one.name == "platform_call"][-1]
        names, one = [], last
        while True:
            assert one.context.trace_id == last.context.trace_id
            names.append(one.name)
            if one.parent is None:
                return names
            one = spans[one.parent.span_id]

    def spans(self, name: str) -> list[ReadableSpan]:
        return [one for one in self.exporter.get_finished_spans() if one.name == name]


@pytest.fixture(scope="module")
def standing(
    local_services: LocalServices,
) -> Iterator[dict[str, Any]]:
    aws = local_services.aws()
    simulator = Simulator()
    simulator.start()
    yield {
        "redis_endpoint": local_services.redis(),
        "aws_endpoint_url": aws,
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",
        "sqs_rate_limiter_queue_url": messages_queue_url(aws),
        "onlyfans_api_url": simulator.api_url,
        "onlyfans_api_key": KEY,
        # The first slot after a rebuild is there before a request is over.
        "rate_limit_per_minute": 6000,
        "release_lead_ms": 0,
    }
    simulator.stop()


@pytest.fixture
def product(
    request: pytest.FixtureRequest,
    standing: dict[str, Any],
    database: Engine,
    database_settings: Settings,
) -> Iterator[Product]:
    endpoint = getattr(request, "param", "http://127.0.0.1:1")
    given = {**database_settings.model_dump(), **standing, "otel_exporter_otlp_endpoint": endpoint}
    settings = Settings(**given)
    exporter = InMemorySpanExporter()
    tracing.start(settings, "test", SimpleSpanProcessor(exporter))
    platform = OfapiPlatform.from_settings(settings)
    services = build(settings, patient_bus=True, adapters=Adapters(platform=platform))
    with services.open_unit_of_work() as work:
        owner = work.users.add(EMAIL, "-", Role.OWNER, None, "UTC")
        work.commit()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO platform_connections (user_id, name, account_id) VALUES (1, 'a', 'a_1');"
                "INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)"
                f" VALUES (1, '{NAME}', '@planted', 1, '42')"
            )
        )
    services.room._client.flushall()
    services.healing.rebuild_if_cold()
    token = services.tokens.issue(owner, datetime.now(UTC)).text
    yield Product(
        services=services,
        worker=build_worker("messages", settings, services),
        client=create_app(services).test_client(),
        exporter=exporter,
        bearer={"Authorization": f"Bearer {token}"},
    )
    tracing.stop()
    services.close()
    platform.close()
    services.room._client.close()


def test_one_trace_leads_from_the_request_to_the_platform_call(product: Product) -> None:
    product.send()
    product.work()

    assert product.chain() == ["platform_call", "deliver_requested", "publish", f"POST {SEND}"]
    [request], [task] = product.spans(f"POST {SEND}"), product.spans("deliver_requested")
    assert request.attributes["http.response.status_code"] == 202
    same = "huntaze.correlation_id"
    assert request.attributes[same] == task.attributes[same]
    statements = [one for one in product.exporter.get_finished_spans() if "postgresql" in one.name]
    assert {one.parent.span_id for one in statements if one.name == "postgresql INSERT"} == {
        request.context.span_id,
        task.context.span_id,
    }


def test_a_message_that_waits_for_its_slot_stays_in_its_trace(product: Product) -> None:
    product.send("first")
    product.send("second")
    product.work()
    product.release()
    product.work()

    assert product.chain() == [
        "platform_call",
        "deliver_released",
        "deliver_requested",
        "publish",
        f"POST {SEND}",
    ]


def test_no_span_holds_what_somebody_wrote(product: Product) -> None:
    product.send()
    product.work()
    product.client.get(f"/api/fans/1?planted={KEY}", headers=product.bearer)

    told = "".join(one.to_json() for one in product.exporter.get_finished_spans())
    for planted in (TEXT, KEY, EMAIL, NAME, "planted", product.bearer["Authorization"][7:]):
        assert planted not in told


def test_what_fails_is_a_failed_span_without_the_words_of_its_error(product: Product) -> None:
    with pytest.raises(ValueError, match=TEXT), tracing.span("failing"):
        raise ValueError(TEXT)

    [failed] = product.spans("failing")
    assert failed.attributes == {"error.type": "ValueError"}
    assert (failed.status.is_ok, failed.status.description, failed.events) == (False, None, ())


@pytest.mark.parametrize("product", [None], indirect=True)
def test_nothing_is_written_while_tracing_is_off(product: Product) -> None:
    product.send("first")
    product.send("second")
    bodies = product.work()
    product.release()
    bodies += product.work()

    assert len(bodies) == 3
    assert not any("traceparent" in json.loads(one)["headers"] for one in bodies)
    assert not [key for key in product.services.room._client.keys("*") if "trace" in key]
    assert product.exporter.get_finished_spans() == ()


def test_neither_sdk_nor_exporter_is_imported_while_tracing_is_off(
    database_settings: Settings,
) -> None:
    program = (
        "import sys, api.app, workers.app, workers.pacer\n"
        "from infra import tracing\n"
        "from infra.settings import Settings\n"
        "settings = Settings(database_url='x', redis_endpoint='h:1', jwt_secret='s',"
        " sqs_rate_limiter_queue_url='http://q/m')\n"
        "tracing.start(settings, 'web')\n"
        "with tracing.span('a'): pass\n"
        "heavy = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'google.protobuf', 'requests')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
