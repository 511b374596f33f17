"""Examples of dead letters."""

from typing import Any

DEAD_LETTERS: dict[str, Any] = {
    "deadLetters": [
        {
            "messageId": "5a4f8f0e-3f1b-4b44-8d0c-1f6f6f7f2b11",
            "conversationId": 7,
            "fanId": 123,
            "connectionId": 1,
            "status": "queued",
            "deadAt": "2025-11-01T12:00:00.000Z",
            "reason": "its queue task failed five times (Unavailable)",
            "remedy": "nothing to do: it goes by itself; redrive it to try at once, or discard it",
            "canRedrive": True,
        }
    ],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
