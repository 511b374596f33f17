"""The Journal port: one JSON line an action, and the Prometheus counters that belong to it."""

from prometheus_client import Counter, Histogram

from infra.logging import get_logger

ACTIONS = Counter("huntaze_actions_total", "What the system did", ["action"])
CALLS = Histogram(
    "huntaze_platform_call_seconds",
    "A platform call, by what it proved",
    ["outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20),
)
SLOT_LATENESS = Histogram(
    "huntaze_slot_lateness_seconds",
    "How long after its slot a call started",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)


class LogJournal:
    """Journal on structlog and Prometheus."""

    def __init__(self) -> None:
        self._log = get_logger()

    def note(self, action: str, **facts: object) -> None:
        self._count(action, facts)
        self._log.info(action, **facts)

    def alert(self, action: str, **facts: object) -> None:
        self._count(action, facts)
        self._log.error(action, **facts)

    @staticmethod
    def _count(action: str, facts: dict[str, object]) -> None:
        ACTIONS.labels(action).inc()
        called, late = facts.get("callMs"), facts.get("slotLateMs")
        if isinstance(called, int) and isinstance(late, int):
            CALLS.labels(str(facts.get("outcome"))).observe(called / 1000)
            SLOT_LATENESS.observe(max(0, late) / 1000)
