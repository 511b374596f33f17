"""`huntaze doctor` before dependencies that are wrong in one way each: what it says, and the remedy."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from sqlalchemy import create_engine, make_url, text

from infra.db.migrate import downgrade, revisions, upgrade
from infra.doctor import Doctor, Finding
from infra.local.child import free_ports
from infra.local.services import LocalServices, messages_queue_url
from infra.redis.client import connect
from infra.settings import Settings, load_settings
from infra.wiring import Services, build


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of services of this module alone, which may be spoiled."""
    with LocalServices(tmp_path_factory.mktemp("doctor")) as services:
        endpoint = services.aws()
        yield {
            "DATABASE_URL": services.postgres(),
            "REDIS_ENDPOINT": services.redis(),
            "AWS_ENDPOINT_URL": endpoint,
            "SQS_RATE_LIMITER_QUEUE_URL": messages_queue_url(endpoint),
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "JWT_SECRET": "test-secret-of-thirty-two-characters",
        }


OPENED: list[Services] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def doctor(given: dict[str, str], **changed: str) -> Doctor:
    OPENED.append(build(settings(given, **changed)))
    return OPENED[-1].doctor


def settings(given: dict[str, str], **changed: str) -> Settings:
    return load_settings({**given, **changed})


def bad(findings: Iterator[Finding]) -> Finding:
    return next(one for one in findings if not one.ok)


def closed_port() -> int:
    [port] = free_ports(1)
    return port


def test_postgresql_whose_password_is_wrong(broken: dict[str, str]) -> None:
    url = make_url(broken["DATABASE_URL"]).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE ROLE asked LOGIN PASSWORD 'right'"))
        hba = Path(connection.scalar(text("SHOW hba_file")) or "")
        hba.write_text("host all asked 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    wrong = f"postgresql://asked:wrong@127.0.0.1:{url.port}/huntaze"

    found = bad(doctor(broken, DATABASE_URL=wrong)._postgres())

    assert "password authentication failed" in found.text
    assert found.remedy == "correct the user or the password in DATABASE_URL"
    assert "wrong@" not in found.text


def test_postgresql_behind_a_closed_port(broken: dict[str, str]) -> None:
    url = f"postgresql://huntaze@127.0.0.1:{closed_port()}/huntaze"

    found = bad(doctor(broken, DATABASE_URL=url)._postgres())

    assert found.remedy == "start PostgreSQL, or correct host and port in DATABASE_URL"


def test_a_database_that_is_not_there(broken: dict[str, str]) -> None:
    url = broken["DATABASE_URL"].rsplit("/", 1)[0] + "/elsewhere"

    found = bad(doctor(broken, DATABASE_URL=url)._postgres())

    assert found.remedy == "create the database, or correct its name in DATABASE_URL"


def test_a_pending_migration_is_named(broken: dict[str, str]) -> None:
    asked = doctor(broken)
    upgrade(asked._engine)
    assert all(one.ok for one in asked._postgres())
    *_, before, last = revisions()
    downgrade(asked._engine, before)

    found = bad(asked._postgres())

    assert found.text == f"1 pending: {last}"
    assert "huntaze migrate" in found.remedy


def test_redis_behind_a_closed_port(broken: dict[str, str]) -> None:
    found = bad(doctor(broken, REDIS_ENDPOINT=f"127.0.0.1:{closed_port()}")._waiting_room())

    assert found.remedy == "start Redis, or correct host and port in REDIS_ENDPOINT"


def test_redis_that_wants_a_password(broken: dict[str, str]) -> None:
    keeper = connect(settings(broken))
    keeper.ping()
    keeper.config_set("requirepass", "asked")
    try:
        found = bad(doctor(broken)._waiting_room())
    finally:
        keeper.config_set("requirepass", "")

    assert found.remedy == "set REDIS_AUTH_TOKEN to the server's password"


def test_redis_without_tls_while_a_token_is_set(broken: dict[str, str]) -> None:
    found = bad(doctor(broken, REDIS_AUTH_TOKEN="token")._waiting_room())

    assert "switches TLS on" in found.remedy


def test_a_queue_that_is_missing(broken: dict[str, str]) -> None:
    url = broken["SQS_RATE_LIMITER_QUEUE_URL"] + "-elsewhere"

    found = bad(doctor(broken, SQS_RATE_LIMITER_QUEUE_URL=url)._queues())

    assert "NonExistentQueue" in found.text
    assert found.remedy == f"{url}: create it, or correct its address in the settings"


def test_sqs_behind_a_closed_port(broken: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{closed_port()}"

    found = bad(doctor(broken, AWS_ENDPOINT_URL=url)._queues())

    assert "AWS_ENDPOINT_URL" in found.remedy


def client(broken: dict[str, str], name: str) -> boto3.client:
    return boto3.client(
        name,
        region_name="us-east-1",
        endpoint_url=broken["AWS_ENDPOINT_URL"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def test_a_queue_without_redrive(broken: dict[str, str]) -> None:
    sqs = client(broken, "sqs")
    sqs.create_queue(QueueName="plain")
    sqs.create_queue(QueueName="plain-dlq")
    url = broken["SQS_RATE_LIMITER_QUEUE_URL"].rsplit("/", 1)[0] + "/plain"

    asked = doctor(
        broken, SQS_RATE_LIMITER_QUEUE_URL=url, SQS_QUEUE_URL_PREFIX=url.removesuffix("plain")
    )._queues()
    found = bad(asked)

    assert "redrive after no receives" in found.text
    assert "maxReceiveCount 5" in found.remedy


def test_a_dead_letter_queue_that_is_missing(broken: dict[str, str]) -> None:
    client(broken, "sqs").create_queue(QueueName="alone")
    url = broken["SQS_RATE_LIMITER_QUEUE_URL"].rsplit("/", 1)[0] + "/alone"

    found = bad(doctor(broken, SQS_RATE_LIMITER_QUEUE_URL=url)._queues())

    assert found.name == "queue messages-dlq"
    assert found.remedy.startswith(f"{url}-dlq: create it")


def test_a_lambda_that_reads_our_queue_is_found_until_it_is_disabled(
    broken: dict[str, str],
) -> None:
    functions, archive = client(broken, "lambda"), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("code.py", "")
    role = client(broken, "iam").create_role(RoleName="old", AssumeRolePolicyDocument="{}")
    functions.create_function(
        FunctionName="huntaze-rate-limiter",
        Runtime="python3.11",
        Role=role["Role"]["Arn"],
        Handler="code.run",
        Code={"ZipFile": archive.getvalue()},
    )
    sqs = client(broken, "sqs")
    told = sqs.get_queue_attributes(
        QueueUrl=broken["SQS_RATE_LIMITER_QUEUE_URL"], AttributeNames=["QueueArn"]
    )
    mapping = functions.create_event_source_mapping(
        FunctionName="huntaze-rate-limiter", EventSourceArn=told["Attributes"]["QueueArn"]
    )

    found = bad(doctor(broken)._queues())
    functions.delete_event_source_mapping(UUID=mapping["UUID"])

    assert found.text == "the Lambda function huntaze-rate-limiter reads it as well"
    assert mapping["UUID"] in found.remedy
    assert all(one.ok for one in doctor(broken)._queues())


def test_a_bucket_that_is_missing(broken: dict[str, str]) -> None:
    assert all(one.ok for one in doctor(broken)._bucket())

    found = bad(doctor(broken, S3_BUCKET="elsewhere")._bucket())

    assert found.remedy.startswith("bucket elsewhere (S3_BUCKET): create it")


class Refusal(BaseHTTPRequestHandler):
    """AWS as it answers to credentials that it does not accept."""

    code = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"__type": f"com.amazon.coral.service#{self.code}"}).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def refusing(code: str) -> Iterator[str]:
    handler = type("Handler", (Refusal,), {"code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ExpiredTokenException", "get a new AWS_SESSION_TOKEN"),
        ("InvalidClientTokenId", "correct AWS_ACCESS_KEY_ID"),
        ("AccessDeniedException", "allow these credentials"),
        ("RequestTimeTooSkewed", "clock"),
    ],
)
def test_credentials_that_aws_refuses(broken: dict[str, str], code: str, remedy: str) -> None:
    with refusing(code) as endpoint:
        found = bad(doctor(broken, AWS_ENDPOINT_URL=endpoint)._queues())

    assert code in found.text
    assert remedy in found.remedy


def test_clocks_are_compared_with_every_server(broken: dict[str, str]) -> None:
    found = {one.name: one for one in doctor(broken)._clocks()}

    assert set(found) == {"clock of postgres", "clock of redis", "clock of aws"}
    assert all(one.ok for one in found.values())


def test_a_clock_that_is_off_is_told_with_the_remedy(
    broken: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = doctor(broken)
    monkeypatch.setattr(one, "_redis_time", lambda: 0.0)

    found = bad(one._clocks())

    assert found.name == "clock of redis"
    assert "time server" in found.remedy
