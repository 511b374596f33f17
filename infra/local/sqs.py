"""SQS queues for the emulator whose cost does not grow with their depth, and that never race.

moto counts and copies every message of a queue at each call, and hands one out twice under
concurrency. These queues replace its storage and its receive, delete and visibility calls; names,
validation, batches and the wire format stay moto's. Standard queues only.
"""

import copy
import heapq
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from threading import Condition
from typing import Any, cast

from moto.core.utils import camelcase_to_underscores, unix_time_millis
from moto.sqs import models
from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid

LONGEST_VISIBILITY_SECONDS = 43_200


class Attributes(Mapping[str, Any]):
    """moto's attributes, each computed only when it is asked for: three of them count messages."""

    def __init__(self, queue: "Queue") -> None:
        self._queue = queue

    def __getitem__(self, name: str) -> Any:
        if name not in models.Queue.BASE_ATTRIBUTES:
            raise KeyError(name)
        value = getattr(self._queue, camelcase_to_underscores(name))
        if name == "RedrivePolicy" and value:
            return json.dumps(value)
        return str(value).lower() if isinstance(value, bool) else value

    def __iter__(self) -> Iterator[str]:
        return iter(models.Queue.BASE_ATTRIBUTES)

    def __len__(self) -> int:
        return len(models.Queue.BASE_ATTRIBUTES)


class Queue(models.Queue):
    """Ready messages in a line, delayed and handed-out ones in a heap by when they are due."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._changed = Condition()
        self._count = itertools.count()
        self._empty()

    def is_created(self) -> bool:
        return True

    def _empty(self) -> None:
        self._ready: deque[tuple[int, models.Message]] = deque()
        self._due: list[tuple[float, int, models.Message]] = []
        self._stored: dict[str, models.Message] = {}  # by message id, in order of arrival
        self._places: dict[str, int] = {}
        self._handed_out: dict[str, str] = {}  # receipt handle -> message id, for good

    @property
    def attributes(self) -> Any:
        return Attributes(self)

    @property
    def messages(self) -> list[models.Message]:
        with self._changed:
            return [one for one in self._stored.values() if one.visible and not one.delayed]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        with self._changed:
            return sum(one.delayed for one in self._stored.values())

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        with self._changed:
            return sum(not one.visible for one in self._stored.values())

    def add_message(self, message: models.Message) -> None:
        with self._changed:
            self._stored[message.id] = message
            self._place(message, max(message.delayed_until, message.visible_at))
            self._changed.notify()

    def _place(self, message: models.Message, due_ms: float) -> None:
        """A message has one live place; an entry of the heap with another number is void."""
        number = self._places[message.id] = next(self._count)
        if due_ms <= unix_time_millis():
            self._ready.append((number, message))
        else:
            heapq.heappush(self._due, (due_ms, number, message))

    def _ripen(self) -> None:
        while self._due and self._due[0][0] <= unix_time_millis():
            _, number, message = heapq.heappop(self._due)
            self._ready.append((number, message))

    def _forget(self, message: models.Message) -> None:
        del self._stored[message.id]
        del self._places[message.id]

    def receive(self, count: int, wait_seconds: float, visibility: int) -> list[models.Message]:
        """Hand out up to `count` messages, waiting for the first without polling."""
        end = time.monotonic() + wait_seconds
        with self._changed:
            while True:
                self._ripen()
                handed_out = self._hand_out(count, visibility)
                left = end - time.monotonic()
                if handed_out or left <= 0:
                    return handed_out
                if self._due:
                    left = min(left, max(0.001, (self._due[0][0] - unix_time_millis()) / 1000))
                self._changed.wait(left)

    def _hand_out(self, count: int, visibility: int) -> list[models.Message]:
        handed_out: list[models.Message] = []
        while self._ready and len(handed_out) < count:
            number, message = self._ready.popleft()
            if self._places.get(message.id) != number:
                continue
            if self._expired(message):
                self._forget(message)
            elif self.dead_letter_queue is not None and self._exhausted(message):
                self._forget(message)
                self.dead_letter_queue.add_message(message)
            else:
                message.mark_received(visibility_timeout=visibility)
                message.receipt_handle = uuid.uuid4().hex
                self._handed_out[message.receipt_handle] = message.id
                self._place(message, message.visible_at if visibility else 0)
                handed_out.append(copy.copy(message))
        if self._ready:
            self._changed.notify()
        return handed_out

    def _expired(self, message: models.Message) -> bool:
        kept_ms: int = self.attributes["MessageRetentionPeriod"] * 1000
        sent_ms: int = message.sent_timestamp or 0
        return sent_ms + kept_ms <= unix_time_millis()

    def _exhausted(self, message: models.Message) -> bool:
        most: int = (self.redrive_policy or {})["maxReceiveCount"]
        return message.approximate_receive_count >= most

    def _message(self, receipt_handle: str) -> models.Message | None:
        """None = deleted already; raises for a handle this queue never gave out."""
        if receipt_handle not in self._handed_out:
            raise ReceiptHandleIsInvalid
        return self._stored.get(self._handed_out[receipt_handle])

    def delete_message(self, receipt_handle: str) -> None:
        with self._changed:
            message = self._message(receipt_handle)
            if message is not None:
                self._forget(message)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        with self._changed:
            message = self._message(receipt_handle)
            if message is None:
                raise ReceiptHandleIsInvalid
            message.change_visibility(seconds)
            if (
                message.visible_at - (message.sent_timestamp or 0)
                > LONGEST_VISIBILITY_SECONDS * 1000
            ):
                raise InvalidParameterValue("VisibilityTimeout is beyond 12 hours after sending")
            self._place(message, message.visible_at if seconds else 0)
            self._changed.notify()

    def purge(self) -> None:
        with self._changed:
            self._empty()


class Backend(models.SQSBackend):
    """moto's calls, led to these queues."""

    __module__ = models.__name__  # moto finds a service's addresses by it

    def create_queue(self, name: str, tags: dict[str, str] | None = None, **given: Any) -> Queue:
        if name in self.queues:  # moto compares the attributes
            return cast("Queue", super().create_queue(name, tags, **given))
        given.pop("region", None)
        queue = Queue(name, region=self.region_name, account_id=self.account_id, **given)
        queue.tags = tags or {}
        self.queues[name] = queue
        return queue

    def get_queue(self, queue_name: str) -> Queue:
        return cast("Queue", super().get_queue(queue_name))

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[models.Message]:
        queue = self.get_queue(queue_name)
        handed_out = queue.receive(count, wait_seconds_timeout, visibility_timeout)
        for message in handed_out:
            names = message_attribute_names or []
            models._filter_message_attributes(message, names)  # noqa: SLF001  # no public name
        return handed_out

    def change_message_visibility(
        self, queue_name: str, receipt_handle: str, visibility_timeout: int
    ) -> None:
        self.get_queue(queue_name).change_visibility(receipt_handle, int(visibility_timeout))

    def purge_queue(self, queue_name: str) -> None:
        self.get_queue(queue_name).purge()


def mend() -> None:
    """Make moto use these queues; once, before anything asks for its SQS."""
    models.sqs_backends.backend = Backend
