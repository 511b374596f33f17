"""The numbers that operators watch, by the same names in Prometheus and CloudWatch.

None of them carries an account or a message: those are in the log and the status pages."""

from collections import Counter as Tallied
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client import Counter, Gauge, Histogram

from domain.ports import MetricsUnavailable
from domain.telemetry import Stage, Standing, Tally, Window
from infra.aws import aws_session
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.client import CloudWatchClient

QUEUED_NAME, PROCESSED_NAME = "OnlyFansMessagesQueued", "OnlyFansMessagesProcessed"
FAILED_NAME, DEPTH_NAME = "OnlyFansMessagesFailed", "OnlyFansQueueDepth"
TIME_NAME, ERRORS_NAME = "OnlyFansProcessingTime", "OnlyFansWorkerErrors"
PROMISE_NAME = "OnlyFansPromiseError"
LATENESS_NAME, AGE_NAME = "OnlyFansLateness", "OnlyFansOldestAge"
DEAD_NAME, UNKNOWN_NAME = "OnlyFansDeadLetters", "OnlyFansMessagesUnknown"

QUEUED = Counter(QUEUED_NAME, "Messages accepted")
PROCESSED = Counter(PROCESSED_NAME, "Messages that the platform has taken")
FAILED = Counter(FAILED_NAME, "Messages given up", ["error_code"])
DEPTH = Gauge(DEPTH_NAME, "Messages that wait to be sent", ["lane"])
UNKNOWN = Gauge(UNKNOWN_NAME, "Messages of which nobody knows yet whether they were sent")
TIME = Histogram(
    TIME_NAME,
    "Milliseconds on a message's way, by the part of it",
    ["stage"],
    buckets=(10, 25, 50, 100, 250, 500, 1000, 2000, 3000, 6000, 15_000, 60_000, 600_000),
)
PROMISE = Histogram(
    PROMISE_NAME,
    "Seconds later than promised",
    buckets=(-60, -10, -1, -0.1, 0.1, 1, 2, 6, 15, 60, 600),
)
LATENESS = Gauge(LATENESS_NAME, "Seconds past its announced time of the latest waiting message")
AGE = Gauge(AGE_NAME, "Seconds that the oldest direct reply has waited")
IN_QUEUE = Gauge("OnlyFansQueueMessages", "Tasks that wait in SQS", ["queue"])
DEAD = Gauge(DEAD_NAME, "Tasks given up after five tries", ["queue"])

# What CloudWatch takes in one call, and of different values in one datum.
DATA_MAX, VALUES_MAX = 1000, 150
Datum = dict[str, Any]


class OperatorMetrics:
    """The Metrics port: CloudWatch first, which may refuse, and then Prometheus. Without a
    namespace nothing goes to CloudWatch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> "CloudWatchClient":
        """Made by the one process that tells, when it first does."""
        return aws_session(self._settings).client(
            "cloudwatch",
            endpoint_url=self._settings.aws_endpoint_url,
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2}),
        )

    def tell(
        self,
        window: Window,
        tally: Tally,
        standing: Standing,
        queues: Mapping[str, tuple[int, int]] | None,
        errors: Mapping[datetime, int] | None,
    ) -> None:
        if self._settings.cloudwatch_namespace:
            told = [{"Timestamp": window.end, **one} for one in data(tally, standing, queues)]
            told += [
                {"Timestamp": minute, **_datum(ERRORS_NAME, number)}
                for minute, number in (errors or {}).items()
            ]
            self._put(told)
        _count(tally, standing, queues)

    def _put(self, told: Sequence[Datum]) -> None:
        try:
            for start in range(0, len(told), DATA_MAX):
                self._client.put_metric_data(
                    Namespace=self._settings.cloudwatch_namespace,
                    MetricData=told[start : start + DATA_MAX],  # type: ignore[arg-type]  # as built
                )
        except (BotoCoreError, ClientError) as problem:
            raise MetricsUnavailable(type(problem).__name__) from problem


def data(
    tally: Tally,
    standing: Standing,
    queues: Mapping[str, tuple[int, int]] | None,
) -> Iterator[Datum]:
    """A window as CloudWatch takes it. What alarms watch has no dimension."""
    yield _datum(QUEUED_NAME, tally.queued)
    yield _datum(PROCESSED_NAME, tally.processed)
    yield _datum(FAILED_NAME, sum(tally.failed.values()))
    for code, number in tally.failed.items():
        yield _datum(FAILED_NAME, number, ErrorCode=code)
    yield _datum(DEPTH_NAME, sum(standing.waiting.values()))
    for lane, number in standing.waiting.items():
        yield _datum(DEPTH_NAME, number, Lane=lane.value)
    yield _datum(UNKNOWN_NAME, standing.unknown)
    yield _datum(LATENESS_NAME, standing.lateness, "Seconds")
    yield _datum(AGE_NAME, standing.oldest_age, "Seconds")
    if queues is not None:
        yield _datum(DEAD_NAME, sum(dead for _, dead in queues.values()))
    yield from _spread(TIME_NAME, tally.times.get(Stage.TOTAL, ()), "Milliseconds")
    for stage, values in tally.times.items():
        yield from _spread(TIME_NAME, values, "Milliseconds", Stage=stage.value)
    yield from _spread(PROMISE_NAME, tally.promise_errors, "Seconds")


def _datum(name: str, value: float, unit: str = "Count", **dimensions: str) -> Datum:
    return {
        "MetricName": name,
        "Value": float(value),
        "Unit": unit,
        "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
    }


def _spread(name: str, values: Sequence[float], unit: str, **dimensions: str) -> Iterator[Datum]:
    """Many values as few data, each rounded to two digits: percentiles stay true to a tenth."""
    counted = list(Tallied(float(f"{value:.2g}") for value in values).items())
    for start in range(0, len(counted), VALUES_MAX):
        part = counted[start : start + VALUES_MAX]
        datum = _datum(name, 0, unit, **dimensions)
        del datum["Value"]
        yield datum | {
            "Values": [value for value, _ in part],
            "Counts": [float(number) for _, number in part],
        }


def _count(tally: Tally, standing: Standing, queues: Mapping[str, tuple[int, int]] | None) -> None:
    QUEUED.inc(tally.queued)
    PROCESSED.inc(tally.processed)
    for code, number in tally.failed.items():
        FAILED.labels(code).inc(number)
    for lane, number in standing.waiting.items():
        DEPTH.labels(lane.value).set(number)
    UNKNOWN.set(standing.unknown)
    LATENESS.set(standing.lateness)
    AGE.set(standing.oldest_age)
    for stage, values in tally.times.items():
        for value in values:
            TIME.labels(stage.value).observe(value)
    for error in tally.promise_errors:
        PROMISE.observe(error)
    for queue, (waiting, dead) in (queues or {}).items():
        IN_QUEUE.labels(queue).set(waiting)
        DEAD.labels(queue).set(dead)
