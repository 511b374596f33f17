"""Writing in a conversation: one transaction, the rules of a priced message, and its refusals."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.crm import Crm
from tests.inbox import START, Inbox

IMAGE = {"type": "image", "url": "https://media.s3.amazonaws.com/a.jpg"}


def write(crm: Crm, talk: int, role: str = "owner", headers: dict | None = None, **body: object):
    path = f"/api/crm/conversations/{talk}/messages"
    return crm.post(path, {"text": "Hello", **body}, role, headers=headers or {})


def stored(crm: Crm) -> int:
    return crm.sql("SELECT count(*) AS n FROM messages")[0].n


def test_a_message_is_accepted_in_the_documented_shape(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation(last_direction="in", is_direct=False)

    answer = write(crm, talk, text="Hello 👋", sentByAi=True)

    assert answer.status_code == 202
    body = answer.json
    assert set(body) == {"message", "messageId", "status", "queuedAt", "estimatedSendTime"}
    assert UUID(body["messageId"]).version == 4
    message = body["message"]
    assert (message["messageId"], message["text"]) == (body["messageId"], "Hello 👋")
    assert (message["status"], message["direction"]) == ("queued", "out")
    assert (message["conversationId"], message["sentByAi"]) == (talk, True)
    assert message["estimatedSendTime"] == body["estimatedSendTime"]
    assert message["notice"]["text"] == "Queued, will be sent shortly"


def test_message_promise_and_conversation_are_one_transaction(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation(last_direction="in", is_direct=False)

    message_id = write(crm, talk).json["messageId"]

    [row] = crm.sql(
        "SELECT m.state, m.xmin = c.xmin AS is_one, m.queued_at, m.promised_at, c.last_message_at,"
        " c.last_direction, c.is_direct FROM messages m JOIN conversations c"
        " ON c.id = m.conversation_id"
    )
    assert (row.state, row.is_one, row.last_direction, row.is_direct) == (
        "queued",
        True,
        "out",
        True,
    )
    assert row.last_message_at == row.queued_at > START
    assert row.promised_at is not None
    [event] = crm.bus.events
    assert (event.name, str(event.payload.message_id)) == ("MessageRequested", message_id)


def test_the_plain_sending_call_does_the_same_to_its_conversation(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan()
    inbox.conversation(fan, last_direction="in", is_direct=False)

    crm.post("/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": "Hi"})

    [row] = crm.sql("SELECT * FROM conversations")
    assert (row.last_direction, row.is_direct, row.last_message_at > START) == ("out", True, True)


def test_attachments_keep_their_type_and_are_brought_to_the_platform_first(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()
    media = [{"type": "audio", "url": "https://media.s3.amazonaws.com/song"}, IMAGE]

    answer = write(crm, talk, text="", priceCents=500, attachments=media)

    assert answer.status_code == 202
    assert answer.json["message"]["attachments"] == media
    assert answer.json["estimatedSendTime"] is None
    [row] = crm.sql("SELECT hold, price_cents, text FROM messages")
    assert (row.hold, row.price_cents, row.text) == ("media", 500, "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "x" * 5001}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"priceCents": 500}, "priceCents"),
        ({"priceCents": 299, "attachments": [IMAGE]}, "priceCents"),
        ({"priceCents": 20001, "attachments": [IMAGE]}, "priceCents"),
        ({"priceCents": -1}, "priceCents"),
        ({"attachments": [{"type": "pdf", "url": IMAGE["url"]}]}, "attachments.0.type"),
        ({"attachments": [IMAGE, {**IMAGE, "url": "http://e.com"}]}, "attachments.1.url"),
        ({"attachments": [IMAGE] * 21}, "attachments"),
        ({"text": 5}, "text"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_stored(
    crm: Crm, inbox: Inbox, body: dict, field: str
) -> None:
    talk = inbox.conversation()

    answer = write(crm, talk, **body)

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
    assert (stored(crm), crm.bus.events) == (0, [])


def test_a_repeated_key_brings_back_the_first_answer_whatever_became_of_the_message(
    crm: Crm, inbox: Inbox
) -> None:
    talk, key = inbox.conversation(), {"Idempotency-Key": "one"}
    first = write(crm, talk, headers=key)
    crm.sql(
        "UPDATE messages SET state = 'sent', sent_at = now(), platform_message_id = '9',"
        " opened_at = now()"
    )

    second = write(crm, talk, headers=key)

    assert (second.status_code, second.json) == (202, first.json)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert write(crm, talk, headers=key, text="other").status_code == 422
    assert stored(crm) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE fans SET deleted_at = now()", "fan_deleted"),
        ("UPDATE fans SET platform_user_id = NULL", "fan_not_linked"),
        ("UPDATE platform_connections SET state = 'disconnected'", "connection_disconnected"),
    ],
)
def test_a_fan_who_cannot_be_reached_is_a_conflict(
    crm: Crm, inbox: Inbox, change: str, code: str
) -> None:
    talk = inbox.conversation()
    crm.sql(change)

    answer = write(crm, talk)

    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert (stored(crm), crm.bus.events) == (0, [])


def test_a_fan_who_moved_to_another_account_is_written_to_there(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan()
    talk = inbox.conversation(fan)
    [other] = crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, 'Two', 'acct_two') RETURNING id",
        owner=crm.owner,
    )
    crm.sql("UPDATE fans SET connection_id = :other", other=other.id)

    answer = write(crm, talk)

    assert (answer.status_code, answer.json["code"]) == (409, "fan_not_linked")
    assert stored(crm) == 0


def test_strangers_and_analysts_may_not_write(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()

    assert write(crm, talk, "stranger").status_code == 404
    assert write(crm, talk, "analyst").status_code == 403
    assert write(crm, talk, "chatter").status_code == 202
    assert stored(crm) == 1


def test_a_reply_reaches_the_fan_and_the_thread_says_so(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation(crm.fan(platform_user_id="77"), last_direction="in")
    inbox.message(talk, "Are you there?")

    write(crm, talk, text="Here I am")
    [event] = crm.bus.events
    crm.services.delivery.requested(event.payload, datetime.now(UTC))

    [call] = crm.platform.delivered
    assert (call.platform_user_id, call.text) == ("77", "Here I am")
    thread = crm.get(f"/api/crm/conversations/{talk}/messages").json["messages"]
    assert [(one["text"], one["status"]) for one in thread] == [
        ("Are you there?", None),
        ("Here I am", "sent"),
    ]
    assert (thread[1]["notice"], thread[1]["canUnsend"]) == (None, True)
    [listed] = crm.get("/api/crm/conversations").json["conversations"]
    assert (listed["lastMessage"]["text"], listed["lastMessage"]["status"]) == ("Here I am", "sent")
