"""Bus port on SQS: boto3 alone, so that a web process needs no Celery.

Publishing is a wake-up, not a promise: rows say what must still happen, so it tries once and tells
what was refused.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef
from prometheus_client import Counter

from domain.events import Event
from domain.ports import BusUnavailable, QueueDepth
from infra import tracing
from infra.bus.client import SqsFailed, attempt, make_client
from infra.bus.envelope import encode
from infra.bus.routing import route_of
from infra.logging import get_logger
from infra.settings import QUEUES, Settings

PUBLISHED = Counter(
    "huntaze_events_published", "Events by what became of them", ["event", "result"]
)

# SQS takes ten messages and 1 MiB a request; the rest of the MiB is for group ids.
BATCH_MESSAGES = 10
BATCH_BYTES = 1_000_000
# After a failure nobody asks SQS for this long.
REST_SECONDS = 2.0
# Connect and read timeouts: a request waits for SQS 1 s at most, a background process longer.
HASTY = (0.3, 0.7)
PATIENT = (2.0, 5.0)


@dataclass(frozen=True)
class Letter:
    """An event ready to be sent."""

    event: Event
    queue: str
    body: str


class SqsBus:
    """Publishes events to their queues, and counts what waits there."""

    def __init__(
        self,
        settings: Settings,
        *,
        patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        connect, read = PATIENT if patient else HASTY
        self._client = make_client(
            settings, connect_timeout=connect, read_timeout=read, connections=32
        )
        self._urls = {queue: settings.queue_url(queue) for queue in QUEUES}
        self._clock = clock
        self._rests_until = float("-inf")
        self._log = get_logger()

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        """Send in batches, trying once; returns what was refused, in order. Never raises."""
        with tracing.span(
            "publish", {"messaging.batch.message_count": len(events)}, kind="PRODUCER"
        ):
            letters, refused = self._letters(events)
            for batch in batches(letters):
                refused |= self._send(batch)
        for event in events:
            result = "refused" if event.event_id in refused else "accepted"
            PUBLISHED.labels(event.name, result).inc()
        return [event for event in events if event.event_id in refused]

    def depths(self, *queues: str) -> Sequence[QueueDepth]:
        """The depth of these queues, or of all, as SQS knows it; raises BusUnavailable.

        The oldest message's age is in CloudWatch only."""
        try:
            return [self._depth(queue) for queue in queues or QUEUES]
        except (SqsFailed, LookupError) as problem:  # the latter: somebody else's answer
            raise BusUnavailable(str(problem)) from problem

    def _letters(self, events: Sequence[Event]) -> tuple[list[Letter], set[str]]:
        letters, refused = [], set()
        around = tracing.traceparent()
        for event in events:
            route = route_of(event.payload)
            traced = replace(event, traceparent=event.traceparent or around)
            try:
                letters.append(Letter(event, route.queue, encode(traced, route)))
            except ValueError as problem:
                kind = type(problem).__name__
                self._log.error("event_unwritable", event_name=event.name, error=kind)
                refused.add(event.event_id)
        return letters, refused

    def _send(self, batch: Sequence[Letter]) -> set[str]:
        """Send one batch; returns the ids of the events that SQS did not take."""
        ids = [letter.event.event_id for letter in batch]
        if self._clock() < self._rests_until:
            return set(ids)
        try:
            answer = attempt(
                self._client.send_message_batch,
                QueueUrl=self._urls[batch[0].queue],
                Entries=[entry(number, letter) for number, letter in enumerate(batch)],
            )
        except SqsFailed as problem:
            self._rests_until = self._clock() + REST_SECONDS
            self._log.warning(
                "publish_failed", queue=batch[0].queue, events=len(batch), error=str(problem)
            )
            return set(ids)
        for one in answer.get("Failed", []):
            self._log.warning("event_refused", queue=batch[0].queue, code=one.get("Code"))
        # Only what SQS names was taken: an answer of status 200 may come from somebody else.
        return set(ids) - {ids[int(one["Id"])] for one in answer.get("Successful", [])}

    def _depth(self, queue: str) -> QueueDepth:
        url = self._urls[queue]
        waiting, in_flight = self._counts(url)
        dead_letters, _ = self._counts(f"{url}-dlq")
        return QueueDepth(
            queue, waiting, in_flight, oldest_age_seconds=None, dead_letters=dead_letters
        )

    def _counts(self, url: str) -> tuple[int, int]:
        answer = attempt(
            self._client.get_queue_attributes,
            QueueUrl=url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        found = answer["Attributes"]
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
        )


def batches(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Cut into requests that SQS accepts: one queue, ten messages, a megabyte."""
    for _, of_queue in groupby(sorted(letters, key=queue_of), key=queue_of):
        batch: list[Letter] = []
        size = 0
        for letter in of_queue:
            length = len(letter.body)  # the body is ASCII
            if batch and (len(batch) == BATCH_MESSAGES or size + length > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(letter)
            size += length
        yield batch


def queue_of(letter: Letter) -> str:
    return letter.queue


def entry(number: int, letter: Letter) -> SendMessageBatchRequestEntryTypeDef:
    """One message of a batch; its group keeps a busy connection from starving the others."""
    found: SendMessageBatchRequestEntryTypeDef = {"Id": str(number), "MessageBody": letter.body}
    if letter.event.group:
        found["MessageGroupId"] = letter.event.group
    return found
