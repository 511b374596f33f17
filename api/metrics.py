"""What Prometheus reads of the web processes, summed over all of them."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Counter("huntaze_http_requests", "Answers by route", ["method", "route", "status"])
SECONDS = Histogram(
    "huntaze_http_request_seconds",
    "How long answers took",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer. `route` is the rule, never the address: ids must not become labels."""
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)


def exposition() -> bytes:
    """Every counter in Prometheus' text format."""
    try:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # not typed
    except ValueError:  # PROMETHEUS_MULTIPROC_DIR is not set: one process, counted in memory
        registry = REGISTRY
    return generate_latest(registry)
