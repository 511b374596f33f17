"""Receiving webhooks: who may, what is stored, and that nothing of it is logged."""

import logging
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from sqlalchemy import Engine

from domain.events import PlatformEventReceived
from infra.bus.broker import Poison
from infra.settings import Settings
from tests import webhooks
from tests.crm import Crm, crm_on
from tests.webhooks import deliver
from workers.app import build as build_worker

AT = "2026-06-10T18:35:30+00:00"
PATH = "/api/webhooks/onlyfans"


def stored(crm: Crm) -> int:
    return int(crm.sql("SELECT count(*) AS n FROM platform_events")[0].n)


def test_a_signed_webhook_is_stored_raw_and_announced(crm: Crm) -> None:
    raw = webhooks.received(1, 501, AT)

    answer = deliver(crm, raw, "evt_1", **{"X-OFAPI-Redelivery-Of": "evt_0"})

    assert (answer.status_code, answer.get_json()) == (200, {"received": True})
    [row] = crm.sql("SELECT *, wake_after - received_at AS wakes FROM platform_events")
    assert (row.key, row.account_id, row.event, row.body, row.redelivery_of) == (
        "evt_1",
        "acct_luna",
        "messages.received",
        raw.decode(),
        "evt_0",
    )
    assert (row.connection_id, row.handled_at, row.wakes.total_seconds()) == (
        crm.connection,
        None,
        30,
    )
    [event] = crm.bus.events
    assert (event.payload, event.group) == (
        PlatformEventReceived(event_id=row.id),
        str(crm.connection),
    )


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "\u00e9" * 64])
def test_a_wrong_signature_is_401_and_stores_nothing(crm: Crm, signature: str | None) -> None:
    raw = webhooks.received(1, 501, AT)
    headers = {} if signature is None else {"Signature": signature}

    answer = crm.client.post(PATH, data=raw, headers=headers)

    assert (answer.status_code, answer.get_json()["error"]) == (401, "Not authenticated")
    assert stored(crm) == 0


def test_the_signature_is_checked_before_anything_is_read(crm: Crm) -> None:
    assert crm.client.post(PATH, data=b"{").status_code == 401
    assert crm.client.post(PATH, data=b"{}", headers=crm.bearer()).status_code == 401


def test_a_repeated_key_is_answered_alike_and_stored_once(crm: Crm) -> None:
    answers = [deliver(crm, webhooks.deleted(number), "evt_1") for number in (1, 1, 2)]

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert stored(crm) == 1
    assert len(crm.bus.events) == 1


def test_an_event_without_a_key_is_stored_once_under_its_hash(crm: Crm) -> None:
    for number in (1, 1, 2):
        deliver(crm, webhooks.deleted(number))

    keys = [row.key for row in crm.sql("SELECT key FROM platform_events ORDER BY id")]
    assert len(keys) == 2
    assert all(one.startswith("sha256:") for one in keys)


@pytest.mark.parametrize("event", ["users.typing", "users.online", "users.offline"])
def test_what_is_of_the_moment_only_is_not_stored(crm: Crm, event: str) -> None:
    answer = deliver(crm, webhooks.body(event, {"id": "1"}))

    assert answer.status_code == 200
    assert stored(crm) == 0


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b"[" * 200_000, 400, "malformed_json"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"event":"a\\u0000","account_id":"b"}', 422, "invalid"),
    ],
)
def test_what_is_no_event_is_refused_and_stores_nothing(
    crm: Crm, raw: bytes, status: int, code: str
) -> None:
    answer = deliver(crm, raw, "evt_1")

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert stored(crm) == 0


@pytest.mark.parametrize(
    ("size", "status"), [(1024 * 1024, 200), (1024 * 1024 + 1, 413), (5_000_000, 413)]
)
def test_a_body_is_at_most_one_mebibyte(crm: Crm, size: int, status: int) -> None:
    empty = webhooks.body("posts.new", "")
    raw = webhooks.body("posts.new", "x" * (size - len(empty)))

    answer = deliver(crm, raw)
    chunked = crm.client.post(
        PATH,
        input_stream=BytesIO(raw),
        headers={"Signature": webhooks.signature(raw)},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert (answer.status_code, chunked.status_code) == (status, status)
    assert stored(crm) == (status == 200)


@contextmanager
def other(database: Engine, settings: Settings, **changes: object) -> Iterator[Crm]:
    made = Settings(**(dict(settings) | changes))
    with crm_on(database, made) as crm:
        yield crm


def test_without_a_secret_everything_is_refused(
    database: Engine, database_settings: Settings
) -> None:
    with other(database, database_settings, onlyfans_webhook_secret=[]) as crm:
        raw = webhooks.deleted(1)
        for signature in (webhooks.signature(raw), webhooks.signature(raw, ""), ""):
            answer = crm.client.post(PATH, data=raw, headers={"Signature": signature})
            assert answer.status_code == 401
        assert stored(crm) == 0


def test_while_rotating_both_secrets_are_good(
    database: Engine, database_settings: Settings
) -> None:
    with other(database, database_settings, onlyfans_webhook_secret="new, webhook-secret") as crm:
        for number, secret in enumerate(("new", "webhook-secret")):
            raw = webhooks.deleted(number + 1)
            signature = webhooks.signature(raw, secret)
            answer = crm.client.post(PATH, data=raw, headers={"Signature": signature})
            assert answer.status_code == 200
        assert stored(crm) == 2


def test_while_the_product_is_off_webhooks_are_still_stored(
    database: Engine, database_settings: Settings
) -> None:
    with other(database, database_settings, onlyfans_crm_enabled=False) as crm:
        assert deliver(crm, webhooks.deleted(1)).status_code == 200
        assert crm.get("/api/crm/events").status_code == 404
        assert stored(crm) == 1


def test_nothing_of_the_content_is_logged(
    crm: Crm, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["SECRETTEXT", "Fan 777777", "fan777777", "evt_SECRETKEY"]
    raw = webhooks.received(1, 777777, AT, "<p>SECRETTEXT</p>")
    unreadable = webhooks.body("messages.received", {"id": 1, "text": "SECRETTEXT"})

    deliver(crm, raw, "evt_SECRETKEY")
    deliver(crm, unreadable, "evt_SECRETKEY2")
    outcomes = webhooks.handle_all(crm, datetime.now(UTC))
    crm.client.post(PATH, data=raw, headers={"Signature": "SECRETTEXT"})

    out, err = capfd.readouterr()
    logged = out + err + caplog.text
    assert outcomes == ["handled", "unreadable"]
    assert "platform_event_unreadable" in logged
    assert [one for one in secrets if one in logged] == []


def test_an_event_of_an_unknown_account_is_kept(crm: Crm) -> None:
    deliver(crm, webhooks.body("messages.deleted", {"id": "1"}, account="acct_other"))

    assert webhooks.handle_all(crm, datetime.now(UTC)) == ["no_connection"]
    [row] = crm.sql("SELECT body <> '' AS kept, connection_id FROM platform_events")
    assert (row.kept, row.connection_id) == (True, None)


@pytest.mark.parametrize(
    "event", ["chat_queue.updated", "chat_queue.finished", "media_uploads.completed", "new.kind"]
)
def test_events_that_concern_nobody_are_ignored(crm: Crm, event: str) -> None:
    deliver(crm, webhooks.body(event, {"id": "1"}))

    assert webhooks.handle_all(crm, datetime.now(UTC)) == ["ignored"]


def test_a_lost_announcement_is_repeated(crm: Crm) -> None:
    crm.bus.refuses = lambda _event: True
    deliver(crm, webhooks.deleted(1))
    crm.bus.refuses = lambda _event: False
    assert crm.bus.events == []
    assert crm.services.inbound.wake_events() == 0

    crm.sql("UPDATE platform_events SET wake_after = now() - interval '1 s'")

    assert crm.services.inbound.wake_events() == 1
    assert crm.services.inbound.wake_events() == 0
    assert [type(one.payload) for one in crm.bus.events] == [PlatformEventReceived]


def test_an_event_that_fails_for_a_reason_of_ours_is_tried_some_times_then_left(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT))
    crm.sql("ALTER TABLE conversations ADD CONSTRAINT broken CHECK (id < 0) NOT VALID")
    try:
        outcomes = [webhooks.handle_all(crm, datetime.now(UTC)) for _ in range(8)]
    finally:
        crm.sql("ALTER TABLE conversations DROP CONSTRAINT broken")

    assert outcomes == [*[[None]] * 7, ["failed"]]
    [row] = crm.sql("SELECT body <> '' AS kept, outcome FROM platform_events")
    assert (row.kept, row.outcome) == (True, "failed")


def test_bodies_are_forgotten_after_thirty_days(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT), "a")
    deliver(crm, webhooks.received(2, 501, AT), "b")
    deliver(crm, webhooks.received(3, 501, AT), "c")
    webhooks.handle_all(crm, datetime.now(UTC))
    crm.sql("UPDATE platform_events SET received_at = now() - interval '31 days' WHERE key <> 'c'")
    crm.sql("UPDATE platform_events SET handled_at = now() - interval '31 days' WHERE key = 'a'")

    assert crm.services.inbound.forget_bodies() == 1
    bodies = [row.body for row in crm.sql("SELECT body FROM platform_events ORDER BY id")]
    assert [bool(one) for one in bodies] == [False, True, True]


# The worker


def task(crm: Crm, **changes: object) -> Callable[[dict[str, int]], None]:
    settings = crm.services.settings.model_copy(update=changes)
    app = build_worker("inbound", settings, replace(crm.services, settings=settings))
    app.finalize()
    return app.tasks["handle_platform_event"].run


def test_the_task_handles_the_event_once(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT))
    [event] = crm.sql("SELECT id FROM platform_events")

    for _ in range(2):
        task(crm)({"eventId": event.id})

    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1


def test_while_the_product_is_off_the_task_leaves_the_event_to_its_wake_up(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT))
    [event] = crm.sql("SELECT id FROM platform_events")

    task(crm, onlyfans_crm_enabled=False)({"eventId": event.id})

    [row] = crm.sql(
        "SELECT handled_at, wake_after > now() AS wakes, wake_tries FROM platform_events"
    )
    assert tuple(row) == (None, True, 0)
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 0


def test_what_is_no_event_of_ours_is_poison(crm: Crm) -> None:
    with pytest.raises(Poison):
        task(crm)({"eventId": "x"})  # type: ignore[dict-item]


def test_many_workers_at_once_make_each_row_once(crm: Crm) -> None:
    for number in range(1, 31):
        deliver(crm, webhooks.received(number, 500 + number % 3, AT), f"a{number}")
        deliver(crm, webhooks.received(number, 500 + number % 3, AT), f"b{number}")
        deliver(crm, webhooks.paid(f"t{number}", 501, "2026-06-10 12:00:00", 3), f"c{number}")
    ids = [row.id for row in crm.sql("SELECT id FROM platform_events")]

    def work(seed: int) -> None:
        for event_id in random.Random(seed).sample(ids, len(ids)):
            crm.services.inbound.handle(event_id, datetime.now(UTC))

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))

    outcomes = crm.sql("SELECT DISTINCT outcome, wake_tries FROM platform_events")
    assert [tuple(row) for row in outcomes] == [("handled", 0)]
    counts = crm.sql(
        "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM fans) AS fans,"
        " (SELECT sum(unread_count) FROM conversations) AS unread,"
        " (SELECT value_cents FROM fans WHERE platform_user_id = '501') AS value"
    )
    assert [tuple(row) for row in counts] == [(30, 3, 30, 9000)]
