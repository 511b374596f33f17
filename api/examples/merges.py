"""Examples of duplicates and merges."""

from api.examples.fans import FAN

DUPLICATES = {
    "duplicates": [
        {"fan": {**FAN, "id": 204, "recipientId": "fan_204"}, "other": FAN, "reasons": ["email"]}
    ],
    "nextCursor": None,
}
MERGE = {"otherId": 204}
MERGED = {
    "mergeId": 3,
    "keptId": 123,
    "mergedId": 204,
    "at": "2025-11-01T12:00:00.000Z",
    "conversations": 1,
    "transactions": 2,
}
UNDONE = {"mergeId": 3, "keptId": 123, "mergedId": 204, "stayed": ["valueCents"]}
MERGES = {
    "merges": [
        {
            "id": 3,
            "keptId": 123,
            "mergedId": 204,
            "actorId": 1,
            "at": "2025-11-01T12:00:00.000Z",
            "undoneAt": None,
            "undoableUntil": "2025-12-01T12:00:00.000Z",
        }
    ],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
