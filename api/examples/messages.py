"""Examples of messages."""

from typing import Any

MESSAGE_ID = "3f1c2a9e-6f0b-4f5e-9d3a-0a9f4c2b7d11"

SEND = {
    "recipientId": "fan_123",
    "content": "Good morning! Something new is waiting for you.",
    "priority": 5,
    "metadata": {"source": "inbox"},
}
QUEUED = {
    "messageId": MESSAGE_ID,
    "status": "queued",
    "queuedAt": "2025-11-01T12:00:00.000Z",
    "estimatedSendTime": "2025-11-01T12:00:06.030Z",
}
ACCEPTED = {
    **QUEUED,
    "notice": {
        "text": "Queued, will be sent shortly",
        "reason": "stored; it goes at its turn",
        "remedy": "nothing to do",
    },
    "statusUrl": f"/api/onlyfans/messages/{MESSAGE_ID}",
}
CANCELLED = {**QUEUED, "status": "cancelled", "estimatedSendTime": None}
UNSENDING = {
    "messageId": MESSAGE_ID,
    "status": "delivered",
    "unsending": True,
    "until": "2025-11-02T12:00:06.031Z",
}
CONFIRMED = {**QUEUED, "status": "sent"}
STATUS: dict[str, Any] = {
    "queueDepth": 42,
    "messagesInFlight": 5,
    "dlqCount": 2,
    "lastProcessedAt": "2025-11-01T12:00:00.000Z",
    "metrics": {
        "messagesQueuedToday": 1234,
        "messagesProcessedToday": 1200,
        "failureRate": 0.0099,
    },
    "asOf": "2025-11-01T12:00:01.500Z",
    "enabled": True,
    "reason": None,
    "unknown": 0,
    "timeZone": "Europe/Paris",
    "sqs": {"depth": 1, "inFlight": 2, "deadLetters": 0},
    "stale": False,
}
ATTEMPT = {
    "attemptNo": 1,
    "sendKey": MESSAGE_ID,
    "claimedAt": "2025-11-01T12:00:05.800Z",
    "slotAt": "2025-11-01T12:00:06.030Z",
    "startedAt": "2025-11-01T12:00:06.031Z",
    "finishedAt": "2025-11-01T12:00:06.420Z",
    "outcome": "rate_limited",
    "httpStatus": 429,
    "errorCode": "ONLYFANS_COM_RATE_LIMIT_ERROR",
    "detail": "the platform asked us to slow down",
    "platformMessageId": None,
}
MESSAGE = {
    "messageId": MESSAGE_ID,
    "id": 9001,
    "status": "queued",
    "recipientId": "fan_123",
    "content": "Good morning! Something new is waiting for you.",
    "priceCents": None,
    "mediaUrls": [],
    "metadata": {"source": "inbox"},
    "priority": 5,
    "queuedAt": "2025-11-01T12:00:00.000Z",
    "promisedSendTime": "2025-11-01T12:00:06.030Z",
    "estimatedSendTime": "2025-11-01T12:00:18.480Z",
    "sentAt": None,
    "delay": "rate_limited",
    "wait": {
        "reason": "turn",
        "text": "next free slot after 1 message",
        "until": "2025-11-01T12:00:18.480Z",
        "ahead": 1,
    },
    "place": 2,
    "notice": {
        "text": "Queued, will be sent shortly",
        "reason": "next free slot after 1 message",
        "remedy": "nothing to do",
    },
    "attempts": [ATTEMPT],
    "platformMessageId": None,
    "errorCode": None,
}
EVIDENCE = {
    "messageId": MESSAGE_ID,
    "status": "queued",
    "promisedSendTime": "2025-11-01T12:00:06.030Z",
    "sentAt": None,
    "attempts": [ATTEMPT],
}
