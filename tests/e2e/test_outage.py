"""SQS that refuses every connection for a while, behind a proxy that the test commands."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from faults import FaultProxy
from running import eventually
from system import ACCEPTED, FAST, PERMITS_OUT, System, most_displaced

from infra.local.services import ACCOUNT, QUEUE_NAMES, LocalServices

pytestmark = pytest.mark.fault


@dataclass
class Outage:
    """A system, and what stands between it and its SQS."""

    system: System
    proxy: FaultProxy
    _began: float = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()
        self.proxy.refusing = True
        self.proxy.reset()

    def end(self, at_least: float) -> None:
        """Long enough, in seconds, for every client's back-off to have grown."""
        time.sleep(max(0.0, self._began + at_least - time.monotonic()))
        self.proxy.refusing = False


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    place = tmp_path_factory.mktemp("outage")
    with LocalServices(place / "aws") as services:
        port = int(services.aws(visibility_timeout_seconds=8).rpartition(":")[2])
        with FaultProxy(port) as proxy:
            settings = {
                "AWS_ENDPOINT_URL": proxy.url,
                "AWS_ACCESS_KEY_ID": "local",
                "AWS_SECRET_ACCESS_KEY": "local",
                "SQS_RATE_LIMITER_QUEUE_URL": f"{proxy.url}/{ACCOUNT}/{QUEUE_NAMES['messages']}",
                "SEND_MAX_ATTEMPTS": "1",
            }
            with System(place / "system", FAST | settings) as system:
                yield Outage(system, proxy)


def test_what_was_accepted_survives_an_outage_of_sqs_with_at_most_one_retry_call(
    outage: Outage,
) -> None:
    system, slow, fresh = outage.system, outage.system.account(rate=20), outage.system.account()
    waiting = [system.send(slow.fans[0], f"Waits {number}") for number in range(5)]
    eventually(lambda: admitted(system, slow.id) == 5, "five messages in the waiting room")

    outage.begin()
    refused = [system.send(fresh.fans[0], f"Refused {number}") for number in range(5)]
    failed = [system.until(one, "failed") for one in refused]
    late = system.send(fresh.fans[0], "Late")
    outage.end(at_least=20)
    answers = [system.api("POST", f"/api/onlyfans/messages/{one}/retry") for one in refused]
    last = system.until(late, "sent", "failed")
    if last["status"] == "failed":
        failed.append(last)
        answers.append(system.api("POST", f"/api/onlyfans/messages/{late}/retry"))

    assert {one["errorCode"] for one in failed} == {"queue_unavailable"}
    assert {one["notice"]["text"] for one in failed} == {"Service temporarily unavailable"}
    assert {answer.status_code for answer in answers} == {200}
    system.all_sent(6, fresh)
    system.all_sent(5, slow)
    # Permits that the outage caught on their way may change places with each other, no more.
    in_order = [f"Waits {number}" for number in range(5)]
    assert sorted(system.texts(slow)) == in_order
    assert most_displaced(system.texts(slow), in_order) < PERMITS_OUT
    assert sorted(system.texts(fresh)) == sorted([f"Refused {n}" for n in range(5)] + ["Late"])
    assert {system.message(one)["status"] for one in waiting} <= ACCEPTED
    assert system.audit()[0] == "0 lost, 0 double, 0 over-limit"


def admitted(system: System, connection_id: int) -> int:
    [row] = system.sql(
        "SELECT count(admitted_at) AS n FROM messages WHERE connection_id = %s", connection_id
    )
    count: int = row["n"]
    return count


def test_with_one_attempt_allowed_a_proof_of_not_sent_is_one_call_and_a_failure(
    outage: Outage,
) -> None:
    system, account = outage.system, outage.system.account()
    system.fault("not_sent", account)

    failed = system.until(system.send(account.fans[0], "One try"), "failed")

    assert [one["outcome"] for one in failed["attempts"]] == ["not_sent"]
    assert system.fault_hits(account) == 1
    assert system.texts(account) == []
    system.platform("DELETE", "faults")
