"""Examples of fans."""

from typing import Any

FAN: dict[str, Any] = {
    "id": 123,
    "userId": 1,
    "name": "John Doe",
    "platform": "onlyfans",
    "handle": "@johndoe",
    "email": "john@example.com",
    "avatar": "https://cdn.example/johndoe.jpg",
    "tags": ["vip", "whale"],
    "valueCents": 50000,
    "lastSeenAt": "2025-11-01T12:00:00.000Z",
    "notes": "High value customer",
    "createdAt": "2025-01-01T00:00:00.000Z",
    "updatedAt": "2025-11-01T12:00:00.000Z",
    "version": 4,
    "tier": "spender",
    "subscription": "active",
    "subscriptionEndsAt": "2025-12-01T12:00:00.000Z",
    "subscriptionTier": "Premium",
    "connectionId": 7,
    "platformUserId": "48210377",
    "linked": True,
    "recipientId": "fan_123",
    "deletedAt": None,
}
FANS = {"fans": [FAN], "total": 1, "totalCapped": False, "nextCursor": None}
ONE = {"fan": FAN}
NEW = {
    "name": "John Doe",
    "platform": "onlyfans",
    "handle": "@johndoe",
    "email": "john@example.com",
    "tags": ["vip", "whale"],
    "valueCents": 50000,
    "lastSeenAt": "2025-11-01T12:00:00Z",
    "notes": "High value customer",
}
UPDATE = {"tags": ["vip"], "notes": None, "valueCents": 62000}
TAG = {"fanIds": [123, 124], "add": ["vip"], "remove": ["new year"]}
TAGGED = {"matched": 2, "changed": 1}
TAGS = {
    "tags": [{"tag": "vip", "fans": 42}, {"tag": "whale", "fans": 7}],
    "countedFans": 1200,
    "totalCapped": False,
}
CHANGE = {
    "id": 9001,
    "fanId": 123,
    "actorId": 1,
    "source": "person",
    "before": {"valueCents": 50000},
    "after": {"valueCents": 62000},
    "at": "2025-11-01T12:00:00.000Z",
}
CHANGES = {"changes": [CHANGE], "total": 1, "totalCapped": False, "nextCursor": None}
EXPORT = {
    "fan": FAN,
    "exportedAt": "2025-11-01T12:00:00.000Z",
    "changes": [],
    "conversations": [{"id": 1, "connectionId": 7, "platform": "onlyfans"}],
    "messages": [{"id": 1, "conversationId": 1, "direction": "in", "text": "Hello!"}],
    "transactions": [],
}
