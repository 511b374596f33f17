"""How the OFAPI gateway writes things: one reader for each shape.

A reader raises one of UNREADABLE for what it cannot read; what the gateway does not say is None.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from typing import Any

from domain.inbound import FanSeen, MoneyMoved, Subscription
from domain.messages import Attachment, normalised
from domain.money import DESCRIPTION_MAX, is_reversal, kind_of
from domain.ports import PlatformMessage, Profile

UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, ArithmeticError)
# What PostgreSQL cannot hold: NUL, and half a surrogate pair.
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_KINDS: Mapping[str, str] = {"photo": "image", "gif": "image", "video": "video", "audio": "audio"}


def request_headers(key: str) -> dict[str, str]:
    """What every request carries. Compression is not asked for: answers stay bounded."""
    return {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "huntaze",
    }


def usable_key(key: str) -> bool:
    """Whether a key can stand in a header at all."""
    return bool(re.fullmatch(r"[!-~]+", key))


def list_of(answer: Mapping[str, Any]) -> list[Any]:
    """The items of a list answer. The gateway documents both: a bare list, and {list, hasMore}."""
    data = answer.get("data")
    items = data.get("list") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise TypeError("the answer holds no list")
    return items


def says_more(answer: Mapping[str, Any]) -> bool:
    """Whether a list goes on."""
    data, pagination = answer.get("data"), answer.get("_pagination")
    return bool(
        (isinstance(data, dict) and data.get("hasMore"))
        or answer.get("hasMore")
        or (isinstance(pagination, dict) and pagination.get("next_page"))
    )


def message(item: Any, platform_user_id: str) -> PlatformMessage:
    """A message of the chat with this fan."""
    from_us = item.get("isSentByMe")
    if from_us is None:
        from_us = str(item["fromUser"]["id"]) != platform_user_id
    media = item.get("media") or ()
    media_count = item.get("mediaCount")
    return PlatformMessage(
        id=str(whole(item["id"])),
        from_us=from_us is True,
        text=plain_text(item.get("text") or ""),
        price_cents=cents(item.get("price") or 0),
        media_count=whole(len(media) if media_count is None else media_count),
        created_at=instant(item["createdAt"]),
        attachments=tuple(_attachment(file) for file in media),
        is_opened=item.get("isOpened") is True,
    )


def _attachment(file: Any) -> Attachment:
    """The address is empty where the platform shows none: a file that nobody has paid for yet."""
    full = (file.get("files") or {}).get("full") or {}
    url = full.get("url") or (file.get("source") or {}).get("source") or ""
    shown = isinstance(url, str) and url.startswith("https://")
    return Attachment(_KINDS.get(file.get("type"), "image"), words(url) if shown else "")


def fan(item: Any) -> FanSeen:
    """A fan as chats, fan lists and profiles show it."""
    period = item.get("subscribedOnData")
    ends = period.get("expiredAt") if isinstance(period, dict) else None
    avatar = item.get("avatar")
    return FanSeen(
        platform_user_id=str(whole(item["id"])),
        username=words(item.get("username")) or None,
        name=words(item.get("displayName")) or words(item.get("name")) or None,
        avatar=avatar if isinstance(avatar, str) and avatar.startswith("https://") else None,
        last_seen_at=instant(item["lastSeen"]) if item.get("lastSeen") else None,
        subscription=subscription(item),
        subscription_ends_at=instant(ends) if ends else None,
    )


def subscription(item: Mapping[str, Any]) -> Subscription | None:
    """A plain `subscribedOn: false` says nothing: short forms of a user carry it for everybody."""
    if item.get("subscribedOnExpiredNow") is True:
        return Subscription.EXPIRED
    return Subscription.ACTIVE if item.get("subscribedOn") is True else None


def is_fan(item: Mapping[str, Any]) -> bool:
    """Whether a profile is of somebody who subscribes to the account, or did."""
    return subscription(item) is not None or isinstance(item.get("subscribedOnData"), dict)


def profile(item: Any) -> Profile:
    """The creator's own profile."""
    return Profile(
        platform_user_id=str(whole(item["id"])),
        username=words(item["username"]),
        name=words(item.get("name")) or words(item["username"]),
    )


def money(item: Any) -> MoneyMoved:
    """A line of the list of transactions."""
    who = fan(item["user"]) if item.get("user") else None
    status = words(item.get("status")) or None
    description = plain_text(item.get("description") or "")
    return MoneyMoved(
        platform_transaction_id=_transaction_id(item["id"]),
        type=kind_of(words(item.get("type")), description),
        gross_cents=rounded_cents(item["amount"]),
        fee_cents=rounded_cents(item.get("fee") or 0),
        net_cents=rounded_cents(item["net"]),
        vat_cents=rounded_cents(item.get("vatAmount") or 0),
        tax_cents=rounded_cents(item.get("taxAmount") or 0),
        currency=words(item.get("currency")) or "USD",
        status=status,
        description=description[:DESCRIPTION_MAX] or None,
        happened_at=instant(item["createdAt"]),
        platform_user_id=who.platform_user_id if who else None,
        is_reversed=is_reversal(status),
        fan=who,
    )


def _transaction_id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[\w.-]{1,100}", text, re.ASCII):
        raise ValueError("not an id")
    return text


def plain_text(html: str) -> str:
    """What a person reads of the platform's HTML: tags removed, entities resolved, NFC."""
    # Each pattern stops at the next "<", so hostile input costs linear time.
    text = re.sub(r"<br[^<>]*>\n?|</p>\s*<p(?:\s[^<>]*)?>", "\n", html, flags=re.IGNORECASE)
    text = unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text))
    return normalised(_NOT_TEXT.sub("", text)).strip()


def words(value: object) -> str:
    """A short text without what PostgreSQL cannot hold; empty for what is no text."""
    return normalised(_NOT_TEXT.sub("", value)).strip()[:500] if isinstance(value, str) else ""


def whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not a whole number")
    return int(value)


def cents(dollars: object) -> int:
    """Exact cents of a price."""
    amount = _amount(dollars)
    if amount != amount.to_integral_value():
        raise ValueError("a fraction of a cent")
    return int(amount)


def rounded_cents(dollars: object) -> int:
    """Cents of a computed amount (a fee, a tax), half up."""
    return int(_amount(dollars).quantize(Decimal(1), ROUND_HALF_UP))


def _amount(dollars: object) -> Decimal:
    if isinstance(dollars, bool) or not isinstance(dollars, int | Decimal):
        raise TypeError("not an amount")
    amount = Decimal(dollars) * 100
    if not amount.is_finite() or abs(amount) > 10**12:
        raise ValueError("not an amount")
    return amount


def instant(value: str) -> datetime:
    """Aware and UTC; the gateway leaves the zone out where it means UTC."""
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def error_code(problem: Exception) -> str:
    """ReadTimeout -> read_timeout."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(problem).__name__).lower()
