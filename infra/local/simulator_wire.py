"""The shapes of the OFAPI wire: messages, chats, fans, envelopes and pages as the gateway gives
them, and what it checks of a message."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from infra.local.simulator_ledger import CANCEL_SECONDS, Delivery
from infra.local.simulator_world import SimFan, SimMoney, World

Json = dict[str, object]

CREATOR_ID = 1
BANNED = {"ban": ("escort", "meet"), "risky": ("paypal",), "soften": ("drunk",)}


def envelope(data: object, next_page: str | None = None) -> Json:
    return {
        "data": data,
        "_pagination": {"next_page": next_page},
        "_meta": {
            "_credits": {"used": 1, "balance": 100_000, "note": "Always"},
            "_cache": {"is_cached": False, "note": "Cache disabled for this endpoint"},
            "_rate_limits": {
                "limit_minute": 5000,
                "limit_day": None,
                "remaining_minute": 4999,
                "remaining_day": None,
            },
        },
    }


def instant(moment: float) -> str:
    """Whole seconds, as there."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat()


def naive(moment: float) -> str:
    """UTC, which they leave out."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def message_view(message: Delivery, world: World) -> Json:
    """A message as the gateway shows it: the text is HTML, the price dollars."""
    at, bought = instant(message.received_at), world.is_bought(message.id)
    known = {one.id: one.type for one in world.media(message.account)} if message.media else {}
    return {
        "responseType": "message",
        "id": message.id,
        "text": "<p>" + escape(message.text, quote=False).replace("\n", "<br />\n") + "</p>",
        "price": message.price,
        "isFree": not message.price,
        "lockedText": False,
        "isMediaReady": True,
        "mediaCount": len(message.media),
        "media": [
            {"id": number(media), "type": known.get(media, "photo"), "isReady": True}
            for media in message.media
        ],
        "previews": [],
        "isTip": False,
        "queueId": 0,
        "fromUser": {"id": CREATOR_ID if message.from_us else number(message.chat)},
        "isSentByMe": message.from_us,
        "isFromQueue": False,
        "isOpened": world.is_opened(message.id) or bought,
        "isNew": True,
        "createdAt": at,
        "changedAt": at,
        "cancelSeconds": CANCEL_SECONDS,
        "canPurchase": bool(message.price) and not bought,
    }


def fan_view(fan: SimFan, now: float) -> Json:
    """A fan in the long form, with what the subscription says."""
    expired = fan.expires_at <= now
    return {
        "view": "s",
        "id": number(fan.id),
        "name": fan.name,
        "username": fan.username,
        "displayName": fan.name,
        "avatar": None,
        "lastSeen": None if fan.last_seen is None else instant(fan.last_seen),
        "subscribedBy": False,
        "subscribedOn": not expired,
        "subscribedOnExpiredNow": expired,
        "subscribedOnData": {
            "price": fan.price,
            "subscribeAt": instant(fan.subscribed_at),
            "expiredAt": instant(fan.expires_at),
            "status": None,
            "totalSumm": 0,
        },
        "listsStates": [],
    }


def short_fan_view(fan: SimFan) -> Json:
    """The form of notifications, which says nothing of the subscription whatever stands there."""
    return {
        "view": "mn",
        "id": number(fan.id),
        "name": fan.name,
        "username": fan.username,
        "displayName": fan.name,
        "avatar": None,
        "lastSeen": None,
        "subscribedBy": False,
        "subscribedOn": False,
        "subscribedByData": None,
        "subscribedOnData": None,
        "isBlocked": False,
    }


def chat_view(fan: SimFan, last: Delivery, world: World, now: float) -> Json:
    return {
        "fan": fan_view(fan, now),
        "lastMessage": message_view(last, world),
        "unreadMessagesCount": world.unread(fan.account, fan.id),
        "canSendMessage": True,
        "canNotSendReason": None,
        "hasUnreadTips": False,
    }


def money_view(money: SimMoney, fan: SimFan) -> Json:
    """A line of the list of transactions; it has no type but in its description."""
    return {
        "id": money.id,
        "amount": money.amount,
        "net": money.net,
        "fee": money.fee,
        "vatAmount": 0,
        "taxAmount": 0,
        "currency": "USD",
        "description": describe(money, fan),
        "status": money.status,
        "payoutPendingDays": 7,
        "createdAt": instant(money.at),
        "user": {"id": number(fan.id), "name": fan.name, "username": fan.username},
    }


def describe(money: SimMoney, fan: SimFan) -> str:
    what = {"message": "Payment for message", "tip": "Tip", "subscription": "Subscription"}
    link = f'<a href="https://onlyfans.com/{escape(fan.username)}">{escape(fan.name)}</a>'
    return f"{what[money.kind]} from {link}"


def paged(
    items: Sequence[Json],
    query: Mapping[str, str],
    path: str,
    *,
    by_id: bool = False,
    most: int = 100,
) -> Json:
    """A page of at most `most` items. Messages (`by_id`) stand oldest first: `last_id` goes on
    behind that one in the order asked for, `first_id` starts before it. Others are paged by
    `offset`."""
    limit = max(1, min(whole(query.get("limit"), 10), most))
    offset = whole(query.get("offset"), 0)
    rows = list(items)
    if rows and by_id:
        if query.get("order", "desc") == "desc":
            rows.reverse()
        ids = [str(row["id"]) for row in rows]
        if (last := query.get("last_id")) in ids:
            rows = rows[ids.index(last) + 1 :]
        elif (first := query.get("first_id")) in ids:
            rows = rows[: ids.index(first)]
    rows = rows[offset:]
    shown = rows[:limit]
    next_page = None
    if len(rows) > limit:
        on = {"last_id": shown[-1]["id"]} if by_id else {"offset": offset + limit}
        next_page = path + "?" + urlencode({**query, **on})
    return envelope(shown, next_page)


def problems_of(fields: Mapping[str, object]) -> dict[str, list[str]]:
    """What the gateway's validation says, per field."""
    problems: dict[str, list[str]] = {}
    media = fields.get("mediaFiles") or []
    price = fields.get("price") or 0
    text = fields.get("text") or ""
    if not isinstance(text, str) or not (text.strip() or media):
        problems["text"] = ["The text field is required when media files is not present."]
    if not isinstance(media, list):
        problems["mediaFiles"] = ["The media files field must be an array."]
    if isinstance(price, bool) or not isinstance(price, int | float):
        problems["price"] = ["The price field must be a number."]
    elif price and not 3 <= price <= 200:
        problems["price"] = ["The price field must be 0 or between 3 and 200."]
    elif price and not media:
        problems["mediaFiles"] = ["The media files field is required when price is not 0."]
    return problems


def banned_words(fields: Mapping[str, object]) -> list[str]:
    """The words of the text that this strictness of `blockBannedWords` forbids."""
    tiers = {
        "strict_ban": (*BANNED["ban"], *BANNED["risky"], *BANNED["soften"]),
        "risky": (*BANNED["risky"], *BANNED["soften"]),
        "replace_soften": BANNED["soften"],
    }
    forbidden = tiers.get(str(fields.get("blockBannedWords")), ())
    text = set(re.findall(r"\w+", str(fields.get("text") or "").lower()))
    return [word for word in forbidden if word in text]


def says_banned(words: Sequence[str]) -> Json:
    return {
        "error": "VALIDATION_ERROR",
        "message": "The text contains banned words.",
        "bannedWords": words,
    }


def key_problem(key: str) -> str | None:
    if 1 <= len(key) <= 255 and key.isascii() and key.isprintable():
        return None
    return "Use 1 to 255 printable ASCII characters."


def number(chat: str) -> int | str:
    return int(chat) if chat.isascii() and chat.isdecimal() else chat


def whole(value: str | None, default: int) -> int:
    return int(value) if value and value.isascii() and value.isdecimal() else default
