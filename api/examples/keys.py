"""Examples of API keys."""

from typing import Any

MAKE = {"name": "Nightly export"}
KEY: dict[str, Any] = {
    "id": 4,
    "name": "Nightly export",
    "prefix": "hz_Jq3v8Zk",
    "memberId": 1,
    "createdAt": "2025-11-01T12:00:00.000Z",
    "lastUsedAt": None,
}
KEYS = {"keys": [{**KEY, "lastUsedAt": "2025-11-01T12:30:00.000Z"}], "total": 1}
MADE = {"key": KEY, "secret": "hz_Jq3v8Zk..."}
