"""Examples of saved views."""

from typing import Any

NOTHING: dict[str, Any] = {
    "unread": None,
    "unreplied": None,
    "failed": None,
    "platform": None,
    "connectionId": None,
    "from": None,
    "to": None,
    "minSpendCents": None,
    "tier": None,
    "tag": None,
    "online": None,
    "withTips": None,
    "q": None,
    "direct": None,
}
VIEW_REQUEST = {"name": "Whales to answer", "filter": {"unreplied": True, "tier": "whale"}}
SAVED = {
    "id": 7,
    "name": "Whales to answer",
    "filter": {**NOTHING, "unreplied": True, "tier": "whale"},
    "count": 12,
    "countCapped": False,
    "createdAt": "2025-11-01T12:00:00.000Z",
    "updatedAt": "2025-11-01T12:00:00.000Z",
}
VIEW = {"view": SAVED}
VIEWS = {
    "builtIn": [
        {
            "id": name,
            "filter": {**NOTHING, name: True},
            "count": count,
            "countCapped": count == 1000,
        }
        for name, count in (("unread", 1000), ("unreplied", 31), ("failed", 2))
    ],
    "views": [SAVED],
}
