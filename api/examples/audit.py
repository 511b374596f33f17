"""Examples of the audit log."""

from typing import Any

LINES: dict[str, Any] = {
    "lines": [
        {
            "id": 12,
            "at": "2025-11-01T12:00:00.000Z",
            "actorId": 1,
            "action": "member.changed",
            "subject": "user",
            "subjectId": "3",
            "detail": {"fields": ["role"], "role": "manager"},
            "requestId": "0d5a6a1f6f6b4d0c",
        }
    ],
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
