"""The real servers behind `make run` and the tests, and the supervisor that keeps them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
import redis

from infra.local.child import free_ports, is_free
from infra.local.environment import (
    Ports,
    child_environment,
    kept_secrets,
    made_secrets,
    running_environment,
)
from infra.local.services import QUEUE_NAMES, LocalServices, messages_queue_url

PROCFILE = """
# The toy system.
release: python -c "open('released', 'a').write('once')"
web: python -m http.server --bind 127.0.0.1 $PORT
worker: python -c "import os, time; print('credentials', os.environ.get('AWS_SESSION_TOKEN')); time.sleep(600)"
"""
PORTS = Ports(8000, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServices]:
    with LocalServices(tmp_path_factory.mktemp("services"), durable=True) as started:
        yield started


@pytest.fixture(scope="module")
def endpoint(services: LocalServices) -> str:
    return services.aws(bucket="uploads", visibility_timeout_seconds=60)


def client(service: Any, endpoint: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def queue_url(endpoint: str, name: str) -> str:
    return messages_queue_url(endpoint).replace(QUEUE_NAMES["messages"], name)


def requests(endpoint: str, method: str = "GET") -> dict[str, Any]:
    connection = HTTPConnection(urlsplit(endpoint).netloc, timeout=5)
    connection.request(method, "/_huntaze/requests")
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return told


def wait_for(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.01)
    pytest.fail(f"waited in vain for {what}")


@pytest.mark.parametrize(
    ("name", "visibility_seconds"),
    [
        ("huntaze-rate-limiter-queue", "60"),
        ("huntaze-campaigns", "300"),
        ("huntaze-imports", "300"),
        ("huntaze-inbound", "60"),
        ("huntaze-metrics", "60"),
    ],
)
def test_each_queue_is_there_with_its_dead_letter_queue_when_the_emulator_answers(
    endpoint: str, name: str, visibility_seconds: str
) -> None:
    sqs = client("sqs", endpoint)

    def attributes(queue: str) -> dict[str, str]:
        url = queue_url(endpoint, queue)
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    dead, live = attributes(f"{name}-dlq"), attributes(name)
    assert live["VisibilityTimeout"] == visibility_seconds
    assert live["ReceiveMessageWaitTimeSeconds"] == "10"
    assert json.loads(live["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead["QueueArn"],
        "maxReceiveCount": 5,
    }
    assert dead["MessageRetentionPeriod"] == str(14 * 86_400)


def test_a_message_given_back_five_times_goes_to_the_dead_letter_queue(endpoint: str) -> None:
    sqs, url = client("sqs", endpoint), queue_url(endpoint, "huntaze-inbound")
    sqs.send_message(QueueUrl=url, MessageBody="poison", MessageGroupId="connection-1")

    counts = []
    for _ in range(5):
        [message] = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
        counts.append(message["Attributes"]["ApproximateReceiveCount"])
        handle = message["ReceiptHandle"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)

    assert counts == ["1", "2", "3", "4", "5"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    [dead] = sqs.receive_message(QueueUrl=f"{url}-dlq", WaitTimeSeconds=0)["Messages"]
    assert dead["Body"] == "poison"


def test_six_consumers_receive_each_message_once(endpoint: str) -> None:
    url = queue_url(endpoint, "huntaze-metrics")
    sqs = client("sqs", endpoint)
    for page in range(30):
        entries = [{"Id": str(i), "MessageBody": str(page * 10 + i)} for i in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def consume(_: int) -> list[int]:
        mine = client("sqs", endpoint)
        bodies: list[int] = []
        while True:
            answer = mine.receive_message(QueueUrl=url, MaxNumberOfMessages=3, WaitTimeSeconds=0)
            if "Messages" not in answer:
                return bodies
            for message in answer["Messages"]:
                bodies.append(int(message["Body"]))
                mine.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    with ThreadPoolExecutor(6) as consumers:
        received = [body for bodies in consumers.map(consume, range(6)) for body in bodies]

    assert sorted(received) == list(range(300))


def test_requests_are_counted_and_empty_polls_told_apart(endpoint: str) -> None:
    sqs, url = client("sqs", endpoint), queue_url(endpoint, "huntaze-imports")
    assert requests(endpoint, "DELETE") == {"actions": {}, "queues": {}}

    sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    entries = [{"Id": str(i), "MessageBody": "x"} for i in range(3)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=f"{url}-nowhere", MessageBody="x")

    told = requests(endpoint)
    assert told["queues"]["huntaze-imports"] == {
        "ReceiveMessage": {"requests": 2, "messages": 3, "empty": 1, "failed": 0},
        "SendMessageBatch": {"requests": 1, "messages": 3, "empty": 0, "failed": 0},
        "DeleteMessage": {"requests": 3, "messages": 3, "empty": 0, "failed": 0},
    }
    assert told["actions"]["SendMessage"] == {
        "requests": 1,
        "messages": 0,
        "empty": 0,
        "failed": 1,
    }


def test_a_long_poll_is_answered_by_the_message_it_waited_for(endpoint: str) -> None:
    sqs, url = client("sqs", endpoint), queue_url(endpoint, "huntaze-campaigns")
    requests(endpoint, "DELETE")

    with ThreadPoolExecutor(1) as other:
        poll = other.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        sqs.send_message(QueueUrl=url, MessageBody="late", DelaySeconds=1)
        [message] = poll.result()["Messages"]

    assert message["Body"] == "late"
    assert requests(endpoint)["actions"]["ReceiveMessage"]["requests"] == 1


def test_stored_objects_outlive_a_killed_emulator(services: LocalServices, endpoint: str) -> None:
    s3 = client("s3", endpoint)
    s3.put_object(
        Bucket="uploads", Key="imports/1/fans é.csv", Body=b"name\nAda\n", ContentType="text/csv"
    )
    s3.put_object(Bucket="uploads", Key="gone", Body=b"1")
    s3.put_object(Bucket="uploads", Key="twice", Body=b"1")
    s3.put_object(Bucket="uploads", Key="twice", Body=b"2")
    s3.delete_object(Bucket="uploads", Key="gone")

    services.services["aws"].kill()
    services.services["aws"].start()

    listed = [one["Key"] for one in s3.list_objects_v2(Bucket="uploads")["Contents"]]
    kept = s3.get_object(Bucket="uploads", Key="imports/1/fans é.csv")
    assert listed == ["imports/1/fans é.csv", "twice"]
    assert (kept["Body"].read(), kept["ContentType"]) == (b"name\nAda\n", "text/csv")
    assert s3.get_object(Bucket="uploads", Key="twice")["Body"].read() == b"2"


def test_a_killed_database_comes_back_with_its_rows(services: LocalServices) -> None:
    url = services.postgres()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT upper('é') AS letter")

    services.services["postgres"].kill()
    services.services["postgres"].start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT letter FROM kept").fetchall() == [("É",)]


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_database(tmp_path: Path) -> None:
    with LocalServices(tmp_path) as services:
        services.postgres()
        services.services["postgres"].stop()
        pid_file = tmp_path / "pg" / "postmaster.pid"
        pid_file.write_text(f"{os.getpid()}\n{tmp_path / 'pg'}\n1\n", encoding="utf-8")

        services.services["postgres"].start()

        first = pid_file.read_text(encoding="utf-8").split("\n", 1)[0]
        assert first == str(services.services["postgres"].pid)


def test_a_killed_redis_comes_back_with_its_keys(services: LocalServices) -> None:
    host, _, port = services.redis().partition(":")
    with redis.Redis(host, int(port)) as before:
        before.set("kept", "1")

    services.services["redis"].kill()
    services.services["redis"].start()

    with redis.Redis(host, int(port)) as after:
        assert after.get("kept") == b"1"


def test_a_stray_credential_never_reaches_a_child() -> None:
    shell = {
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_PROFILE": "production",
        "AWS_ENDPOINT_URL_SQS": "https://sqs.us-east-1.amazonaws.com",
        "AWS_REGION": "eu-west-1",
        "SQS_QUEUE_URL_PREFIX": "https://sqs.us-east-1.amazonaws.com/1/x-",
        "REDIS_AUTH_TOKEN": "real",
        "ONLYFANS_API_KEY": "real",
        "PGSERVICE": "production",
    }

    told = child_environment(shell, made_secrets(), PORTS)

    assert {name: told[name] for name in told if name.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:3",
    }
    assert told["ONLYFANS_API_KEY"].startswith("simulator-")
    assert told.keys().isdisjoint({"SQS_QUEUE_URL_PREFIX", "REDIS_AUTH_TOKEN", "PGSERVICE"})


@pytest.mark.parametrize(
    "given",
    [
        {"DATABASE_URL": "postgresql://me@db/huntaze", "PGSSLMODE": "require"},
        {"REDIS_ENDPOINT": "cache:6379", "REDIS_AUTH_TOKEN": "token"},
        {"AWS_ENDPOINT_URL": "http://stack:4566", "AWS_SESSION_TOKEN": "mine"},
        {"SQS_RATE_LIMITER_QUEUE_URL": "https://sqs/1/queue", "AWS_ACCESS_KEY_ID": "mine"},
        {"ONLYFANS_API_URL": "https://platform/api", "ONLYFANS_API_KEY": "mine"},
        {
            "PORT": "9000",
            "PUBLIC_URL": "https://crm",
            "DEMO_PASSWORD": "mine",
            "JWT_SECRET": "mine",
        },
    ],
)
def test_what_the_environment_gives_is_passed_on_unchanged(given: Mapping[str, str]) -> None:
    told = child_environment(given, made_secrets(), PORTS)

    assert {name: told[name] for name in given} == given


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first, second = kept_secrets(tmp_path), kept_secrets(tmp_path)

    assert first == second
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def dev(root: Path, **environment: str) -> subprocess.Popen[str]:
    """`huntaze dev` over the toy Procfile, with every service given: none is started."""
    given = {
        "DATABASE_URL": "postgresql://nowhere/x",
        "REDIS_ENDPOINT": "nowhere:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "SQS_RATE_LIMITER_QUEUE_URL": "http://127.0.0.1:9/1/huntaze-rate-limiter-queue",
        "ONLYFANS_API_URL": "http://127.0.0.1:9/api",
        "PATH": os.environ["PATH"],
    }
    (root / "Procfile").write_text(PROCFILE, encoding="utf-8")
    program = str(Path(sys.executable).with_name("huntaze"))
    return subprocess.Popen(
        [program, "dev", "--no-demo"],
        cwd=root,
        env=given | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes(root: Path) -> dict[str, dict[str, Any]]:
    file = root / ".local" / "processes.json"
    if not file.exists():
        return {}
    return {one["name"]: one for one in json.loads(file.read_text(encoding="utf-8"))}


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    for line in process.stdout:
        if "Huntaze is ready" in line:
            return line
    pytest.fail("it ended before it was ready")


def test_a_killed_process_starts_again_on_its_port_and_the_end_is_clean(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with dev(tmp_path, PORT=str(port)) as running:
        assert ready_line(running).endswith(f"http://127.0.0.1:{port}\n")
        before = processes(tmp_path)
        for one in before.values():
            os.kill(one["pid"], signal.SIGKILL)

        def restarted() -> dict[str, dict[str, Any]] | None:
            now = processes(tmp_path)
            new = now.keys() == before.keys() and all(
                now[name]["pid"] != before[name]["pid"] for name in now
            )
            return now if new else None

        after = wait_for(restarted, "both processes to start again")
        told = running_environment(tmp_path)
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=60)

    assert running.returncode == 0, output
    assert list(before) == ["web", "worker"]
    assert before["web"]["port"] == port
    assert before["web"]["command"] == "python -m http.server --bind 127.0.0.1 $PORT"
    assert {name: one["port"] for name, one in after.items()} == {
        name: one["port"] for name, one in before.items()
    }
    assert told is not None
    assert told["PORT"] == str(port)
    assert (tmp_path / "released").read_text(encoding="utf-8") == "once"
    assert processes(tmp_path) == {}
    assert running_environment(tmp_path) is None
    assert is_free(port)


def test_a_second_run_says_who_runs_already(tmp_path: Path) -> None:
    with dev(tmp_path) as first:
        address = ready_line(first).split()[-1]
        with dev(tmp_path) as second:
            output, _ = second.communicate(timeout=60)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)

    assert second.returncode == 1
    assert output == f"Huntaze already runs in this checkout: pid {first.pid}, {address}\n"
    assert first.returncode == 0


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    with dev(tmp_path) as running:
        port = int(ready_line(running).rsplit(":", 1)[-1])
        running.kill()
        running.communicate(timeout=60)

    wait_for(lambda: True if is_free(port) else None, "the web process to end")


def test_a_bad_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    with dev(tmp_path, RATE_LIMITER_ENABLED="yse") as refused:
        output, _ = refused.communicate(timeout=60)

    assert refused.returncode == 2
    assert "RATE_LIMITER_ENABLED: use true or false" in output
    assert not (tmp_path / ".local").exists()


def test_a_taken_port_is_refused_when_it_was_asked_for(tmp_path: Path, endpoint: str) -> None:
    taken = str(urlsplit(endpoint).port)
    with dev(tmp_path, PORT=taken) as refused:
        output, _ = refused.communicate(timeout=60)

    assert refused.returncode == 1
    assert output.startswith(f"PORT: {taken} is taken")
    assert not (tmp_path / "released").exists()


def test_a_failed_migration_starts_no_process(tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    with dev(tmp_path) as refused:
        output, _ = refused.communicate(timeout=60)

    assert refused.returncode == 1
    assert "Huntaze cannot run: release ended with 1" in output
    assert "credentials" not in output
