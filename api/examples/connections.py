"""Examples of accounts and their pace."""

from typing import Any

CONNECTION: dict[str, Any] = {
    "connectionId": 7,
    "platform": "onlyfans",
    "name": "Luna",
    "accountId": "acct_luna",
    "state": "active",
    "stateReason": None,
    "ratePerMinute": None,
    "burst": None,
    "createdAt": "2025-01-01T00:00:00.000Z",
    "username": "luna",
    "campaignLimits": {
        "perHour": None,
        "perDay": None,
        "perFanPerDay": None,
        "hours": None,
        "warmUpSince": None,
        "heldUntil": None,
        "heldReason": None,
    },
}
CONNECT = {
    "platform": "onlyfans",
    "accountId": "acct_luna",
    "name": "Luna",
    "accessKey": "the-key-from-the-gateway",
}
LIMITS: dict[str, Any] = {"ratePerMinute": 6, "burst": None}
LIMITED = {**CONNECTION, "ratePerMinute": 6.0}
KEY = {"accessKey": "the-key-from-the-gateway"}
DETAIL: dict[str, Any] = {
    **CONNECTION,
    "health": {
        "lastSyncAt": "2025-11-01T11:58:00.000Z",
        "nextSyncAt": "2025-11-01T12:03:00.000Z",
        "syncError": None,
        "waiting": 3,
        "nextFreeAt": "2025-11-01T12:00:06.030Z",
    },
}
SYNC = {"connectionId": 7, "status": "requested"}
PAUSED = {**CONNECTION, "state": "paused", "stateReason": "paused by hand"}
CONNECTIONS = {"connections": [CONNECTION]}
GLANCE: dict[str, Any] = {
    "connectionId": 7,
    "nextFreeAt": "2025-11-01T12:00:06.030Z",
    "intervalMs": 6030.0,
    "reason": "default rate",
    "waiting": 3,
}
LIMITER = {
    "asOf": "2025-11-01T12:00:01.500Z",
    "enabled": True,
    "connections": [
        {
            **GLANCE,
            "name": "Luna",
            "accountId": "acct_luna",
            "state": "active",
            "stateReason": None,
            "waitingByPriority": {"5": 1, "8": 2},
            "inFlight": 1,
            "permitsOut": 1,
            "slowdown": 0,
            "blockedUntil": None,
            "ratePerMinute": 10.0,
            "burst": 1,
        }
    ],
}
