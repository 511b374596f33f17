"""Examples of notifications."""

from typing import Any

UNSEEN = {"unseen": 1, "unseenCapped": False, "seenTo": 41}
SEEN_REQUEST = {"upTo": 41}
FAILED: dict[str, Any] = {
    "id": 42,
    "kind": "messages_failed",
    "notice": "Message failed to send",
    "reason": "the platform refused the message",
    "remedy": "change what it names, or check that this fan can receive messages, then retry",
    "createdAt": "2025-11-01T12:00:00.000Z",
    "isSeen": False,
    "isResolved": False,
    "count": 12,
    "openCount": 11,
    "canRetry": True,
    "target": {"type": "campaign", "id": "0b9f8d4e-7f0d-4f0e-9a53-6a2f4f2f7a10"},
    "message": {
        "messageId": "5a4f8f0e-3f1b-4b44-8d0c-1f6f6f7f2b11",
        "conversationId": 7,
        "fanId": 123,
    },
    "connection": {"id": 1, "name": "Luna"},
    "campaign": {"campaignId": "0b9f8d4e-7f0d-4f0e-9a53-6a2f4f2f7a10", "name": "Black Friday 2025"},
    "import": None,
}
NOTIFICATIONS: dict[str, Any] = {
    **UNSEEN,
    "notifications": [FAILED],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
