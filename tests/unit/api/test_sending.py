"""Accepting messages: exact shapes, idempotency, and what is refused."""

from uuid import UUID

import pytest

from domain.messages import State
from tests.unit.api.conftest import World


def test_an_accepted_message_is_answered_in_the_documented_shape(world: World) -> None:
    answer = world.send()

    assert answer.status_code == 202
    body = answer.get_json()
    message_id = body["messageId"]
    assert UUID(message_id).version == 4
    assert body == {
        "messageId": message_id,
        "status": "queued",
        "queuedAt": "2026-11-23T12:00:00.000Z",
        "estimatedSendTime": "2026-11-23T12:00:00.000Z",
        "notice": {
            "text": "Queued, will be sent shortly",
            "reason": "stored; it goes at its turn",
            "remedy": "nothing to do",
        },
        "statusUrl": f"/api/onlyfans/messages/{message_id}",
    }
    assert list(body)[:4] == ["messageId", "status", "queuedAt", "estimatedSendTime"]


def test_everything_that_was_asked_is_stored_and_announced(world: World) -> None:
    world.send(
        content="Look 👋",
        mediaUrls=None,
        priority=1,
        priceCents=0,
        metadata={"campaign": {"step": [1, None, "ü"]}},
    )

    stored = world.sent()
    assert (stored.text, stored.priority, stored.price_cents) == ("Look 👋", 1, 0)
    assert stored.metadata == {"campaign": {"step": [1, None, "ü"]}}
    assert (stored.fan_id, stored.owner_id, stored.state) == (
        world.fan,
        world.owner,
        State.QUEUED,
    )
    [event] = world.bus.events
    assert (event.name, event.row) == ("MessageRequested", stored.id)


def test_the_second_message_is_promised_one_interval_later(world: World) -> None:
    world.send()

    assert world.send().get_json()["estimatedSendTime"] == "2026-11-23T12:00:06.030Z"


def test_a_bare_number_names_the_fan_too(world: World) -> None:
    assert world.send(recipientId=str(world.fan)).status_code == 202


def test_while_sending_is_off_a_message_is_held_without_a_promise(make_world) -> None:
    world = make_world(rate_limiter_enabled=False)

    assert world.send().get_json()["estimatedSendTime"] is None


def test_an_outage_of_sqs_does_not_refuse_a_message(world: World) -> None:
    world.bus.away = True

    assert world.send().status_code == 202


def test_one_line_tells_that_a_message_was_queued_and_not_what_it_says(world: World) -> None:
    message_id = world.send(content="a secret").get_json()["messageId"]

    assert world.journal.of("message_queued") == [
        {
            "messageId": message_id,
            "userId": str(world.owner),
            "recipientId": f"fan_{world.fan}",
            "queueDepth": 1,
        }
    ]
    assert "a secret" not in str(world.journal.lines)


def test_a_repeated_key_brings_back_the_first_answer_and_stores_nothing(world: World) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = world.send(headers=key)
    world.let_time_pass(60)

    second = world.send(headers=key)

    assert (second.status_code, second.get_json()) == (202, first.get_json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(world.data.messages()) == 1
    assert len(world.journal.of("message_queued")) == 1


def test_the_order_of_keys_does_not_make_another_body(world: World) -> None:
    for text in (
        '{"recipientId": "%s", "content": "Hi"}',
        '{"content":"Hi","recipientId":"%s"}',
    ):
        answer = world.post(
            "/api/onlyfans/messages/send",
            data=text % f"fan_{world.fan}",
            content_type="application/json",
            headers={"Idempotency-Key": "order-1"},
        )
        assert answer.status_code == 202
    assert len(world.data.messages()) == 1


def test_a_key_with_another_body_is_refused(world: World) -> None:
    key = {"Idempotency-Key": "order-1"}
    world.send(headers=key)

    answer = world.send(headers=key, content="Something else")

    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert len(world.data.messages()) == 1


def test_two_users_may_choose_the_same_key(world: World) -> None:
    key = {"Idempotency-Key": "order-1"}
    world.send(headers=key)

    theirs = world.client.post(
        "/api/onlyfans/messages/send",
        json={"recipientId": f"fan_{world.foreign}", "content": "Hello"},
        headers=world.bearer(world.stranger) | key,
    )

    assert theirs.status_code == 202
    assert len(world.data.messages()) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "é"])
def test_a_key_that_is_not_printable_ascii_is_refused(world: World, key: str) -> None:
    answer = world.send(headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "idempotency_key_invalid")
    assert world.data.messages() == []


def test_a_refused_request_leaves_its_key_free(world: World) -> None:
    key = {"Idempotency-Key": "order-1"}
    assert world.send(headers=key, recipientId="fan_999999").status_code == 404

    assert world.data.replies() == 0
    assert world.send(headers=key).status_code == 202


HOSTS = "use an https:// address of s3.amazonaws.com, *.amazonaws.com"
FIELDS = [
    ("recipientId", 123, "use a string"),
    ("recipientId", None, "use a string"),
    ("recipientId", True, "use a string"),
    ("recipientId", "", "use fan_<number>, for example fan_123"),
    ("recipientId", "fan_", "use fan_<number>, for example fan_123"),
    ("recipientId", "fan_-1", "use fan_<number>, for example fan_123"),
    ("recipientId", "fan_1e3", "use fan_<number>, for example fan_123"),
    ("recipientId", "fan_" + "9" * 60, "use fan_<number>, for example fan_123"),
    ("recipientId", "fan_١٢", "use fan_<number>, for example fan_123"),
    ("content", "", "write at least one visible character"),
    ("content", " \n\t", "write at least one visible character"),
    ("content", "x" * 5001, "use at most 5000 characters"),
    ("content", 5, "use a string"),
    ("content", ["Hello"], "use a string"),
    ("content", None, "use a string"),
    ("content", "nul \x00", "remove the NUL or lone surrogate: it is no text"),
    ("content", "half \ud83d", "remove the NUL or lone surrogate: it is no text"),
    ("mediaUrls", "https://s3.amazonaws.com/b.png", "use a list"),
    ("mediaUrls.0", ["http://s3.amazonaws.com/b.png"], HOSTS),
    ("mediaUrls.0", ["https://user:pw@s3.amazonaws.com/b.png"], HOSTS),
    ("mediaUrls.0", ["https://[broken"], HOSTS),
    ("mediaUrls.0", ["javascript:alert(1)"], HOSTS),
    ("mediaUrls.0", ["https://a.example/b.png"], HOSTS),
    ("mediaUrls.0", ["https://s3.amazonaws.com.a.example/b.png"], HOSTS),
    ("mediaUrls.0", ["https://s3.amazonaws.com:8443/b.png"], HOSTS),
    ("mediaUrls.0", ["https://169.254.169.254/latest/meta-data"], HOSTS),
    ("mediaUrls.0", [7], "use a string"),
    ("mediaUrls.1", ["https://s3.amazonaws.com/b", None], "use a string"),
    ("mediaUrls", ["https://s3.amazonaws.com/b.png"] * 21, "use at most 20 files"),
    ("priority", 0, "use 1 (most urgent) to 10"),
    ("priority", 11, "use 1 (most urgent) to 10"),
    ("priority", 10**30, "use 1 (most urgent) to 10"),
    ("priority", "5", "use a whole number"),
    ("priority", 5.0, "use a whole number"),
    ("priority", True, "use a whole number"),
    ("priceCents", 299, "use 0 or 300 to 20000"),
    ("priceCents", 20_001, "use 0 or 300 to 20000"),
    ("priceCents", -1, "use 0 or 300 to 20000"),
    ("priceCents", 500, "a priced message needs media"),
    ("priceCents", "500", "use a whole number"),
    ("metadata", "text", "use an object"),
    ("metadata", [1], "use an object"),
    ("metadata", {"a": "x" * 4096}, "use at most 4096 bytes of JSON"),
    ("metadata.a", {"a": "\x00"}, "remove the NUL or lone surrogate: it is no text"),
    ("metadata", {"\udc00": 1}, "remove the NUL or lone surrogate: it is no text"),
    ("colour", "red", "is not a field of this request"),
    ("userId", 1, "is not a field of this request"),
]


@pytest.mark.parametrize(("field", "value", "message"), FIELDS)
def test_a_bad_field_is_named_and_nothing_is_stored(
    world: World, field: str, value: object, message: str
) -> None:
    answer = world.send(**{field.split(".", maxsplit=1)[0]: value})

    assert answer.status_code == 422
    body = answer.get_json()
    assert (body["code"], body["details"]) == ("invalid", [{"field": field, "message": message}])
    assert (world.data.messages(), world.bus.events) == ([], [])


def test_every_bad_field_is_named_at_once(world: World) -> None:
    answer = world.post("/api/onlyfans/messages/send", json={"priority": "high", "x": 1})

    assert answer.get_json()["details"] == [
        {"field": "recipientId", "message": "is required"},
        {"field": "content", "message": "is required"},
        {"field": "priority", "message": "use a whole number"},
        {"field": "x", "message": "is not a field of this request"},
    ]


def test_text_is_counted_in_characters_after_normalising(world: World) -> None:
    assert world.send(content="e\u0301" * 5000).status_code == 202
    assert world.sent().text == "é" * 5000


BODIES = [
    (b"", 400, "malformed_json"),
    (b"{", 400, "malformed_json"),
    (b"\xff\xfe{}", 400, "malformed_json"),
    (b'{"priority": NaN}', 400, "malformed_json"),
    (b'{"priority": 1e400}', 400, "malformed_json"),
    (b'{"priority": ' + b"9" * 5000 + b"}", 400, "malformed_json"),
    (b"[" * 30_000, 400, "malformed_json"),
    (b'{"metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, 400, "malformed_json"),
    (b"null", 422, "invalid"),
    (b"[]", 422, "invalid"),
    (b'"text"', 422, "invalid"),
    (b" " * 70_000, 413, "body_too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES)
def test_a_body_that_is_no_request_gets_its_documented_answer(
    world: World, body: bytes, status: int, code: str
) -> None:
    answer = world.post("/api/onlyfans/messages/send", data=body, content_type="application/json")

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert world.data.messages() == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_anything_but_json_is_415(world: World, content_type: str) -> None:
    answer = world.post("/api/onlyfans/messages/send", data=b"{}", content_type=content_type)

    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")


def test_an_unknown_and_a_foreign_fan_look_the_same(world: World) -> None:
    foreign = world.send(recipientId=f"fan_{world.foreign}")
    unknown = world.send(recipientId="fan_999999")

    assert (foreign.status_code, foreign.get_json()["code"]) == (404, "recipient_not_found")
    assert (unknown.status_code, unknown.get_json()["code"]) == (404, "recipient_not_found")
    assert world.data.messages() == []


def test_a_fan_without_a_connection_is_a_conflict(world: World) -> None:
    answer = world.send(recipientId=f"fan_{world.unlinked}")

    assert (answer.status_code, answer.get_json()["code"]) == (409, "fan_not_linked")
    assert world.data.messages() == []


def test_a_role_that_only_looks_may_not_send(analyst: World) -> None:
    answer = analyst.send()

    assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
    assert analyst.data.messages() == []
