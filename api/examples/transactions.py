"""Examples of money."""

from typing import Any

TRANSACTION: dict[str, Any] = {
    "id": 301,
    "connectionId": 7,
    "fanId": 123,
    "fan": {"id": 123, "name": "John Doe"},
    "messageId": 9001,
    "source": "webhook",
    "type": "message",
    "grossCents": 1700,
    "feeCents": 340,
    "netCents": 1360,
    "vatCents": 221,
    "taxCents": 0,
    "currency": "USD",
    "status": "loading",
    "description": "Payment for message",
    "happenedAt": "2025-11-01T12:00:00.000Z",
    "reversedAt": None,
}
TRANSACTIONS = {
    "transactions": [TRANSACTION],
    "totals": {
        "grossCents": 1700,
        "netCents": 1360,
        "feeCents": 340,
        "vatCents": 221,
        "refundedCents": 0,
        "count": 1,
        "capped": False,
    },
    "total": 1,
    "totalCapped": False,
    "nextCursor": None,
}
NEW = {
    "fanId": 123,
    "type": "tip",
    "grossCents": 2000,
    "feeCents": 0,
    "description": "Paid another way",
    "happenedAt": "2025-11-01T12:00:00Z",
}
_ENTERED = {
    **TRANSACTION,
    "connectionId": None,
    "messageId": None,
    "source": "manual",
    "type": "tip",
    "grossCents": 2000,
    "feeCents": 0,
    "netCents": 2000,
    "vatCents": 0,
    "status": None,
    "description": "Paid another way",
}
ENTERED = {"transaction": _ENTERED}
REVERSED = {
    "transaction": {**_ENTERED, "status": "reversed", "reversedAt": "2025-11-02T09:00:00.000Z"}
}
