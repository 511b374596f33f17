"""Examples of messages in threads."""

from typing import Any

RECEIVED: dict[str, Any] = {
    "id": 1,
    "conversationId": 1,
    "fanId": 123,
    "direction": "in",
    "text": "Hello!",
    "priceCents": None,
    "read": True,
    "attachments": [],
    "sentByAi": False,
    "createdAt": "2025-11-01T11:00:00.000Z",
    "status": None,
    "messageId": "8d0f6e0e-5f3d-4a53-9c52-0b6a9a3ef0a1",
    "connectionId": 1,
    "estimatedSendTime": None,
    "sentAt": None,
    "delay": None,
    "errorCode": None,
    "openedAt": None,
    "purchasedAt": None,
    "deletedAt": None,
    "notice": None,
    "canUnsend": False,
    "unsending": False,
}
WRITTEN: dict[str, Any] = {
    **RECEIVED,
    "id": 2,
    "direction": "out",
    "text": "Good morning! This one is for you.",
    "priceCents": 500,
    "read": False,
    "attachments": [{"type": "image", "url": "https://media.s3.amazonaws.com/one.jpg"}],
    "createdAt": "2025-11-01T12:00:00.000Z",
    "status": "queued",
    "messageId": "3f1c2a9e-6f0b-4f5e-9d3a-0a9f4c2b7d11",
    "notice": {
        "text": "Queued, will be sent shortly",
        "reason": "stored; it goes at its turn",
        "remedy": "nothing to do",
    },
}
THREAD = {
    "messages": [RECEIVED, WRITTEN],
    "total": 2,
    "totalCapped": False,
    "nextCursor": None,
    "previousCursor": "WyJ0aHJlYWQiLCIyMDI1LTExLTAxVDEyOjAwOjAwKzAwOjAwIiwyXQ",
}
MESSAGES = {"messages": [WRITTEN, RECEIVED], "total": 2, "totalCapped": False, "nextCursor": None}
