"""When to wake somebody: one table of rules, and a pure function from numbers to alarms.

The API, the pages and the templates of a deployment read the same table. The first four are the
product owner's; a campaign alone makes the queue deep, so lateness and age come on top of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FAILURE_WINDOW = timedelta(minutes=15)
# Below this one failure would already be an alarm.
FAILURE_MIN_SENDS = 20


class Severity(StrEnum):
    """Critical wakes somebody; a warning is looked at in the morning."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Numbers:
    """Where we stand; None is what cannot be told now. `sent` and `failed` are those of the last
    FAILURE_WINDOW, `worker_errors` those of the last minute; the rest is in seconds."""

    depth: int | None = None
    dead_letters: int | None = None
    sent: int | None = None
    failed: int | None = None
    worker_errors: int | None = None
    lateness: float | None = None
    oldest_age: float | None = None

    @property
    def failure_rate(self) -> float | None:
        """None as well while there is too little to judge by."""
        if self.sent is None or self.failed is None:
            return None
        done = self.sent + self.failed
        return round(self.failed / done, 4) if done >= FAILURE_MIN_SENDS else None


@dataclass(frozen=True)
class Rule:
    """It fires above its threshold, never at it. `unit` is for people: share, s, or nothing."""

    name: str
    title: str
    severity: Severity
    threshold: float
    why: str
    value: Callable[[Numbers], float | None]
    unit: str = ""


RULES = (
    Rule(
        "queue_depth",
        "Queue depth",
        Severity.WARNING,
        100,
        "messages accepted and not sent yet; normal while a campaign runs",
        lambda numbers: numbers.depth,
    ),
    Rule(
        "dead_letters",
        "Dead letters",
        Severity.CRITICAL,
        10,
        "queue messages given up after five tries",
        lambda numbers: numbers.dead_letters,
    ),
    Rule(
        "failure_rate",
        "Failure rate",
        Severity.WARNING,
        0.05,
        f"failed / (sent + failed) in the last 15 minutes, judged from {FAILURE_MIN_SENDS} on",
        lambda numbers: numbers.failure_rate,
        "share",
    ),
    Rule(
        "worker_errors",
        "Worker errors per minute",
        Severity.CRITICAL,
        10,
        "tasks of workers that ended with an error within a minute",
        lambda numbers: numbers.worker_errors,
    ),
    Rule(
        "lateness",
        "Lateness",
        Severity.CRITICAL,
        60,
        "how long past its announced time the latest waiting message is",
        lambda numbers: numbers.lateness,
        "s",
    ),
    Rule(
        "oldest_age",
        "Oldest direct reply",
        Severity.CRITICAL,
        900,
        "how long the oldest direct reply of an account that sends has waited",
        lambda numbers: numbers.oldest_age,
        "s",
    ),
)


@dataclass(frozen=True)
class Alarm:
    """A rule and where we stand; `value` is None when it cannot be told."""

    name: str
    title: str
    severity: str
    firing: bool
    value: float | None
    threshold: float
    why: str
    unit: str = ""

    @property
    def state(self) -> str:
        if self.value is None:
            return "unknown"
        return "firing" if self.firing else "quiet"


def judge(numbers: Numbers) -> Sequence[Alarm]:
    """Every rule's alarm, in the order of the table."""
    return [_judged(rule, numbers) for rule in RULES]


def _judged(rule: Rule, numbers: Numbers) -> Alarm:
    value = rule.value(numbers)
    return Alarm(
        name=rule.name,
        title=rule.title,
        severity=rule.severity,
        firing=value is not None and value > rule.threshold,
        value=value,
        threshold=rule.threshold,
        why=rule.why,
        unit=rule.unit,
    )
