"""One queue as its worker sees it.

No call here raises: what SQS did not take, it hands out again after the visibility timeout.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mypy_boto3_sqs.client import SQSClient
from prometheus_client import Counter

from infra.bus.client import SqsFailed, attempt
from infra.logging import get_logger

FAILURES = Counter("huntaze_queue_failures", "Calls that SQS did not answer", ["queue", "call"])
BURIED = Counter("huntaze_dead_letters", "Messages moved to the dead-letter queue", ["queue"])

BATCH_MESSAGES = 10
LONGEST_REASON = 200


@dataclass(frozen=True)
class Received:
    """A message handed out by SQS, for the `receives`-th time."""

    body: str
    receipt: str
    receives: int


class Inbox:
    """Receives from, and settles with, one queue."""

    def __init__(
        self,
        client: SQSClient,
        *,
        queue: str,
        url: str,
        wait_seconds: int,
        longest_pause: float,
        last_receive: int,
    ) -> None:
        self.queue = queue
        self.last_receive = last_receive
        self._client = client
        self._url = url
        self._wait_seconds = wait_seconds
        self._longest_pause = longest_pause
        self._failures = 0  # of receive, in a row
        self._log = get_logger(queue=queue)

    def receive(self, count: int, stopping: Callable[[], bool]) -> list[Received]:
        """Up to `count` messages, after a long poll. While SQS is away this waits, with jitter and
        ever longer, and returns nothing; it stops waiting when `stopping()`."""
        try:
            answer = attempt(
                self._client.receive_message,
                QueueUrl=self._url,
                MaxNumberOfMessages=min(count, BATCH_MESSAGES),
                WaitTimeSeconds=self._wait_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            messages = [
                Received(
                    one["Body"],
                    one["ReceiptHandle"],
                    int(one["Attributes"]["ApproximateReceiveCount"]),
                )
                for one in answer.get("Messages", [])
            ]
        except (SqsFailed, LookupError, TypeError, ValueError, AttributeError) as problem:
            # The others: an answer of status 200 that is none of SQS.
            self._pause(problem, stopping)
            return []
        if self._failures:
            self._log.info("receive_recovered", failures=self._failures)
        self._failures = 0
        return messages

    def delete(self, receipt: str) -> bool:
        """Settle a message for good."""
        return self._tried("delete", self._client.delete_message, ReceiptHandle=receipt)

    def hand_back(self, receipts: Sequence[str]) -> None:
        """Let others have messages at once. Stops at the first failure: a process that ends has no
        time to wait for each of a queue that is away."""
        for start in range(0, len(receipts), BATCH_MESSAGES):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + BATCH_MESSAGES])
            ]
            if not self._tried(
                "hand_back", self._client.change_message_visibility_batch, Entries=entries
            ):
                return

    def bury(self, body: str, reason: str) -> bool:
        """Copy a message to the dead-letter queue, with the reason as an attribute."""
        buried = self._tried(
            "bury",
            self._client.send_message,
            QueueUrl=f"{self._url}-dlq",
            MessageBody=body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": printable(reason)}},
        )
        if buried:
            BURIED.labels(self.queue).inc()
            self._log.warning("message_buried", reason=printable(reason))
        return buried

    def _tried(self, call: str, operation: Callable[..., object], **parameters: object) -> bool:
        try:
            attempt(operation, **{"QueueUrl": self._url, **parameters})
        except SqsFailed as problem:
            FAILURES.labels(self.queue, call).inc()
            self._log.warning("queue_call_failed", call=call, error=str(problem))
            return False
        return True

    def _pause(self, problem: Exception, stopping: Callable[[], bool]) -> None:
        self._failures += 1
        longest = min(self._longest_pause, 0.1 * 2 ** min(self._failures, 10))
        seconds = longest * random.uniform(0.5, 1)
        FAILURES.labels(self.queue, "receive").inc()
        self._log.warning(
            "receive_failed",
            error=str(problem) if isinstance(problem, SqsFailed) else type(problem).__name__,
            failures=self._failures,
            pause_ms=round(seconds * 1000),
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end and not stopping():
            time.sleep(min(0.1, seconds))


def printable(reason: str) -> str:
    """SQS takes neither an empty attribute nor a control character in one."""
    text = "".join(one if one.isprintable() else " " for one in reason[:LONGEST_REASON])
    return text.strip() or "no reason given"
