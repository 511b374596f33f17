"""Texts that hurt elsewhere: what the platform tells is kept unharmed up to the export, and what we
write reaches the platform as it was written."""

import json
from datetime import UTC, datetime

import pytest

from domain.events import MessageRequested
from domain.inbound import FanSeen, MessageSeen
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver, handle_all

NOW = datetime(2026, 7, 1, tzinfo=UTC)
AT = "2026-06-20T10:00:00+00:00"
KEPT = {
    "emoji": "🔥" * 5000,
    "families": "👩\u200d👩\u200d👧\u200d👦 " * 300 + "!",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627 \u2067abc\u2069",
    "zero width": "a\u200bb\u200cc\ufeffd\u2060e",
    "marks": "Z" + "\u0335" * 500,
}


def told(crm: Crm, text: str, *, escaped: str = "") -> None:
    """The text by webhook; `escaped` is put into the JSON as it is, behind it."""
    raw = webhooks.received(1, 501, AT, "TEXT")
    content = json.dumps(text)[1:-1] + escaped
    deliver(crm, raw.replace(b"TEXT", content.encode()))
    assert handle_all(crm, NOW) == ["handled"]


def seen(crm: Crm) -> list[str]:
    """The message in its thread, and in the export of its fan."""
    [talk] = crm.sql("SELECT id, fan_id FROM conversations")
    thread = crm.get(f"/api/crm/conversations/{talk.id}/messages")
    export = crm.get(f"/api/crm/fans/{talk.fan_id}/export")
    assert (thread.status_code, export.status_code) == (200, 200)
    return [one["text"] for one in (*thread.json["messages"], *export.json["messages"])]


@pytest.mark.parametrize("name", KEPT)
def test_a_told_text_is_kept_unharmed(crm: Crm, name: str) -> None:
    told(crm, KEPT[name])

    assert seen(crm) == [KEPT[name]] * 2


@pytest.mark.parametrize(
    "escaped", ["\\u0000", "\\ud800", "\\udfff\\udfff", "\\ud83d", "\\u0000\\ud800x"]
)
def test_what_is_no_text_is_removed_from_a_told_one(crm: Crm, escaped: str) -> None:
    told(crm, "Hi 🔥", escaped=escaped)

    assert seen(crm) == ["Hi 🔥x" if escaped.endswith("x") else "Hi 🔥"] * 2


@pytest.mark.parametrize("name", KEPT)
def test_a_synchronised_text_is_kept_unharmed(crm: Crm, name: str) -> None:
    fact = MessageSeen(
        FanSeen("501", "fan501"), "1", False, KEPT[name], 0, (), datetime(2026, 6, 20, tzinfo=UTC)
    )
    with crm.services.open_unit_of_work() as work:
        connection = work.connections.lock(crm.connection)
        crm.services.inbound.apply(work, connection, [fact], NOW)
        work.commit()

    assert seen(crm) == [KEPT[name]] * 2


@pytest.mark.parametrize("name", KEPT)
def test_a_written_text_reaches_the_platform_as_it_was_written(crm: Crm, name: str) -> None:
    told(crm, "Hi")
    [talk] = crm.sql("SELECT id FROM conversations")

    answer = crm.post(f"/api/crm/conversations/{talk.id}/messages", {"text": KEPT[name]})

    assert answer.status_code == 202
    assert answer.json["message"]["text"] == KEPT[name]
    requests = [one.payload for one in crm.bus.events if isinstance(one.payload, MessageRequested)]
    crm.services.delivery.requested(requests[-1], datetime.now(UTC))
    assert [one.text for one in crm.platform.delivered] == [KEPT[name]]


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
def test_what_is_no_text_is_refused_by_name_and_not_sent(crm: Crm, text: str) -> None:
    told(crm, "Hi")
    [talk] = crm.sql("SELECT id FROM conversations")

    answer = crm.post(f"/api/crm/conversations/{talk.id}/messages", {"text": text})

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "text")
    assert crm.sql("SELECT count(*) AS n FROM messages WHERE direction = 'out'")[0].n == 0
