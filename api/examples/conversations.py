"""Examples of conversations."""

from typing import Any

from api.examples import messages, threads

CONVERSATION: dict[str, Any] = {
    "id": 1,
    "userId": 1,
    "fanId": 123,
    "platform": "onlyfans",
    "lastMessageAt": "2025-11-01T12:00:00.000Z",
    "unreadCount": 3,
    "fan": {
        "id": 123,
        "name": "John Doe",
        "avatar": "https://cdn.example.com/john.jpg",
        "handle": "@johndoe",
        "tier": "whale",
        "valueCents": 50000,
        "tags": ["vip", "whale"],
        "subscription": "active",
        "lastSeenAt": "2025-11-01T12:00:00.000Z",
    },
    "connectionId": 1,
    "lastDirection": "in",
    "isDirect": True,
    "lastMessage": {
        "id": 9001,
        "direction": "in",
        "text": "Hello!",
        "createdAt": "2025-11-01T12:00:00.000Z",
        "status": None,
    },
}
CONVERSATIONS = {
    "conversations": [CONVERSATION],
    "total": 42,
    "totalCapped": False,
    "nextCursor": "WyJjb252ZXJzYXRpb25zIiwiMjAyNS0xMS0wMVQxMjowMDowMCswMDowMCIsMV0",
}
OPENED = {
    "conversation": CONVERSATION,
    "panel": {
        "valueCents": 50000,
        "tipsCents": 1700,
        "grossCents": 50000,
        "netCents": 40000,
        "lastPurchaseAt": "2025-10-30T20:00:00.000Z",
        "subscriptionEndsAt": "2025-11-30T00:00:00.000Z",
        "notes": "High value customer",
        "alreadySent": [
            {
                "messageId": 8990,
                "type": "image",
                "url": "https://media.s3.amazonaws.com/one.jpg",
                "createdAt": "2025-10-30T19:00:00.000Z",
            }
        ],
        "alreadyBought": [
            {
                "messageId": 8990,
                "text": "This one is for you.",
                "priceCents": 1200,
                "urls": ["https://media.s3.amazonaws.com/one.jpg"],
                "purchasedAt": "2025-10-30T20:00:00.000Z",
            }
        ],
    },
}
READ = {"conversation": {**CONVERSATION, "unreadCount": 0}}
UNREAD = {"conversation": {**CONVERSATION, "unreadCount": 1}}
WRITE = {
    "text": "Good morning! This one is for you.",
    "priceCents": 500,
    "attachments": [{"type": "image", "url": "https://media.s3.amazonaws.com/one.jpg"}],
}
WRITTEN = {
    **messages.QUEUED,
    "estimatedSendTime": None,
    "message": threads.WRITTEN,
}
