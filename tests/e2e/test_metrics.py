"""After a run, Prometheus, CloudWatch, the status page and the tables tell the same numbers."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import httpx2
import pytest
from running import eventually
from system import FAST, System

QUICK = FAST | {"METRICS_EVERY_SECONDS": "1", "SEND_MAX_ATTEMPTS": "1"}
NAMES = ("Queued", "Processed", "Failed")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("measured"), QUICK) as running:
        yield running


def prometheus(system: System, process: str) -> dict[str, float]:
    """What one process tells, summed over its labels."""
    told = json.loads(Path(system.directory / ".local/processes.json").read_text())
    [port] = [one["port"] for one in told if one["name"] == process]
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    found: dict[str, float] = {}
    for name, value in re.findall(
        r"^(OnlyFans\w+?)(?:_total)?(?:{[^}]*})? (\S+)$", text, re.MULTILINE
    ):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def cloudwatch(system: System, name: str) -> float:
    """The sum over the run of what has no dimension."""
    environment = system.environment
    client = boto3.client(
        "cloudwatch",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    now = datetime.now(UTC)

    def total(**of: list[dict[str, str]]) -> float:
        answer = client.get_metric_statistics(
            Namespace="Huntaze/OnlyFans",
            MetricName=name,
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum"],
            **of,
        )
        return sum(point["Sum"] for point in answer["Datapoints"])

    # The emulator takes no dimension for any, where CloudWatch takes it for none.
    known = client.list_metrics(Namespace="Huntaze/OnlyFans", MetricName=name)["Metrics"]
    named = {json.dumps(one["Dimensions"]) for one in known if one["Dimensions"]}
    return total() - sum(total(Dimensions=json.loads(one)) for one in named)


def test_every_place_tells_the_same_after_a_run(measured: System) -> None:
    account = measured.account()
    names = [f"OnlyFansMessages{one}" for one in NAMES]
    eventually(lambda: "OnlyFansQueueDepth" in prometheus(measured, "pacer"), "the first window")
    watched = {one: prometheus(measured, "pacer").get(one, 0.0) for one in names}
    noted = {one: cloudwatch(measured, one) for one in names}

    for number in range(12):
        measured.send(account.fans[number % len(account.fans)], f"Measured {number}")
    measured.all_sent(12, account)
    measured.fault("refuse_422", account, times=1)
    refused = measured.send(account.fans[0], "Refused")
    eventually(lambda: measured.message(refused)["status"] == "failed", "the last one to fail")

    [row] = measured.sql(
        "SELECT count(queued_at) AS queued, count(sent_at) AS processed, count(failed_at) AS failed"
        " FROM messages WHERE connection_id = %s",
        account.id,
    )
    rows = {f"OnlyFansMessages{one}": float(row[one.lower()]) for one in NAMES}
    assert list(rows.values()) == [13.0, 12.0, 1.0]
    eventually(
        lambda: (
            {one: prometheus(measured, "pacer").get(one, 0.0) - watched[one] for one in names}
            == rows
        ),
        "Prometheus to tell what the rows say",
    )
    assert {one: cloudwatch(measured, one) - noted[one] for one in names} == rows
    status = measured.api("GET", "/api/onlyfans/messages/status").json()
    assert status["queueDepth"] == prometheus(measured, "pacer")["OnlyFansQueueDepth"]
