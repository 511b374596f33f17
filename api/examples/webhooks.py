"""Examples of webhooks."""

RECEIVED = {"received": True}
MESSAGE_RECEIVED = {
    "event": "messages.received",
    "account_id": "acct_luna",
    "payload": {
        "id": 4242,
        "text": "<p>Hello!</p>",
        "price": 0,
        "mediaCount": 0,
        "media": [],
        "fromUser": {"id": 501, "name": "John Doe", "username": "johndoe"},
        "createdAt": "2025-11-01T12:00:00+00:00",
        "isOpened": False,
    },
}
