"""Examples of health and of the glance at everything."""

from api.examples.connections import GLANCE

DEPENDENCIES = [
    {"name": "postgres", "ok": True, "latencyMs": 0.8},
    {"name": "redis", "ok": True, "latencyMs": 0.4},
    {"name": "sqs", "ok": True, "latencyMs": 12.1},
]
MONITORING = {
    "status": "ok",
    "asOf": "2025-11-01T12:00:01.500Z",
    "build": "dev",
    "dependencies": DEPENDENCIES,
    "queues": [
        {"name": "messages", "depth": 1, "inFlight": 2, "oldestAgeSec": None, "dlqCount": 0}
    ],
    "limiter": [GLANCE],
    "alarms": [
        {
            "name": "queue_depth",
            "severity": "warning",
            "firing": False,
            "value": 42.0,
            "threshold": 100.0,
            "why": "messages accepted and not sent yet; normal while a campaign runs",
        }
    ],
}
HEALTH = {"status": "ok", "build": "dev"}
READY = {"status": "ready", "build": "dev", "dependencies": DEPENDENCIES}
NOT_READY = {
    "status": "not_ready",
    "build": "dev",
    "dependencies": [{"name": "postgres", "ok": False, "latencyMs": 2000.0}],
}
