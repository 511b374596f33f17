"""Celery over our own SQS transport: synchronous, one queue per process, receiving only.

kombu's own SQS transport ends the worker at the first 5xx answer, waits forever on a half-open
connection, and on failure deletes a message that nobody redrives. This one stands on kombu's
interface for virtual transports, but also reaches into parts that no release promises to keep
(`QoS._delivered`, `Message._decode`, `Channel._consumers`, `celery.worker.state`): pyproject.toml
therefore pins both to the version that these were read in and tested with.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from celery.worker import state as worker_state
from kombu import Queue
from kombu.transport import virtual
from prometheus_client import Histogram
from structlog.contextvars import bound_contextvars

from infra import tracing
from infra.bus.client import make_client
from infra.bus.envelope import Call, NotUnderstood, decode
from infra.bus.inbox import Inbox, Received
from infra.bus.routing import MAX_RECEIVES, tasks_on
from infra.logging import failure, get_logger
from infra.settings import Settings

TASKS = Histogram(
    "huntaze_task_seconds",
    "How long a task took, by its outcome",
    ["queue", "task", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# The long poll also bounds how long an idle worker takes to stop: it cannot be interrupted, and
# SQS might hand a message to a connection that nobody reads any more.
WAIT_SECONDS = 5
# Beyond the long poll, so that only a dead connection is given up.
READ_SLACK_SECONDS = 5
CONNECT_SECONDS = 3
# While SQS is away, between two tries.
LONGEST_PAUSE_SECONDS = 10.0
LastFailure = Callable[[str, dict[str, Any], str], None]


class Poison(Exception):
    """Raised by a task for a message that can never succeed: it moves to the dead-letter queue at
    once. The reason is shown to operators; it must not quote the message."""


def stopping() -> bool:
    """Whether this worker was told to end."""
    return worker_state.should_stop is not None or worker_state.should_terminate is not None


class QoS(virtual.QoS):
    """Hands unsettled messages back when the channel closes.

    kombu's own would write those that it cannot hand back, text and all, to a file in /tmp."""

    channel: "Channel"

    def restore_unacked(self) -> None:
        delivered: dict[str, Any] = self._delivered or {}
        settled: set[str] = self._dirty or set()
        receipts = [receipt for receipt in delivered if receipt not in settled]
        delivered.clear()
        self.channel.inbox.hand_back(receipts)


class Message(virtual.Message):
    """A message that `envelope` has read already: its body is Celery's (args, kwargs, embed).

    No content type tells Celery to take the body as it is, and `_decode` tells kombu."""

    def _decode(self) -> Any:
        return self.body


class Channel(virtual.Channel):
    """Between Celery's consumer and the inbox."""

    QoS = QoS
    Message = Message

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(connection, **options)
        given = connection.client.transport_options
        self.inbox: Inbox = given["inbox"]
        self._tasks: frozenset[str] = given["tasks"]
        self._settled = threading.Event()

    def drain(self, timeout: float) -> None:
        """Receive once and hand over what came; waits while every thread is busy."""
        if not self._consumers:
            return
        self._settled.clear()
        room = self.qos.can_consume_max_estimate()
        if not room:
            self._settled.wait(min(timeout, 0.5))
            return
        messages = self.inbox.receive(room, stopping)
        if stopping():
            self.inbox.hand_back([one.receipt for one in messages])
            return
        for one in messages:
            self._hand_over(one)

    def _hand_over(self, received: Received) -> None:
        try:
            call = decode(received.body, self._tasks)
        except NotUnderstood as problem:
            if self.inbox.bury(received.body, str(problem)):
                self.inbox.delete(received.receipt)
            return
        queue = self.inbox.queue
        self.connection.on_message_ready(self, as_kombu(call, received, queue), queue)  # type: ignore[arg-type]  # it takes raw ones

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # kombu's signature
        self.inbox.delete(delivery_tag)
        self._settle(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  # kombu's signature
        """Without `requeue` SQS hands it out again after the visibility timeout, or redrives it."""
        if requeue:
            self.inbox.hand_back([delivery_tag])
        self._settle(delivery_tag)

    def _settle(self, delivery_tag: str) -> None:
        self.qos.ack(delivery_tag)
        self._settled.set()


class Transport(virtual.Transport):
    """`asynchronous=False` makes Celery use its blocking loop, and thereby boto3's timeouts."""

    Channel = Channel
    driver_type = driver_name = "sqs"
    implements = virtual.Transport.implements.extend(asynchronous=False)

    def drain_events(  # type: ignore[override]  # its two stubs disagree
        self,
        connection: Any,  # noqa: ARG002  # kombu's signature
        timeout: float | None = None,
    ) -> None:
        """Unlike kombu's, never spins while the worker is busy."""
        for channel in list(self.channels or ()):
            if isinstance(channel, Channel) and not stopping():
                channel.drain(timeout or 1)


def as_kombu(call: Call, received: Received, queue: str) -> dict[str, Any]:
    """What a virtual channel takes for a raw message."""
    return {
        "body": ((call.payload,), {}, {}),
        "headers": {"task": call.task, "id": call.task_id, "root_id": call.task_id},
        "properties": {
            "delivery_tag": received.receipt,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "correlation_id": call.correlation_id,
            "traceparent": call.traceparent,
            "received": received,
        },
    }


class Doorway(Task):  # type: ignore[type-arg]  # generic in its stub only
    """The base of every task: binds the correlation id, goes on with the trace, maps the
    outcome, writes one line."""

    app: "QueueWorker"

    def __call__(self, payload: dict[str, Any]) -> None:
        correlation_id, queue = self.request.correlation_id, self.app.inbox.queue
        around = (self.request.properties or {})["traceparent"]
        facts = {
            "messaging.destination.name": queue,
            "huntaze.correlation_id": correlation_id or "",
        }
        with (
            bound_contextvars(correlation_id=correlation_id, queue=queue),
            tracing.span(self.name, facts, kind="CONSUMER", parent=around),
        ):
            started = time.monotonic()
            outcome, details = self._outcome(payload)
            seconds = time.monotonic() - started
            TASKS.labels(queue, self.name, outcome).observe(seconds)
            if outcome != "done":
                tracing.tell({"error.type": str(details.get("error", outcome))})
            log = get_logger()
            say = log.info if outcome == "done" else log.error
            say(
                "task_finished",
                task=self.name,
                outcome=outcome,
                duration_ms=round(seconds * 1000),
                **details,
            )
        if outcome != "done" and self.app.on_error is not None:
            self.app.on_error()
        if outcome == "failed":
            # Not the exception itself: Celery would log its text.
            raise Reject("failed", requeue=False)

    def _outcome(self, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        received: Received = (self.request.properties or {})["received"]
        try:
            self.run(payload)
        except Poison as poison:
            # Buried, then deleted by the acknowledgement; unburied it is received again.
            buried = self.app.inbox.bury(received.body, str(poison))
            return "poisoned" if buried else "failed", {"receives": received.receives}
        except Exception as problem:  # noqa: BLE001  # any failure goes back to the queue
            if received.receives >= self.app.inbox.last_receive:
                self._tell_last_failure(payload, type(problem).__name__)
            return "failed", {"receives": received.receives, **failure(problem)}
        return "done", {}

    def _tell_last_failure(self, payload: dict[str, Any], reason: str) -> None:
        if self.app.on_last_failure is None:
            return
        try:
            self.app.on_last_failure(self.name, payload, reason)
        except Exception as problem:  # noqa: BLE001  # the failure it tells of still counts
            get_logger().error("last_failure_untold", task=self.name, **failure(problem))


class QueueWorker(Celery):
    """Celery for one queue. `on_last_failure(task, payload, reason)` is called when a task fails
    at its last receive, just before SQS moves the message to the dead-letter queue; `on_error()`
    whenever one fails or is buried."""

    inbox: Inbox
    on_last_failure: LastFailure | None = None
    on_error: Callable[[], None] | None = None

    def task(self, *given: Any, **options: Any) -> Any:
        """Not shared: Celery adds a shared task to every other application of the process."""
        return super().task(*given, **{**options, "shared": False})


def make_celery(
    settings: Settings,
    queue: str,
    *,
    threads: int = 8,
    wait_seconds: int = WAIT_SECONDS,
    longest_pause: float = LONGEST_PAUSE_SECONDS,
    on_last_failure: LastFailure | None = None,
    on_error: Callable[[], None] | None = None,
) -> QueueWorker:
    """A Celery application that consumes one of `infra.settings.QUEUES`; nothing is contacted."""
    client = make_client(
        settings,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=wait_seconds + READ_SLACK_SECONDS,
        connections=threads + 1,
    )
    app = QueueWorker(queue, task_cls=Doorway, set_as_current=False)
    app.on_last_failure = on_last_failure
    app.on_error = on_error
    app.inbox = Inbox(
        client,
        queue=queue,
        url=settings.queue_url(queue),
        wait_seconds=wait_seconds,
        longest_pause=longest_pause,
        last_receive=MAX_RECEIVES,
    )
    app.conf.update(
        broker_url="sqs://localhost",  # unused, but kombu wants a host
        broker_transport="infra.bus.broker:Transport",
        broker_transport_options={"inbox": app.inbox, "tasks": tasks_on(queue)},
        broker_connection_retry_on_startup=True,
        task_queues=[Queue(queue, routing_key=queue)],
        task_default_queue=queue,
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_acks_late=True,
        task_acks_on_failure=False,
        task_acks_on_timeout=False,
        task_reject_on_worker_lost=True,
        worker_concurrency=threads,
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app
