"""Examples of logging in."""

LOGIN = {"email": "ann@example.com", "password": "correct horse battery"}
LOGGED_IN = {
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.signature",
    "tokenType": "Bearer",
    "expiresAt": "2025-11-01T13:00:00.000Z",
    "user": {"id": 1, "email": "ann@example.com", "role": "owner"},
}
