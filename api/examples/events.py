"""Examples of the journal of what the platform told."""

from typing import Any

EVENT: dict[str, Any] = {
    "id": 77,
    "event": "messages.received",
    "connectionId": 7,
    "receivedAt": "2025-11-01T12:00:00.000Z",
    "handledAt": "2025-11-01T12:00:00.080Z",
    "outcome": "handled",
    "tries": 0,
    "replayable": True,
}
EVENTS = {"events": [EVENT], "total": 1, "totalCapped": False, "nextCursor": None}
REPLAYED = {"event": {**EVENT, "handledAt": None, "outcome": None}}
