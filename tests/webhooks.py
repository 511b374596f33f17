"""The gateway's webhooks as it sends them: shapes as captured, with invented people."""

import hashlib
import hmac
import json
from typing import Any

SECRET = "webhook-secret"
ACCOUNT = "acct_luna"
CREATOR = "518588958"


def body(event: str, payload: Any, account: str = ACCOUNT) -> bytes:
    return json.dumps({"event": event, "account_id": account, "payload": payload}).encode()


def signature(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def user(number: int, **more: Any) -> dict[str, Any]:
    """As inside of messages: a number as id."""
    return {
        "view": "s",
        "avatar": f"https://public.example/{number}.jpg",
        "id": number,
        "name": f"Fan {number}",
        "username": f"fan{number}",
        "displayName": "a nickname",
        "subscribedOn": True,
        "lastSeen": None,
    } | more


def message(number: int, at: str, text: str = "<p>Hello</p>", **more: Any) -> dict[str, Any]:
    return {
        "responseType": "message",
        "text": text,
        "giphyId": None,
        "lockedText": False,
        "isFree": True,
        "price": 0,
        "isMediaReady": True,
        "mediaCount": 0,
        "media": [],
        "previews": [],
        "isTip": False,
        "queueId": 1000004,
        "isFromQueue": False,
        "id": number,
        "isOpened": False,
        "isNew": True,
        "createdAt": at,
        "changedAt": at,
        "cancelSeconds": 120,
    } | more


def received(number: int, fan: int, at: str, text: str = "<p>Hello</p>", **more: Any) -> bytes:
    item = message(number, at, text, fromUser=user(fan), **more)
    spending = {"total": 0, "messages": 0, "subscribes": 0, "posts": 0, "tips": 0, "streams": 0}
    return body("messages.received", item | {"fanData": {"spending": spending}})


def sent(number: int, fan: int, at: str, text: str = "<p>Hello</p>", **more: Any) -> bytes:
    return body("messages.sent", message(number, at, text, toUser=user(fan), **more))


def deleted(number: int) -> bytes:
    return body("messages.deleted", {"id": str(number)})


def notification(number: int, kind: str, fan: int, at: str, **more: Any) -> dict[str, Any]:
    """As the platform's bell shows: ids are words, and `user_id` is the creator."""
    return {
        "id": str(number),
        "type": kind,
        "createdAt": at,
        "text": "in words",
        "user_id": CREATOR,
        "isRead": False,
        "user": user(fan, view="mn", subscribedOnData=None),
    } | more


def unlocked(number: int, fan: int, at: str, amount: str) -> bytes:
    pairs = {"{NAME}": "x", "{MESSAGE_LINK}": "<a href='x'>x</a>", "{AMOUNT}": amount}
    return body(
        "messages.ppv.unlocked",
        notification(number, "paided_message", fan, at, replacePairs=pairs),
    )


def tipped(number: int, fan: int, at: str) -> bytes:
    more = {"amountGross": 8, "amountNet": 6.4, "replacePairs": {"{AMOUNT}": "$8.00"}}
    return body("tips.received", notification(number, "tip", fan, at, **more))


def subscribed(number: int, fan: int, at: str, event: str = "new", **more: Any) -> bytes:
    made = notification(number, "subscribed", fan, at)
    made["user"] |= more
    return body(f"subscriptions.{event}", made)


def paid(name: str, fan: int | None, at: str, amount: float, **more: Any) -> bytes:
    """`at` has no zone, ids are words, and amounts are floats; `fan_name` None = an id alone."""
    who: dict[str, Any] | None = None
    if fan is not None:
        who = {"id": str(fan)}
        if more.pop("fan_name", "x") is not None:
            who |= {"username": f"fan{fan}", "name": f"Fan {fan}", "display_name": "x"}
    item = {
        "id": name,
        "created_at": at,
        "type": "message",
        "tips_source": None,
        "amount": amount,
        "vat_amount": 2.21,
        "tax_amount": 0,
        "net_amount": round(amount * 0.8, 2),
        "fee_amount": round(amount * 0.2, 2),
        "currency": "USD",
        "description": 'Payment for message from <a href="https://x.example">Fan</a>',
        "status": "loading",
        "fan": who,
    }
    return body("transactions.new", item | more)


def deliver(crm: Any, raw: bytes, key: str | None = None, **headers: str) -> Any:
    """Send a signed webhook to the application."""
    given = {"Signature": signature(raw), "Content-Type": "application/json"} | headers
    if key is not None:
        given["X-OFAPI-Idempotency-Key"] = key
    return crm.client.post("/api/webhooks/onlyfans", data=raw, headers=given)


def handle_all(crm: Any, now: Any) -> list[str | None]:
    """Handle what waits for a worker, oldest first; the outcomes."""
    rows = crm.sql("SELECT id FROM platform_events WHERE handled_at IS NULL ORDER BY id")
    return [crm.services.inbound.handle(row.id, now) for row in rows]
