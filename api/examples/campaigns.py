"""Examples of campaigns."""

from typing import Any

_ID = "5f0c1a52-6c0d-4b7e-9a52-0d6c2f1f8a11"
_URL = f"/api/messages/bulk/{_ID}"
BULK = {
    "recipientIds": ["fan_1", "fan_2"],
    "content": "Hi {name|you}, 50% off today",
    "campaignName": "Black Friday 2025",
}
_EXCLUDED = {"recipientId": "fan_9", "code": "listed", "reason": "is on an exclude list"}
STARTED = {
    "campaignId": _ID,
    "totalRecipients": 3,
    "estimatedCompletionTime": "2025-11-01T12:05:00.000Z",
    "status": "queued",
    "statusUrl": _URL,
    "duplicates": 0,
    "excludedCount": 1,
    "excluded": [_EXCLUDED],
}
_BRIEF: dict[str, Any] = {
    "campaignId": _ID,
    "id": 4,
    "name": "Black Friday 2025",
    "type": "bulk_message",
    "status": "active",
    "statusUrl": _URL,
    "reason": None,
    "template": {"content": "Hi {name|you}, 50% off today", "mediaUrls": []},
    "priceCents": None,
    "priority": 8,
    "metadata": {},
    "metrics": {"sent": 1, "delivered": 1, "failed": 0, "revenue_cents": 0},
    "progress": {
        "total": 3,
        "sent": 1,
        "delivered": 1,
        "waiting": 2,
        "sending": 1,
        "failed": 0,
        "unknown": 0,
        "unproven": 0,
        "cancelled": 0,
        "gone": 0,
        "percent": 33,
    },
    "purchases": 0,
    "grossCents": 0,
    "promisedCompletionTime": "2025-11-01T12:05:00.000Z",
    "scheduledAt": None,
    "hours": {"from": "09:00", "to": "21:00", "timeZone": "Europe/Paris"},
    "heldUntil": None,
    "failurePercent": 20,
    "createdAt": "2025-11-01T12:00:00.000Z",
    "startedAt": "2025-11-01T12:00:00.000Z",
    "completedAt": None,
    "version": 1,
}
CAMPAIGN = {
    **_BRIEF,
    "targetAudience": {"recipientIds": ["fan_1", "fan_2", "fan_3"], "excludedCount": 1},
    "estimatedCompletionTime": "2025-11-01T12:05:06.000Z",
    "driftSec": 6,
    "delays": {"overtaken": 1},
    "holds": [
        {
            "connectionId": 7,
            "name": "Luna",
            "reason": "hour_cap",
            "text": "the account has sent as much as it may within an hour",
            "until": "2025-11-01T12:04:00.000Z",
        }
    ],
}
PAUSE = {"status": "paused"}
PAUSED = {**CAMPAIGN, "status": "paused", "estimatedCompletionTime": None, "inFlight": 1}
CAMPAIGNS = {"campaigns": [_BRIEF], "total": 1, "totalCapped": False, "nextCursor": None}
RECIPIENTS = {
    "recipients": [
        {
            "position": 1,
            "recipientId": "fan_1",
            "name": "John Doe",
            "handle": "@johndoe",
            "text": "Hi John Doe, 50% off today",
            "messageId": "0d8f7f5c-23b4-4f0a-8b7f-3a1f0f2f7a10",
            "status": "delivered",
            "promisedSendTime": "2025-11-01T12:00:00.000Z",
            "estimatedSendTime": "2025-11-01T12:00:00.000Z",
            "delay": None,
            "sentAt": "2025-11-01T12:00:00.040Z",
            "errorCode": None,
            "purchasedAt": None,
        }
    ],
    "total": 3,
    "totalCapped": False,
    "nextCursor": None,
}
TEST = {"content": "Hi {name|you}, 50% off today"}
ASK = {"recipientIds": ["fan_1", "fan_2"], "content": "Hi {name|you}"}
ESTIMATE = {
    "totalRecipients": 2,
    "duplicates": 0,
    "excludedCount": 0,
    "excluded": [],
    "estimatedCompletionTime": "2025-11-01T12:00:06.000Z",
    "accounts": 1,
    "credits": 2,
    "sqsRequests": 9,
    "replyDelaySec": 6.03,
    "previews": [
        {
            "recipientId": "fan_1",
            "text": "Hi John Doe",
            "promisedSendTime": "2025-11-01T12:00:00.000Z",
        }
    ],
}
