"""Examples of links."""

LINK = {"connectionId": 7}
LINKED = {
    "fanId": 123,
    "recipientId": "fan_123",
    "connectionId": 7,
    "platformUserId": "500123",
    "version": 2,
}
