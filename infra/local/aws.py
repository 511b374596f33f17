"""The AWS emulator: moto behind waitress, with our queues and bucket there before it answers.

`SQS_EMULATOR=ministack` puts another maker's queues in the place of moto's.

`GET /_huntaze/requests` tells the SQS requests it served since the start or the last `DELETE`, by
action and by queue, and how many messages they carried, so that empty polls can be told apart.
"""

import functools
import io
import json
import logging
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any, cast

import click
import waitress
from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import S3Backend, s3_backends
from moto.sqs.models import SQSBackend, sqs_backends

from infra.local.ministack import Ministack
from infra.local.s3 import ObjectsOnDisk
from infra.local.services import ACCOUNT, QUEUE_NAMES
from infra.local.sqs import mend

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

REQUESTS_PATH = "/_huntaze/requests"
SQS = "AmazonSQS."
CAMPAIGN_VISIBILITY_SECONDS = 300
DLQ_RETENTION_SECONDS = 14 * 86_400


class Requests:
    """How often each action was asked for, of which queue, and what it carried."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, dict[str, dict[str, int]]] = {}
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._counts = defaultdict(functools.partial(defaultdict, Requests._zero))

    @staticmethod
    def _zero() -> dict[str, int]:
        return {"requests": 0, "messages": 0, "empty": 0, "failed": 0}

    def count(self, action: str, asked: bytes, status: int, answer: bytes) -> None:
        question = parsed(asked)
        messages = carried(action, question, parsed(answer)) if status < 400 else 0
        queue = str(question.get("QueueUrl", question.get("QueueName", ""))).rsplit("/", 1)[-1]
        with self._lock:
            row = self._counts[queue][action]
            row["requests"] += 1
            row["messages"] += messages
            row["failed"] += status >= 400
            row["empty"] += status < 400 and action == "ReceiveMessage" and messages == 0

    def told(self) -> dict[str, Any]:
        """`actions`: all queues together; `queues`: each alone."""
        actions: dict[str, dict[str, int]] = defaultdict(Requests._zero)
        with self._lock:
            for rows in self._counts.values():
                for action, row in rows.items():
                    for name, value in row.items():
                        actions[action][name] += value
            return {"actions": dict(actions), "queues": json.loads(json.dumps(self._counts))}


def parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def carried(action: str, question: dict[str, Any], answer: dict[str, Any]) -> int:
    """How many messages a request moved."""
    if action == "ReceiveMessage":
        return len(answer.get("Messages") or ())
    if action.endswith("Batch"):
        return len(question.get("Entries") or ())
    return int(action in {"SendMessage", "DeleteMessage", "ChangeMessageVisibility"})


class Emulator:
    """moto's application, with its SQS requests counted and its S3 objects kept; `queues` answers
    the requests of SQS."""

    def __init__(self, moto: Wsgi, objects: ObjectsOnDisk, queues: Wsgi) -> None:
        self._moto, self._objects, self._queues = moto, objects, queues
        self._requests = Requests()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == REQUESTS_PATH:
            return self._tell_requests(environ, start_response)
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if target.startswith(SQS):
            return self._counted(target.removeprefix(SQS), environ, start_response)
        answer = self._moto(environ, start_response)
        if not target and environ["REQUEST_METHOD"] in {"PUT", "POST", "DELETE"}:
            self._objects.save()  # before the client hears that it was stored
        return answer

    def _tell_requests(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "DELETE":
            self._requests.reset()
        body = json.dumps(self._requests.told()).encode()
        start_response(
            "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        )
        return [body]

    def _counted(
        self, action: str, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        asked = environ["wsgi.input"].read()
        statuses = []

        def note_status(status: str, *rest: Any) -> Any:
            statuses.append(int(status.split(" ", 1)[0]))
            return start_response(status, *rest)

        answer = self._queues({**environ, "wsgi.input": io.BytesIO(asked)}, note_status)
        body = b"".join(answer)
        self._requests.count(action, asked, statuses[-1], body)
        return [body]


def queues_to_make(region: str, visibility_timeout_seconds: int) -> Iterator[tuple[str, Any]]:
    """Name and attributes of each queue, after those of its dead-letter queue; as deploy/ has
    them."""
    for name, queue_name in QUEUE_NAMES.items():
        dead = f"{queue_name}-dlq"
        yield dead, {"MessageRetentionPeriod": DLQ_RETENTION_SECONDS}
        slow = name in {"campaigns", "imports"}
        arn = f"arn:aws:sqs:{region}:{ACCOUNT}:{dead}"
        yield (
            queue_name,
            {
                "VisibilityTimeout": CAMPAIGN_VISIBILITY_SECONDS
                if slow
                else visibility_timeout_seconds,
                "ReceiveMessageWaitTimeSeconds": 10,
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5}),
            },
        )


def emulator(
    data: Path,
    region: str,
    bucket: str,
    visibility_timeout_seconds: int,
    other_sqs: Ministack | None = None,
) -> Emulator:
    """The whole application, its queues and its bucket made."""
    mend()
    # moto lists its own directory at every request to find the backend.
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    wanted = queues_to_make(region, visibility_timeout_seconds)
    if other_sqs is None:
        queues: SQSBackend = sqs_backends[ACCOUNT][region]
        for name, attributes in wanted:
            queues.create_queue(name, **attributes)
    else:
        client = other_sqs.client()
        for name, attributes in wanted:
            texts = {key: str(value) for key, value in attributes.items()}
            client.create_queue(QueueName=name, Attributes=cast("Any", texts))
    store: S3Backend = s3_backends[ACCOUNT]["aws"]
    objects = ObjectsOnDisk(store, data)
    objects.load(region)
    if bucket not in store.buckets:
        store.create_bucket(bucket, region)
    moto = DomainDispatcherApplication(create_backend_app)
    return Emulator(moto, objects, other_sqs or moto)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="where to listen")
@click.option("--port", type=int, required=True)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="for S3 objects")
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--bucket", default="huntaze-uploads", show_default=True)
@click.option("--visibility-timeout", type=int, default=120, show_default=True, help="seconds")
@click.option(
    "--sqs",
    type=click.Choice(["moto", "ministack"]),
    default="moto",
    envvar="SQS_EMULATOR",
    show_default=True,
    show_envvar=True,
    help="whose queues",
)
def main(
    *,
    host: str,
    port: int,
    data: Path,
    region: str,
    bucket: str,
    visibility_timeout: int,
    sqs: str,
) -> None:
    """Serve the emulator until it is told to end."""
    other_sqs = Ministack(data, region) if sqs == "ministack" else None

    def end(*_: object) -> None:
        # Everything worth keeping is on disk already; a graceful end would wait for long polls.
        if other_sqs is not None:
            other_sqs.stop()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    application = emulator(data, region, bucket, visibility_timeout, other_sqs)
    for talkative in ("waitress.queue", "werkzeug"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    serve: Callable[..., None] = waitress.serve
    # A long poll holds a thread, and each worker thread keeps connections of its own open.
    serve(
        application,
        host=host,
        port=port,
        threads=64,
        connection_limit=2000,
        channel_timeout=300,
        asyncore_use_poll=True,
        ident=None,
    )


if __name__ == "__main__":
    main()
