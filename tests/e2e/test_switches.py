"""The switches and settings as an owner sets them: off, on again, and mistyped."""

from pathlib import Path

import pytest
from running import eventually
from system import FAST, PERMITS_OUT, System, most_displaced, over_limit

OWNERS_BLOCK = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "your-access-key",
    "AWS_SECRET_ACCESS_KEY": "your-secret-key",
    "REDIS_AUTH_TOKEN": "your-redis-token",
    "LOG_LEVEL": "info",
    "RATE_LIMITER_ENABLED": "true",
    "ONLYFANS_CRM_ENABLED": "true",
    "CLOUDWATCH_NAMESPACE": "Huntaze/OnlyFans",
}


def test_switched_off_everything_is_held_and_switched_on_again_everything_leaves_in_order(
    tmp_path: Path,
) -> None:
    texts = [f"Held {number}" for number in range(20)]
    with System(tmp_path / "switched", FAST | {"RATE_LIMITER_ENABLED": "false"}) as system:
        account = system.account()
        ids = [system.send(account.fans[0], text) for text in texts]
        eventually(lambda: queue_is_empty(system), "the events to be consumed")
        status = system.api("GET", "/api/onlyfans/messages/status").json()
        held = [system.message(one) for one in ids]

        assert (status["enabled"], status["reason"]) == (False, "disabled")
        assert status["queueDepth"] == 20
        assert {one["status"] for one in held} == {"queued"}
        assert {one["wait"]["reason"] for one in held} == {"disabled"}
        assert system.texts() == []

        system.stop()
        system.start(**OWNERS_BLOCK)
        system.all_sent(20, account)

        assert most_displaced(system.texts(), texts) < PERMITS_OUT
        assert over_limit([one["receivedMs"] for one in system.received()]) == 0
        assert system.api("GET", "/api/onlyfans/messages/status").json()["enabled"] is True
        assert system.audit()[0] == "0 lost, 0 double, 0 over-limit"


def queue_is_empty(system: System) -> bool:
    client = system.sqs()
    told = client.get_queue_attributes(
        QueueUrl=system.environment["SQS_RATE_LIMITER_QUEUE_URL"], AttributeNames=["All"]
    )["Attributes"]
    client.close()
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return [count for name, count in told.items() if name in names] == ["0", "0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMITER_ENABLED", "yse"),
        ("LOG_LEVEL", "loud"),
        ("RATE_LIMIT_PER_MINUTE", "many"),
        ("SEND_LEASE_SECONDS", "1"),
    ],
)
def test_a_mistyped_setting_refuses_to_start_and_is_named(
    tmp_path: Path, name: str, value: str
) -> None:
    done = System(tmp_path / "mistyped", {}).command("dev", **{name: value})

    assert done.returncode == 2
    assert name in done.stderr
    assert not (tmp_path / "mistyped" / ".local").exists()
