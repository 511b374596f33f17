"""The shapes of the OFAPI wire: messages, chats, fans, envelopes and pages as the gateway gives
them, and what it checks of a message."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from infra.local.simulator_ledger import CANCEL_SECONDS, Delivery

Json = dict[str, object]

CREATOR_ID = 1


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


def message_view(message: Delivery) -> Json:
    """A message as the gateway shows it: the text is HTML, the price dollars."""
    # Whole seconds, as there.
    at = datetime.fromtimestamp(int(message.received_at), UTC).isoformat()
    return {
        "responseType": "message",
        "id": message.id,
        "text": "<p>" + escape(message.text, quote=False).replace("\n", "<br />\n") + "</p>",
        "price": message.price,
        "isFree": not message.price,
        "lockedText": False,
        "mediaCount": len(message.media),
        "media": [{"id": media, "type": "photo", "isReady": True} for media in message.media],
        "previews": [],
        "queueId": 0,
        "fromUser": {"id": CREATOR_ID if message.from_us else _number(message.chat)},
        "isSentByMe": message.from_us,
        "isFromQueue": False,
        "isOpened": False,
        "isNew": True,
        "createdAt": at,
        "changedAt": at,
        "cancelSeconds": CANCEL_SECONDS,
        "canPurchase": False,
    }


def fan_view(chat: str) -> Json:
    name = f"fan{chat}"
    return {"id": _number(chat), "name": name, "username": name, "displayName": name}


def chat_view(chat: str, last: Delivery) -> Json:
    return {
        "fan": fan_view(chat),
        "lastMessage": message_view(last),
        "unreadMessagesCount": 0,
        "canSendMessage": True,
        "canNotSendReason": None,
    }


def paged(items: Sequence[Json], query: Mapping[str, str], path: str) -> Json:
    """A page of items that stand oldest first if they have ids.

    `last_id` goes on behind that item in the order asked for, `first_id` starts before it; items
    without ids (chats) are paged by `offset`."""
    limit = max(1, min(_whole(query.get("limit"), 10), 100))
    offset = _whole(query.get("offset"), 0)
    rows = list(items)
    if rows and "id" in rows[0]:
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
        on = {"last_id": shown[-1]["id"]} if "id" in shown[-1] else {"offset": offset + limit}
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


def key_problem(key: str) -> str | None:
    if 1 <= len(key) <= 255 and key.isascii() and key.isprintable():
        return None
    return "Use 1 to 255 printable ASCII characters."


def _number(chat: str) -> int | str:
    return int(chat) if chat.isascii() and chat.isdecimal() else chat


def _whole(value: str | None, default: int) -> int:
    return int(value) if value and value.isascii() and value.isdecimal() else default
