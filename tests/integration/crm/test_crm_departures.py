"""Fans that are deleted, erased, or handed out; and what was waiting for them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from infra.settings import Settings
from tests.crm import Crm, crm_on


@pytest.fixture
def fan(crm: Crm) -> int:
    columns = {"email": "jane@example.com", "notes": "secret notes", "platform_user_id": "501"}
    return crm.fan("Jane Roe", handle="@jane", **columns)


@pytest.fixture
def hard(database: Engine, database_settings: Settings) -> Iterator[Crm]:
    erasing = database_settings.model_copy(update={"fan_delete_mode": "hard"})
    with crm_on(database, erasing) as made:
        yield made


def send(crm: Crm, fan: int, text: str = "Hello!") -> str:
    body = {"recipientId": f"fan_{fan}", "content": text, "metadata": {"who": "jane"}}
    answer = crm.post("/api/onlyfans/messages/send", body)
    assert answer.status_code == 202, answer.json
    return answer.json["messageId"]


def states(crm: Crm) -> list[str]:
    return [one.state for one in crm.sql("SELECT state FROM messages ORDER BY id")]


def set_state(crm: Crm, message: str, state: str) -> None:
    crm.sql(
        "UPDATE messages SET state = :state, lease_until = CASE WHEN :state = 'sending'"
        " THEN now() + interval '1 minute' END WHERE public_id = :id",
        state=state,
        id=message,
    )


def test_deleting_cancels_what_is_queued_and_says_how_many(crm: Crm, fan: int) -> None:
    other = crm.fan()
    first, _, _ = (send(crm, one) for one in (fan, fan, other))
    set_state(crm, first, "sending")

    gone = crm.call("DELETE", f"/api/crm/fans/{fan}", "chatter")

    assert (gone.status_code, gone.text) == (204, "")
    assert states(crm) == ["sending", "cancelled", "queued"]
    assert crm.sql("SELECT FROM messages WHERE state = 'cancelled' AND wake_after IS NULL")
    [line] = crm.sql("SELECT subject_id, detail FROM audit_log WHERE action = 'fan.deleted'")
    assert (line.subject_id, line.detail) == (str(fan), {"cancelled": 1})
    assert crm.get(f"/api/crm/fans/{fan}").status_code == 404
    assert crm.call("DELETE", f"/api/crm/fans/{fan}").status_code == 404
    refused = crm.post(
        "/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": "Still there?"}
    )
    assert (refused.status_code, refused.json["code"]) == (404, "recipient_not_found")


@pytest.fixture
def remembered(crm: Crm, fan: int) -> int:
    """A fan about whom everything is kept that can be."""
    message = send(crm, fan, "dear jane")
    set_state(crm, message, "sent")
    send(crm, fan, "still queued for jane")
    crm.call("PUT", f"/api/crm/fans/{fan}", json={"notes": "more about jane"})
    values = {"owner": crm.owner, "fan": fan, "connection": crm.connection}
    crm.sql(
        "INSERT INTO transactions (user_id, fan_id, connection_id, source, type, gross_cents,"
        " net_cents, description, happened_at) VALUES (:owner, :fan, :connection, 'webhook', 'tip',"
        " 1700, 1360, 'Tip from jane', now())",
        **values,
    )
    crm.sql(
        "INSERT INTO platform_events (key, account_id, event, body, fan_id)"
        " VALUES ('evt_1', 'acct_luna', 'messages.received', 'jane says hello', :fan)",
        fan=fan,
    )
    crm.sql(
        "INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key)"
        " SELECT id, connection_id, 1, public_id FROM messages LIMIT 1"
    )
    return fan


def everything(crm: Crm) -> str:
    """Every row of every table, as one text."""
    tables = crm.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return " ".join(
        str(tuple(row))
        for table in tables
        for row in crm.sql(f"SELECT {table.name}::text FROM {table.name}")
    )


def test_erasing_leaves_money_and_the_ledger_and_no_text(crm: Crm, remembered: int) -> None:
    key = {"Idempotency-Key": "k"}
    new = {"name": "Jane 2", "platform": "onlyfans", "handle": "jane2", "notes": "jane again"}
    twin = crm.post("/api/crm/fans", new, headers=key).json["fan"]["id"]
    merged = crm.post(
        f"/api/crm/fans/{remembered}/merge",
        {"otherId": twin},
        headers=key | {"Idempotency-Key": "m"},
    )
    assert merged.status_code == 200
    assert "jane" in everything(crm).lower()

    gone = crm.call("DELETE", f"/api/crm/fans/{remembered}?mode=hard")

    assert gone.status_code == 204
    assert "jane" not in everything(crm).lower()
    assert states(crm) == ["sent", "cancelled"]
    fans = crm.sql("SELECT name, handle, tier, platform_user_id, erased_at, deleted_at FROM fans")
    assert [(one.name, one.handle, one.tier, one.platform_user_id) for one in fans] == [
        ("", "", None, None)
    ] * 2
    assert all(one.erased_at and one.deleted_at for one in fans)
    [money] = crm.sql("SELECT fan_id, gross_cents, description FROM transactions")
    assert tuple(money) == (remembered, 1700, None)
    assert len(crm.sql("SELECT FROM message_attempts")) == 1
    # All that is left of who it was: it leads to nothing else, and keeps the person away.
    assert crm.sql("SELECT connection_id, platform_user_id FROM erased_fans") == [
        (crm.connection, "501")
    ]
    [line] = crm.sql("SELECT detail FROM audit_log WHERE action = 'fan.erased'")
    assert line.detail == {"cancelled": 1, "messages": 2}
    assert crm.call("DELETE", f"/api/crm/fans/{remembered}?mode=hard").status_code == 404
    restored = crm.post(f"/api/crm/fans/{remembered}/restore")
    assert (restored.status_code, restored.json["code"]) == (409, "erased")


@pytest.mark.parametrize("state", ["sending", "unknown"])
def test_nothing_is_erased_while_a_message_is_on_its_way(crm: Crm, fan: int, state: str) -> None:
    set_state(crm, send(crm, fan), state)
    send(crm, fan)

    refused = crm.call("DELETE", f"/api/crm/fans/{fan}?mode=hard")

    assert (refused.status_code, refused.json["code"]) == (409, "in_flight")
    assert states(crm) == [state, "queued"]
    assert crm.get(f"/api/crm/fans/{fan}").json["fan"]["notes"] == "secret notes"


def test_a_deleted_fan_can_still_be_erased(crm: Crm, fan: int) -> None:
    crm.call("DELETE", f"/api/crm/fans/{fan}")

    assert crm.call("DELETE", f"/api/crm/fans/{fan}?mode=hard", "manager").status_code == 403
    assert crm.call("DELETE", f"/api/crm/fans/{fan}?mode=hard").status_code == 204
    assert crm.sql("SELECT name FROM fans")[0].name == ""


def test_a_merged_fan_is_not_erased_alone(crm: Crm, fan: int) -> None:
    kept = crm.fan()
    crm.sql("UPDATE fans SET platform_user_id = NULL, connection_id = NULL WHERE id = :f", f=kept)
    crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": fan})

    refused = crm.call("DELETE", f"/api/crm/fans/{fan}?mode=hard")

    assert (refused.status_code, refused.json["code"]) == (409, "merged")
    assert refused.json["details"] == [{"field": "fanId", "message": str(kept)}]


def test_configured_so_deleting_erases_and_is_for_owners(hard: Crm) -> None:
    fan = hard.fan("Jane")

    refused = hard.call("DELETE", f"/api/crm/fans/{fan}", "manager")
    gone = hard.call("DELETE", f"/api/crm/fans/{fan}")

    assert (refused.status_code, gone.status_code) == (403, 204)
    assert hard.sql("SELECT name FROM fans")[0].name == ""


def test_a_bad_mode_is_refused(crm: Crm, fan: int) -> None:
    answer = crm.call("DELETE", f"/api/crm/fans/{fan}?mode=gone")

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "mode")
    assert crm.get(f"/api/crm/fans/{fan}").status_code == 200


def test_an_export_holds_everything_once(crm: Crm, remembered: int) -> None:
    answer = crm.get(f"/api/crm/fans/{remembered}/export", "analyst")

    assert answer.headers["Content-Disposition"] == f'attachment; filename="fan-{remembered}.json"'
    found = answer.json
    assert found["fan"] == crm.get(f"/api/crm/fans/{remembered}").json["fan"]
    assert [one["text"] for one in found["messages"]] == ["dear jane", "still queued for jane"]
    assert found["messages"][0]["metadata"] == {"who": "jane"}
    assert [one["grossCents"] for one in found["transactions"]] == [1700]
    assert [one["after"] for one in found["changes"]] == [{"notes": "more about jane"}]
    assert len(found["conversations"]) == 1
    assert crm.sql("SELECT FROM audit_log WHERE action = 'fan.exported'")


def test_an_export_of_many_rows_is_whole(crm: Crm, fan: int) -> None:
    send(crm, fan)
    crm.sql(
        "INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,"
        " direction, text) SELECT gen_random_uuid(), user_id, connection_id, conversation_id,"
        " fan_id, 'in', '\"' || n || E'\\n' FROM messages, generate_series(1, 1200) n"
    )

    answer = crm.get(f"/api/crm/fans/{fan}/export")
    found = answer.json["messages"]

    # Neither is known before the last row is read: nobody holds the whole in memory.
    assert not {"ETag", "Content-Length"} & set(answer.headers.keys())
    assert [one["text"] for one in found] == ["Hello!", *(f'"{n}\n' for n in range(1, 1201))]
