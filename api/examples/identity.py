"""Examples of logging in."""

from typing import Any

LOGIN = {"email": "ann@example.com", "password": "correct horse battery"}
PASSWORD = {"current": "correct horse battery", "new": "staple of the battery"}
USER = {"id": 1, "email": "ann@example.com", "role": "owner"}
LOGGED_IN = {
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.signature",
    "tokenType": "Bearer",
    "expiresAt": "2025-11-01T13:00:00.000Z",
    "user": USER,
}
SESSION = {
    "expiresAt": "2025-11-01T13:00:00.000Z",
    "csrfToken": "5b1a0c5f7f6a4a4d9b53f0f1f3b0e9a1",
    "user": USER,
}
ME: dict[str, Any] = {
    "id": 3,
    "ownerId": 1,
    "email": "carl@example.com",
    "role": "chatter",
    "permissions": ["read", "send", "edit"],
    "timeZone": "Europe/Paris",
    "apiKeyId": None,
}
