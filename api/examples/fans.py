"""Examples of fans."""

FANS = {
    "fans": [
        {
            "id": 123,
            "userId": 1,
            "name": "John Doe",
            "platform": "onlyfans",
            "handle": "@johndoe",
            "email": "john@example.com",
            "avatar": None,
            "tags": ["vip", "whale"],
            "valueCents": 50000,
            "lastSeenAt": "2025-11-01T12:00:00.000Z",
            "notes": "High value customer",
            "createdAt": "2025-01-01T00:00:00.000Z",
            "updatedAt": "2025-11-01T12:00:00.000Z",
            "linked": True,
            "recipientId": "fan_123",
        }
    ],
    "total": 1,
    "nextCursor": None,
}
