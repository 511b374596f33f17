"""Examples of analytics."""

from typing import Any

from domain.analytics import DEFINITIONS

FILTER: dict[str, Any] = {
    "from": "2025-11-01",
    "to": "2025-11-01",
    "timeZone": "America/New_York",
    "platform": None,
    "connectionIds": [],
    "tags": ["vip"],
    "tagMatch": "any",
    "basis": "net",
    "activeDays": 30,
}
MONEY = {
    "revenueCents": 1360,
    "netCents": 1360,
    "grossCents": 1700,
    "feesCents": 340,
    "refundedCents": 0,
    "purchases": 1,
}
AS_OF = {"filter": FILTER, "asOf": "2025-11-01T12:00:00.000Z"}
OVERVIEW = {
    "overview": {
        **MONEY,
        "totalFans": 1234,
        "activeFans": 856,
        "lifetimeValueCents": 1234500,
        "averageValueCents": 1000,
        "messagesSent": 1200,
        "messagesFailed": 33,
        "failureRate": 0.0268,
    },
    "definitions": dict(DEFINITIONS),
    **AS_OF,
}
REVENUE = {"days": [{**MONEY, "date": "2025-11-01"}], "totals": MONEY, **AS_OF}
TOP_FANS = {
    "topFans": [
        {
            **MONEY,
            "id": 123,
            "name": "John Doe",
            "handle": "@johndoe",
            "avatar": None,
            "valueCents": 50000,
        }
    ],
    **AS_OF,
}
_SLOT = {**MONEY, "sent": 40, "delivered": 12, "purchased": 1}
MESSAGES = {
    "hours": [{**_SLOT, "hour": 8}],
    "weekdays": [{**_SLOT, "weekday": "saturday"}],
    **AS_OF,
}
