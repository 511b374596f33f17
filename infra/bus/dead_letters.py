"""DeadLetterQueues on SQS, by the calls that every queue knows: receive, send, delete.

A dead-letter queue has no redrive policy of its own, so looking at a message costs it nothing."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from mypy_boto3_sqs.client import SQSClient

from domain.dead_letters import DeadLetter, Moved
from domain.messages import MessageId
from domain.ports import BusUnavailable
from infra.bus.client import SqsFailed, attempt, make_client
from infra.bus.envelope import NotUnderstood, decode, group_of
from infra.bus.publisher import BATCH_BYTES, BATCH_MESSAGES, PATIENT
from infra.bus.routing import tasks_on
from infra.settings import QUEUES, Settings

# Hidden from everybody else while it is looked at; a command that dies gives it back by then.
LOOKED_AT_SECONDS = 60
# After so many empty answers there is nothing left: one alone may come from an empty shard.
EMPTY_ANSWERS = 2


@dataclass(frozen=True)
class Held:
    """A message in our hands."""

    letter: DeadLetter
    body: str
    receipt: str


class SqsDeadLetters:
    """The dead-letter queues, which are named like their queues plus `-dlq`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._urls = {queue: settings.queue_url(queue) for queue in QUEUES}

    @cached_property
    def _client(self) -> SQSClient:
        """Made when an operator first looks: hardly any process ever does."""
        connect, read = PATIENT
        return make_client(
            self._settings, connect_timeout=connect, read_timeout=read, connections=2
        )

    def browse(self, queue: str, limit: int) -> Sequence[DeadLetter]:
        with _answered():
            held = list(self._take(queue, None, limit))
            self._hand_back(queue, held)
        return sorted((one.letter for one in held), key=lambda letter: letter.sent_at)

    def redrive(
        self,
        queue: str,
        ids: Collection[str] | None,
        limit: int,
        told: Callable[[Sequence[DeadLetter]], None],
    ) -> Moved:
        return self._each(queue, ids, limit, told, resend=True)

    def discard(
        self,
        queue: str,
        ids: Collection[str] | None,
        limit: int,
        told: Callable[[Sequence[DeadLetter]], None],
    ) -> Moved:
        return self._each(queue, ids, limit, told, resend=False)

    def _each(
        self,
        queue: str,
        ids: Collection[str] | None,
        limit: int,
        told: Callable[[Sequence[DeadLetter]], None],
        *,
        resend: bool,
    ) -> Moved:
        done: list[DeadLetter] = []
        left: list[DeadLetter] = []
        with _answered():
            held = list(self._take(queue, ids, limit))
            going = [one for one in held if one.letter.task is not None or not resend]
            stays = [one for one in held if one not in going]
            try:
                while going:
                    batch = _batch(going)
                    gone = self._resend(queue, batch) if resend else batch
                    told([one.letter for one in gone])
                    self._delete(queue, gone)
                    done += [one.letter for one in gone]
                    stays += [one for one in batch if one not in gone]
                    going = going[len(batch) :]
            finally:
                self._hand_back(queue, [*stays, *going])
            left += [one.letter for one in stays]
        return Moved(tuple(done), tuple(left))

    def _take(self, queue: str, ids: Collection[str] | None, limit: int) -> Iterator[Held]:
        """Each message once, until `limit` are taken, all `ids` are found, or nothing is left; what
        is not asked for is handed back at the end."""
        wanted = None if ids is None else set(ids)
        seen: set[str] = set()
        passed: list[Held] = []
        empty = taken = 0
        try:
            while empty < EMPTY_ANSWERS and taken < limit and wanted != set():
                most = BATCH_MESSAGES if wanted is not None else min(BATCH_MESSAGES, limit - taken)
                messages = self._receive(queue, most)
                fresh = [one for one in messages if one.letter.id not in seen]
                # Nothing new is as good as nothing: what we handed out to ourselves came again.
                empty = 0 if fresh else empty + 1
                for one in fresh:
                    seen.add(one.letter.id)
                    if wanted is None or one.letter.id in wanted:
                        taken += 1
                        (wanted or set()).discard(one.letter.id)
                        yield one
                    else:
                        passed.append(one)
        finally:
            self._hand_back(queue, passed)

    def _receive(self, queue: str, count: int) -> list[Held]:
        answer = attempt(
            self._client.receive_message,
            QueueUrl=f"{self._urls[queue]}-dlq",
            MaxNumberOfMessages=count,
            WaitTimeSeconds=1,
            VisibilityTimeout=LOOKED_AT_SECONDS,
            MessageAttributeNames=["reason"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [
            Held(letter_of(queue, one), one["Body"], one["ReceiptHandle"])
            for one in answer.get("Messages", [])
        ]

    def _resend(self, queue: str, batch: Sequence[Held]) -> list[Held]:
        """Returns what SQS took."""
        entries: list[Any] = []
        for number, one in enumerate(batch):
            group = group_of(one.body)
            entry = {"Id": str(number), "MessageBody": one.body}
            entries.append(entry | ({"MessageGroupId": group} if group else {}))
        answer = attempt(
            self._client.send_message_batch, QueueUrl=self._urls[queue], Entries=entries
        )
        return [batch[int(one["Id"])] for one in answer.get("Successful", [])]

    def _delete(self, queue: str, batch: Sequence[Held]) -> None:
        if batch:
            attempt(
                self._client.delete_message_batch,
                QueueUrl=f"{self._urls[queue]}-dlq",
                Entries=[
                    {"Id": str(number), "ReceiptHandle": one.receipt}
                    for number, one in enumerate(batch)
                ],
            )

    def _hand_back(self, queue: str, held: Sequence[Held]) -> None:
        """What this does not reach is visible again within a minute."""
        for start in range(0, len(held), BATCH_MESSAGES):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
                for number, one in enumerate(held[start : start + BATCH_MESSAGES])
            ]
            try:
                attempt(
                    self._client.change_message_visibility_batch,
                    QueueUrl=f"{self._urls[queue]}-dlq",
                    Entries=entries,
                )
            except SqsFailed:
                return


class _answered:  # noqa: N801  # reads as what it is: a context
    """Whatever SQS does not answer becomes BusUnavailable."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, SqsFailed):
            raise BusUnavailable(str(problem)) from problem


def letter_of(queue: str, message: Any) -> DeadLetter:
    """What a message is about: ids and names, never a text that somebody wrote."""
    reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue")
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, tz=UTC)
    task, payload = None, {}
    try:
        call = decode(message["Body"], tasks_on(queue))
    except NotUnderstood as problem:
        reason = reason or str(problem)
    else:
        task, payload = call.task, call.payload
    ids = {
        name: value
        for name, value in payload.items()
        if name.endswith("Id") and isinstance(value, int | str) and len(str(value)) <= 128
    }
    return DeadLetter(
        id=message["MessageId"],
        queue=queue,
        task=task,
        reason=reason,
        payload=ids,
        sent_at=sent,
        row=_row(ids.get("messageId")),
    )


def _row(message_id: object) -> UUID | MessageId | None:
    """Our own events name a message by its number, the documented one by its UUID."""
    if isinstance(message_id, int) and not isinstance(message_id, bool):
        return MessageId(message_id) if 0 < message_id < 2**63 else None
    try:
        return UUID(str(message_id))
    except ValueError:
        return None


def _batch(held: Sequence[Held]) -> list[Held]:
    """As many as one request may carry."""
    batch: list[Held] = []
    size = 0
    for one in held[:BATCH_MESSAGES]:
        size += len(one.body.encode())
        if batch and size > BATCH_BYTES:
            break
        batch.append(one)
    return batch
