"""What somebody does first, through every real part: log in, send, watch, audit, end."""

import json
import signal
from pathlib import Path

import pytest
from running import PATIENCE, eventually, processes_in
from system import System

from infra.local.child import free_ports


@pytest.mark.sqs
def test_a_first_message_is_sent_once_with_its_promise_and_the_audit_is_clean(
    system: System,
) -> None:
    fans = system.api("GET", "/api/crm/fans").json()["fans"]
    fan = next(one for one in fans if one["linked"])

    message_id = system.send(fan["recipientId"], "My first message")
    sent = system.until(message_id, "sent")

    assert sent["promisedSendTime"] <= sent["sentAt"]
    assert sent["platformMessageId"]
    assert [one["outcome"] for one in sent["attempts"]] == ["sent"]
    assert system.texts().count("My first message") == 1
    assert system.audit()[0] == "0 lost, 0 double, 0 over-limit"


@pytest.mark.sqs
def test_the_doctor_finds_a_running_system_healthy(system: System) -> None:
    done = system.command("doctor")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_idempotency_key_sends_one_message(system: System) -> None:
    account = system.account()
    body = {"recipientId": account.fans[0], "content": "Once"}
    path = "/api/onlyfans/messages/send"

    first = system.api("POST", path, body, key="once-and-no-more")
    second = system.api("POST", path, body, key="once-and-no-more")

    assert second.status_code == first.status_code == 202
    assert second.json() == first.json()
    system.all_sent(1, account)
    assert system.texts(account) == ["Once"]


def test_status_numbers_equal_the_rows(system: System) -> None:
    email = "counted@huntaze.example"
    assert system.command("user", "add", email, "--password", "quite-secret-7").returncode == 0
    token = system.command("token", email).stdout.strip()
    [user] = system.sql("SELECT id FROM users WHERE email = %s", email)
    good, bad, paused = (system.account(owner=user["id"]) for _ in range(3))
    system.fault("refuse_422", bad)

    for number in range(7):
        system.send(good.fans[0], f"Good {number}", token=token)
    for number in range(2):
        system.send(bad.fans[0], f"Bad {number}", token=token)
    system.api("POST", f"/api/connections/{paused.id}/pause", token=token)
    for number in range(3):
        system.send(paused.fans[0], f"Waits {number}", token=token)
    system.all_sent(7, good)
    eventually(lambda: system.states(bad) == {"failed": 2}, "two failed")

    def status() -> dict[str, object]:
        told = system.api("GET", "/api/onlyfans/messages/status", token=token).json()
        names = ("queueDepth", "messagesInFlight", "unknown", "dlqCount", "metrics")
        return {name: told[name] for name in names}

    [rows] = system.sql(
        "SELECT count(*) FILTER (WHERE state = 'queued') AS waiting,"
        " count(*) FILTER (WHERE state IN ('sent', 'delivered')) AS sent,"
        " count(*) FILTER (WHERE state = 'failed') AS failed FROM messages"
        " WHERE direction = 'out' AND user_id = %s",
        user["id"],
    )
    assert rows == {"waiting": 3, "sent": 7, "failed": 2}
    wanted = {
        "queueDepth": rows["waiting"],
        "messagesInFlight": 0,
        "unknown": 0,
        "dlqCount": 0,
        "metrics": {
            "messagesQueuedToday": 12,
            "messagesProcessedToday": rows["sent"],
            "failureRate": 0.2222,
        },
    }
    eventually(lambda: status() == wanted, "the status to follow", status)


def test_a_second_run_in_the_same_directory_says_who_runs_and_ends(system: System) -> None:
    before = system.processes()

    done = system.command("dev")

    assert done.returncode == 1
    assert system.address in done.stderr
    assert str(json.loads((system.directory / ".local/lock").read_text())["pid"]) in done.stderr
    assert system.processes() == before
    assert system.api("GET", "/ready").status_code == 200


def test_ctrl_c_during_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    starting = System(tmp_path / "half", {})
    with starting.log.open("wb") as output:
        process = starting.child(PORT=str(free_ports(1)[0])).start(output)

    eventually(lambda: len(processes_in(starting.directory)) > 2, "the first children")
    process.send_signal(signal.SIGINT)

    assert process.wait(PATIENCE) == 0
    assert processes_in(starting.directory) == []
