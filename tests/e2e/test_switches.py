"""The switches and settings as an owner sets them: off, on again, and mistyped."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from running import eventually
from system import FAST, PERMITS_OUT, Account, System, most_displaced, over_limit

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


HIDDEN = (
    "/api/crm/fans",
    "/api/crm/conversations",
    "/api/crm/messages",
    "/api/crm/transactions",
    "/api/connections",
    "/api/keys",
    "/api/auth/me",
    "/api/monitoring/onlyfans",
    "/openapi.json",
    "/docs",
)


def test_with_the_product_off_nothing_answers_or_works_and_nothing_is_lost(tmp_path: Path) -> None:
    with System(tmp_path / "off", FAST | {"RATE_LIMITER_ENABLED": "false"}) as system:
        account = system.account()
        texts = [f"Held {number}" for number in range(5)]
        for text in texts:
            system.send(account.fans[0], text)
        eventually(lambda: queue_is_empty(system), "the events to be consumed")
        system.stop()

        system.start(ONLYFANS_CRM_ENABLED="false", RATE_LIMITER_ENABLED="true")
        token = system.login()
        assert [system.api("GET", path).status_code for path in HIDDEN] == [404] * len(HIDDEN)
        send = {"recipientId": account.fans[0], "content": "Not accepted"}
        assert system.api("POST", "/api/onlyfans/messages/send", send).status_code == 404
        open_paths = ("/health", "/ready", "/metrics")
        assert [system.api("GET", path, token=token).status_code for path in open_paths] == [
            200,
            200,
            200,
        ]
        put_on_queue(system, account.fans[0], "From elsewhere")
        eventually(
            lambda: system.states(account) == {"queued": 6},
            "another producer's message to be kept",
            lambda: system.states(account),
        )
        eventually(lambda: queue_is_empty(system), "the queue to be empty")
        heard = {"account": account.account_id, "chat": account.chats[0], "text": "Still there?"}
        system.platform("POST", "inbound", heard)
        eventually(lambda: outcomes(system, account) == [None], "the webhook to be kept")
        assert system.texts() == []
        assert written_by_fans(system, account) == []

        system.stop()
        system.start(ONLYFANS_CRM_ENABLED="true")
        system.all_sent(6, account)
        eventually(lambda: outcomes(system, account)[0] == "handled", "the webhook to be handled")

        assert sorted(system.texts()) == sorted([*texts, "From elsewhere"])
        assert written_by_fans(system, account) == ["Still there?"]
        assert system.audit()[0] == "0 lost, 0 double, 0 over-limit"


def outcomes(system: System, account: Account) -> list[str | None]:
    """What became of the account's webhooks, the first one first."""
    found = system.sql(
        "SELECT outcome FROM platform_events WHERE account_id = %s ORDER BY id",
        account.account_id,
    )
    return [row["outcome"] for row in found]


def written_by_fans(system: System, account: Account) -> list[str]:
    found = system.sql(
        "SELECT text FROM messages WHERE connection_id = %s AND direction = 'in'", account.id
    )
    return [row["text"] for row in found]


def put_on_queue(system: System, fan: str, text: str) -> None:
    """As another producer does: the documented object, and nothing around it."""
    client = system.sqs()
    client.send_message(
        QueueUrl=system.environment["SQS_RATE_LIMITER_QUEUE_URL"],
        MessageBody=json.dumps(
            {
                "messageId": str(uuid4()),
                "userId": "1",
                "recipientId": fan,
                "content": text,
                "timestamp": datetime.now(UTC).isoformat(),
            }
        ),
    )
    client.close()


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
        ("API_RATE_LIMIT_PER_MINUTE", "0"),
        ("ONLYFANS_CRM_ENABLED", "maybe"),
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
