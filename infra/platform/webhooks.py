"""The gateway's webhooks: whether they are genuine, and what they say in our terms.

Traps: ids are numbers in messages and words in notifications; a notification's `user_id` is the
creator, its fan is `user.id`; amounts are dollars as floats; times without a zone are UTC. Money is
taken from transactions only: unlocked messages and tips are told twice, there and by themselves."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NoReturn

from pydantic import SecretStr

from domain.connections import ConnectionState
from domain.errors import FieldProblem, Invalid
from domain.inbound import (
    AccountChanged,
    Fact,
    FanSeen,
    MessageDeleted,
    MessagePurchased,
    MessageSeen,
    MoneyMoved,
    Subscription,
)
from domain.messages import Attachment
from domain.money import DESCRIPTION_MAX, is_reversal, kind_of
from domain.ports import Envelope, Unreadable
from infra.platform.ofapi import plain_text

EPHEMERAL = frozenset({"users.typing", "users.online", "users.offline"})
SESSION_LOST = (
    "disconnected",
    "session_expired",
    "authentication_failed",
    "otp_code_required",
    "face_otp_required",
)
# No field of ours is longer; the platform's own limits lie far below.
NAME_MAX, TEXT_MAX, ID_MAX, URL_MAX = 200, 20_000, 64, 2048
CENTS_MAX = 10**12
# PostgreSQL holds neither NUL nor half a surrogate pair.
NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
MEDIA = {"photo": "image", "image": "image", "gif": "image", "video": "video", "audio": "audio"}


class WebhookReader:
    """EventReader for the OFAPI gateway."""

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        self._secrets = [one.get_secret_value().encode() for one in secrets]

    def genuine(self, body: bytes, signature: str | None) -> bool:
        """Whether the platform signed these bytes; False for all while no secret is set."""
        given = (signature or "").strip().lower().encode()
        good = [
            hmac.compare_digest(hmac.digest(secret, body, hashlib.sha256).hex().encode(), given)
            for secret in self._secrets
        ]
        return any(good)

    def envelope(self, body: bytes) -> Envelope:
        """Raises Invalid, code `malformed_json` for what is no JSON."""
        try:
            document = loads(body.decode())
        except (ValueError, RecursionError):
            problem = FieldProblem("body", "it is not JSON in UTF-8")
            raise Invalid(problem, code="malformed_json") from None
        if not isinstance(document, dict):
            raise Invalid(FieldProblem("body", "use a JSON object"))
        names = {name: document.get(name) for name in ("event", "account_id")}
        problems = [
            FieldProblem(name, "is required, as a text of 1 to 200 characters")
            for name, value in names.items()
            if not isinstance(value, str)
            or not 0 < len(value) <= NAME_MAX
            or NOT_TEXT.search(value)
        ]
        if problems:
            raise Invalid(*problems)
        event, account_id = names["event"], names["account_id"]
        assert isinstance(event, str)
        assert isinstance(account_id, str)
        return Envelope(event, account_id, is_ephemeral=event in EPHEMERAL)

    def facts(self, event: str, body: str, told_at: datetime) -> Sequence[Fact]:
        """What it says; nothing for an event that concerns nobody. Raises Unreadable."""
        read = READERS.get(event)
        if read is None:
            return ()
        try:
            payload = loads(body)["payload"]
            return read(payload, told_at)
        except (
            ArithmeticError,
            AttributeError,
            KeyError,
            RecursionError,
            TypeError,
            ValueError,
        ) as problem:
            raise Unreadable(f"{type(problem).__name__} in {event}") from problem


def loads(text: str) -> Any:
    """JSON with exact amounts; raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


# What the events say


def _received(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    at = instant(payload.get("createdAt"), told_at)
    return [message(payload, fan(payload["fromUser"], at), at, from_us=False)]


def _sent(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    at = instant(payload.get("createdAt"), told_at)
    return [message(payload, fan(_other_side(payload), at), at, from_us=True)]


def _other_side(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whom a message of ours went to."""
    for name in ("toUser", "withUser", "user", "fan"):
        if isinstance(user := payload.get(name), Mapping) and user.get("id"):
            return user
    for name in ("chat_id", "chatId", "toUserId", "to_user_id"):
        if payload.get(name):
            return {"id": payload[name]}
    raise KeyError("toUser")


def _deleted(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    at = instant(payload.get("deletedAt"), told_at)
    return [MessageDeleted(identity(payload["id"]), at)]


def _unlocked(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    at = instant(payload.get("createdAt"), told_at)
    price = cents(payload["replacePairs"]["{AMOUNT}"])
    return [MessagePurchased(fan(payload["user"], at), price, at, identity(payload["id"]))]


def _tipped(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    # Who tipped; the money comes with its transaction.
    return [fan(payload["user"], instant(payload.get("createdAt"), told_at))]


def _subscribed(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    return [_subscription(payload, told_at, Subscription.ACTIVE)]


def _expired(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    return [_subscription(payload, told_at, Subscription.EXPIRED)]


def _subscription(
    payload: Mapping[str, Any], told_at: datetime, subscription: Subscription
) -> FanSeen:
    at = instant(payload.get("createdAt"), told_at)
    user = payload["user"]
    data = user.get("subscribedOnData") or {}
    ends = data.get("expiredAt") or user.get("subscribedOnExpireDate") or payload.get("expiredAt")
    return fan(
        user, at, subscription=subscription, subscription_ends_at=instant(ends) if ends else None
    )


def _money(payload: Mapping[str, Any], told_at: datetime) -> Sequence[Fact]:
    who = payload.get("fan") or payload.get("user")
    return [money(payload, who, told_at)]


def _account(state: ConnectionState | None, event: str) -> Callable[..., Sequence[Fact]]:
    def read(_payload: object, told_at: datetime) -> Sequence[Fact]:
        return [AccountChanged(state, f"the platform says: {event.replace('_', ' ')}", told_at)]

    return read


READERS: Mapping[str, Callable[[Any, datetime], Sequence[Fact]]] = {
    "messages.received": _received,
    "messages.sent": _sent,
    "messages.deleted": _deleted,
    "messages.ppv.unlocked": _unlocked,
    "tips.received": _tipped,
    "transactions.new": _money,
    "subscriptions.new": _subscribed,
    "subscriptions.renewed": _subscribed,
    "subscriptions.expired": _expired,
    "accounts.connected": _account(None, "connected"),
    "accounts.reconnected": _account(None, "reconnected"),
    **{f"accounts.{event}": _account(ConnectionState.PAUSED_AUTH, event) for event in SESSION_LOST},
}


# What the events are made of; the lists of the gateway show the same things


def fan(user: Mapping[str, Any], told_at: datetime | None, **more: Any) -> FanSeen:
    """A user of the platform's, told as of an instant."""
    name, username = words(user.get("name")), words(user.get("username"))
    seen = user.get("lastSeen")
    avatar = words(user.get("avatar"), URL_MAX)
    return FanSeen(
        platform_user_id=identity(user["id"]),
        username=username.lstrip("@") or None if username else None,
        name=name or username,
        avatar=avatar if avatar and avatar.startswith("https://") else None,
        last_seen_at=instant(seen) if seen else None,
        told_at=told_at,
        **more,
    )


def message(
    item: Mapping[str, Any], who: FanSeen, created_at: datetime, *, from_us: bool
) -> MessageSeen:
    """A message of the chat with `who`."""
    files = item.get("media") or ()
    return MessageSeen(
        fan=who,
        platform_message_id=identity(item["id"]),
        from_us=from_us,
        text=NOT_TEXT.sub("", plain_text(str(item.get("text") or "")))[:TEXT_MAX],
        price_cents=cents(item.get("price") or 0),
        attachments=tuple(
            attachment for one in files if (attachment := _attachment(one)) is not None
        ),
        created_at=created_at,
        is_opened=item.get("isOpened") is True,
        is_mass=item.get("isFromQueue") is True,
        media_count=int(item.get("mediaCount") or len(files)),
    )


def _attachment(item: Any) -> Attachment | None:
    """A file the creator can look at; its address is signed and ends with time."""
    if not isinstance(item, Mapping):
        return None
    kind = MEDIA.get(str(item.get("type")))
    files = item.get("files") or {}
    full = files.get("full") or {}
    url = full.get("url") or item.get("full") or item.get("url")
    url = words(url, URL_MAX)
    return Attachment(kind, url) if kind and url and url.startswith("https://") else None


def money(item: Mapping[str, Any], user: Mapping[str, Any] | None, told_at: datetime) -> MoneyMoved:
    """A transaction, spelled as webhooks or as the list spells it."""

    def amount(*names: str) -> int | None:
        given = next((item[name] for name in names if item.get(name) is not None), None)
        return None if given is None else cents(given)

    gross = amount("amount")
    if gross is None:
        raise KeyError("amount")
    fee = amount("fee_amount", "fee") or 0
    net = amount("net_amount", "net")
    status = words(item.get("status"), ID_MAX)
    description = words(item.get("description"), None)
    happened_at = instant(item.get("created_at") or item.get("createdAt"), told_at)
    who = fan(user, happened_at) if user and user.get("id") else None
    return MoneyMoved(
        platform_transaction_id=identity(item["id"]),
        type=kind_of(words(item.get("type")), description),
        gross_cents=gross,
        fee_cents=fee,
        net_cents=gross - fee if net is None else net,
        vat_cents=amount("vat_amount", "vatAmount") or 0,
        tax_cents=amount("tax_amount", "taxAmount") or 0,
        currency=(words(item.get("currency"), 3) or "USD").upper(),
        status=status,
        description=plain_text(description)[:DESCRIPTION_MAX] if description else None,
        happened_at=happened_at,
        platform_user_id=who.platform_user_id if who else None,
        is_reversed=is_reversal(status),
        fan=who,
    )


def identity(value: object) -> str:
    """An id: a number here, the same number as a word there, or a word of its own."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not an id")
    text = str(value).strip()
    if not re.fullmatch(r"[!-~]{1,64}", text) or text == "0":
        raise ValueError("not an id")
    return text


def words(value: object, longest: int | None = NAME_MAX) -> str | None:
    """A text that can be stored; None for none. Cut by whole characters."""
    if not isinstance(value, str):
        return None
    return NOT_TEXT.sub("", value).strip()[:longest] or None


def cents(dollars: object) -> int:
    """Dollars as a number, or as "$1,234.50", in integer cents, half-up."""
    if isinstance(dollars, str):
        dollars = Decimal(dollars.replace("$", "").replace(",", "").strip())
    if isinstance(dollars, bool) or not isinstance(dollars, int | Decimal):
        raise TypeError("not an amount")
    exact = Decimal(dollars) * 100
    if not exact.is_finite() or abs(exact) > CENTS_MAX:
        raise ValueError("not an amount")
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def instant(value: object, default: datetime | None = None) -> datetime:
    """A moment; one without a zone is UTC."""
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise TypeError("not a moment")
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
