"""What the gateway's webhooks say, in our terms: captured shapes, and hostile ones."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from domain.connections import ConnectionState
from domain.errors import Invalid
from domain.inbound import (
    AccountChanged,
    FanSeen,
    MessageDeleted,
    MessagePurchased,
    MessageSeen,
    MoneyMoved,
    Subscription,
)
from domain.messages import Attachment
from domain.ports import Envelope, Unreadable
from infra.platform.webhooks import WebhookReader, cents
from tests import webhooks

TOLD = datetime(2026, 6, 10, 18, 36, tzinfo=UTC)
AT = datetime(2026, 6, 10, 18, 35, 30, tzinfo=UTC)
reader = WebhookReader([SecretStr("new"), SecretStr(webhooks.SECRET)])


def facts(raw: bytes) -> list[object]:
    return list(reader.facts(reader.envelope(raw).event, raw.decode(), TOLD))


def fan(number: int, at: datetime = AT, **more: object) -> FanSeen:
    return FanSeen(
        platform_user_id=str(number),
        username=f"fan{number}",
        name=f"Fan {number}",
        avatar=f"https://public.example/{number}.jpg",
        told_at=at,
        **more,
    )


def test_a_signature_by_any_of_the_secrets_is_good_and_over_the_raw_bytes_only() -> None:
    raw = webhooks.deleted(1)

    assert reader.genuine(raw, webhooks.signature(raw))
    assert reader.genuine(raw, webhooks.signature(raw, "new").upper())
    assert not reader.genuine(raw + b" ", webhooks.signature(raw))
    assert not reader.genuine(raw, webhooks.signature(raw, "old"))
    for bad in (None, "", "\u00e9", "0" * 64, "sha256=" + webhooks.signature(raw)):
        assert not reader.genuine(raw, bad)


def test_without_a_secret_nothing_is_genuine() -> None:
    raw = webhooks.deleted(1)

    assert not WebhookReader([]).genuine(raw, webhooks.signature(raw, ""))


def test_the_envelope_names_event_and_account() -> None:
    assert reader.envelope(webhooks.deleted(1)) == Envelope(
        "messages.deleted", "acct_luna", is_ephemeral=False
    )
    assert reader.envelope(webhooks.body("users.typing", {})).is_ephemeral


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"event":"a\x00","account_id":"b"}']
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Invalid) as problem:
        reader.envelope(raw)
    assert problem.value.code == "malformed_json"


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b'"text"',
        b"{}",
        b'{"event":"a"}',
        b'{"event":"","account_id":"b"}',
        b'{"event":1,"account_id":"b"}',
        b'{"event":"a","account_id":null}',
        b'{"event":"a\\u0000","account_id":"b"}',
        b'{"event":"a","account_id":"\\ud800"}',
        b'{"event":"' + b"a" * 201 + b'","account_id":"b"}',
    ],
)
def test_json_that_is_no_event_is_invalid(raw: bytes) -> None:
    with pytest.raises(Invalid) as problem:
        reader.envelope(raw)
    assert problem.value.code == "invalid"


def test_a_received_message() -> None:
    raw = webhooks.received(
        1000006,
        1000005,
        "2026-06-10T18:35:30+00:00",
        "<p>Hi &amp; <b>you</b> \u0000\U0001f600</p><p>two</p>",
        mediaCount=2,
        media=[
            {"type": "photo", "files": {"full": {"url": "https://cdn.example/a.jpg"}}},
            {"type": "video", "files": {"full": {"url": None}}},
        ],
    )

    assert facts(raw) == [
        MessageSeen(
            fan=fan(1000005),
            platform_message_id="1000006",
            from_us=False,
            text="Hi & you \U0001f600\ntwo",
            price_cents=0,
            attachments=(Attachment("image", "https://cdn.example/a.jpg"),),
            created_at=AT,
            media_count=2,
        )
    ]


@pytest.mark.parametrize(
    "other_side",
    [
        {"toUser": webhooks.user(7)},
        {"user": webhooks.user(7), "fromUser": {"id": 1}},
        {"toUser": {"id": 7}},
        {"chat_id": "7"},
    ],
)
def test_the_fan_of_a_message_of_ours_is_the_other_side(other_side: dict[str, object]) -> None:
    item = webhooks.message(5, "2026-06-10T18:35:30Z", price=25.5, isOpened=True, **other_side)

    [seen] = facts(webhooks.body("messages.sent", item))

    assert isinstance(seen, MessageSeen)
    assert (seen.fan.platform_user_id, seen.from_us, seen.price_cents, seen.is_opened) == (
        "7",
        True,
        2550,
        True,
    )


def test_a_deleted_message() -> None:
    assert facts(webhooks.deleted(1000001)) == [MessageDeleted("1000001", TOLD)]


def test_the_fan_of_a_notification_is_not_its_user_id() -> None:
    raw = webhooks.unlocked(1000002, 1000003, "2026-06-10T20:49:00+00:00", "$1,112.00")
    at = datetime(2026, 6, 10, 20, 49, tzinfo=UTC)

    assert facts(raw) == [MessagePurchased(fan(1000003, at), 111_200, at, "1000002")]


def test_a_tip_moves_no_money() -> None:
    at = datetime(2026, 6, 30, 14, 42, tzinfo=UTC)

    assert facts(webhooks.tipped(1, 9, "2026-06-30T14:42:00+00:00")) == [fan(9, at)]


def test_a_transaction_is_read_to_the_cent_in_utc() -> None:
    raw = webhooks.paid("e940b5fb905b", 1000003, "2026-06-10 20:59:47", 17)
    at = datetime(2026, 6, 10, 20, 59, 47, tzinfo=UTC)

    [moved] = facts(raw)

    assert moved == MoneyMoved(
        platform_transaction_id="e940b5fb905b",
        type="message",
        gross_cents=1700,
        fee_cents=340,
        net_cents=1360,
        vat_cents=221,
        tax_cents=0,
        currency="USD",
        status="loading",
        description="Payment for message from Fan",
        happened_at=at,
        platform_user_id="1000003",
        fan=FanSeen("1000003", "fan1000003", "Fan 1000003", told_at=at),
    )


@pytest.mark.parametrize(
    "status", ["undo", "refunded", "Charge Back", "reversed", "chargeback", "cancelled"]
)
def test_money_that_went_back_is_reversed(status: str) -> None:
    [moved] = facts(webhooks.paid("a", 1, "2026-06-10 20:59:47", 17, status=status))

    assert isinstance(moved, MoneyMoved)
    assert moved.is_reversed


@pytest.mark.parametrize(
    ("given", "found"),
    [(17, 1700), ("$12.00", 1200), ("0.005", 1), ("13.6", 1360), ("-3.005", -301)],
)
def test_amounts_are_rounded_half_up(given: object, found: int) -> None:
    assert cents(given) == found


@pytest.mark.parametrize(
    ("event", "subscription"),
    [
        ("new", Subscription.ACTIVE),
        ("renewed", Subscription.ACTIVE),
        ("expired", Subscription.EXPIRED),
    ],
)
def test_subscriptions(event: str, subscription: Subscription) -> None:
    raw = webhooks.subscribed(
        31,
        32,
        "2026-06-10T18:35:30+00:00",
        event,
        subscribedOnData={"expiredAt": "2026-07-10T18:40:00+00:00"},
        lastSeen="2026-06-10T18:30:00+00:00",
    )

    assert facts(raw) == [
        fan(
            32,
            last_seen_at=datetime(2026, 6, 10, 18, 30, tzinfo=UTC),
            subscription=subscription,
            subscription_ends_at=datetime(2026, 7, 10, 18, 40, tzinfo=UTC),
        )
    ]


def test_account_events_end_and_restore_the_session() -> None:
    for event in ("session_expired", "authentication_failed", "disconnected", "otp_code_required"):
        [changed] = facts(webhooks.body(f"accounts.{event}", {}))
        assert isinstance(changed, AccountChanged)
        assert (changed.state, changed.told_at) == (ConnectionState.PAUSED_AUTH, TOLD)
    for event in ("connected", "reconnected"):
        [changed] = facts(webhooks.body(f"accounts.{event}", {}))
        assert isinstance(changed, AccountChanged)
        assert changed.state is None


@pytest.mark.parametrize(
    "event",
    ["users.typing", "chat_queue.updated", "media_uploads.completed", "posts.new", "something"],
)
def test_other_events_say_nothing(event: str) -> None:
    assert facts(webhooks.body(event, {"id": 1})) == []


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("messages.received", None),
        ("messages.received", []),
        ("messages.received", {"id": 1}),
        ("messages.received", webhooks.message(1, "yesterday", fromUser={"id": 1})),
        ("messages.received", webhooks.message(1, "2026-06-10T18:35:30Z", fromUser={"id": True})),
        ("messages.sent", webhooks.message(1, "2026-06-10T18:35:30Z")),
        ("messages.deleted", {"id": {"a": 1}}),
        ("messages.deleted", {"id": "a" * 65}),
        ("messages.ppv.unlocked", {"id": "1", "user": {"id": 1}, "replacePairs": {}}),
        ("transactions.new", {"id": "1", "amount": "much"}),
        ("transactions.new", {"id": "1", "amount": 1e300}),
        ("transactions.new", {"id": "1", "created_at": "2026-06-10 18:35:30"}),
    ],
)
def test_what_makes_no_sense_is_unreadable_and_is_not_quoted(event: str, payload: object) -> None:
    with pytest.raises(Unreadable) as problem:
        facts(webhooks.body(event, payload))
    assert "yesterday" not in str(problem.value)
