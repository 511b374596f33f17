"""A platform at its worst: every outcome as the tables say, and nothing sent twice."""

from typing import Any

import pytest
from running import eventually
from system import ACCEPTED, System


def outcomes(message: dict[str, Any]) -> list[str]:
    return [one["outcome"] for one in message["attempts"]]


def keys(system: System, message_id: str) -> list[str]:
    answer = system.api("GET", f"/api/onlyfans/messages/{message_id}/evidence").json()
    return [one["sendKey"] for one in answer["attempts"]]


@pytest.mark.parametrize("kind", ["hang_after", "drop_after", "html_502_after", "no_id", "huge"])
def test_what_the_platform_took_without_saying_so_is_found_in_the_chat(
    system: System, kind: str
) -> None:
    account = system.account()
    system.fault(kind, account, times=1)

    with system.untold():
        sent = system.until(system.send(account.fans[0], f"Taken, {kind}"), "sent")

    assert sent["status"] == "sent"
    assert system.fault_hits(account) == 1
    assert [one["id"] for one in system.received(account)] == [sent["platformMessageId"]]
    assert outcomes(sent) == ["unclear"]


@pytest.mark.parametrize("kind", ["hang_before", "drop_before", "html_502_before"])
def test_what_the_platform_lost_is_sent_again_under_the_same_key(system: System, kind: str) -> None:
    account = system.account()
    system.fault(kind, account, times=1, seconds=4)

    message_id = system.send(account.fans[0], f"Lost, {kind}")
    sent = system.until(message_id, "sent")

    assert [one["id"] for one in system.received(account)] == [sent["platformMessageId"]]
    assert outcomes(sent)[0] == "unclear"
    assert outcomes(sent)[-1] == "sent"
    assert set(keys(system, message_id)) == {message_id}


def test_a_call_asked_to_slow_down_waits_as_long_as_it_was_told_and_says_why(
    system: System,
) -> None:
    account = system.account()
    system.fault("rate_limit", account, times=1, retryAfter=5)

    message_id = system.send(account.fans[0], "Slow down")
    eventually(lambda: system.fault_hits(account) == 1, "the 429")
    waiting = eventually(lambda: explained(system, message_id, "rate_limited"), "the reason")
    sent = system.until(message_id, "sent")

    assert waiting["until"] <= sent["sentAt"]
    assert outcomes(sent) == ["rate_limited", "sent"]
    assert sent["delay"] == "rate_limited"
    assert system.texts(account) == ["Slow down"]
    [pause] = system.sql(
        "SELECT extract(epoch FROM max(started_at) - min(finished_at)) AS seconds"
        " FROM message_attempts WHERE connection_id = %s",
        account.id,
    )
    assert pause["seconds"] >= 5


def explained(system: System, message_id: str, reason: str) -> dict[str, Any] | None:
    wait: dict[str, Any] | None = system.message(message_id)["wait"]
    return wait if wait and wait["reason"] == reason else None


@pytest.mark.parametrize(
    ("kind", "state", "outcome"),
    [
        ("dead_session", "paused_auth", "auth_lost"),
        ("payment_required", "paused_quota", "quota_exhausted"),
    ],
)
def test_a_paused_account_keeps_its_messages_until_it_is_resumed_and_then_really_sends(
    system: System, kind: str, state: str, outcome: str
) -> None:
    account = system.account()
    system.fault(kind, account)

    first = system.send(account.fans[0], f"First, {kind}")
    eventually(lambda: explained(system, first, state), f"a connection {state}")
    second = system.send(account.fans[0], f"Second, {kind}")
    system.platform("DELETE", "faults")
    assert system.states(account) == {"queued": 2}
    answer = system.api("POST", f"/api/connections/{account.id}/resume")

    assert answer.status_code == 200, answer.text
    # A permit that was out when the account was paused calls nobody.
    called = [one for one in outcomes(system.until(first, "sent")) if one != "not_called"]
    assert called == [outcome, "sent"]
    assert outcomes(system.until(second, "sent"))[-1] == "sent"
    assert list(dict.fromkeys(keys(system, first))) == [first, f"{first}.1"]
    assert sorted(system.texts(account)) == [f"First, {kind}", f"Second, {kind}"]
    assert [one["replays"] for one in system.received(account)] == [0, 0]


def test_a_refused_message_fails_and_its_retry_is_really_sent(system: System) -> None:
    account = system.account()
    system.fault("refuse_422", account, times=1)

    message_id = system.send(account.fans[0], "Refused at first")
    failed = system.until(message_id, "failed")
    answer = system.api("POST", f"/api/onlyfans/messages/{message_id}/retry")

    assert failed["notice"]["text"] == "Message failed to send"
    assert answer.status_code == 200, answer.text
    assert outcomes(system.until(message_id, "sent")) == ["refused", "sent"]
    assert keys(system, message_id) == [message_id, f"{message_id}.1"]
    assert [one["key"] for one in system.received(account)] == [f"{message_id}.1"]


def test_three_proofs_of_not_sent_are_three_calls_and_a_failure(system: System) -> None:
    account = system.account()
    system.fault("not_sent", account)

    message_id = system.send(account.fans[0], "Never arrives")
    failed = system.until(message_id, "failed")

    assert outcomes(failed) == ["not_sent", "not_sent", "not_sent"]
    assert system.fault_hits(account) == 3
    assert failed["notice"]["text"] == "Message failed to send"
    assert failed["notice"]["remedy"] == "retry later"
    assert failed["errorCode"] == "not_sent"
    assert system.texts(account) == []


def test_a_worker_frozen_past_its_lease_and_thawed_leaves_one_send_and_one_outcome(
    system: System,
) -> None:
    account = system.account()
    system.fault("slow", account, times=1, seconds=1)

    message_id = system.send(account.fans[0], "Frozen on its way")
    eventually(lambda: system.fault_hits(account) == 1, "the call")
    with system.frozen("worker-messages"):
        settled = system.until(message_id, "sent")
    after = system.send(account.fans[0], "After the thaw")
    system.until(after, "sent")

    assert system.texts(account) == ["Frozen on its way", "After the thaw"]
    thawed = eventually(lambda: recorded(system, message_id), "the late answer")
    assert thawed["status"] in ACCEPTED
    assert thawed["sentAt"] == settled["sentAt"]
    assert len(thawed["attempts"]) == 1


def recorded(system: System, message_id: str) -> dict[str, Any] | None:
    message = system.message(message_id)
    return message if all(outcomes(message)) else None


def test_ten_hanging_accounts_delay_nobody_else(system: System) -> None:
    hanging = [system.account() for _ in range(10)]
    other = system.account()
    for account in hanging:
        system.fault("hang_before", account, seconds=60)

    for account in hanging:
        for number in range(3):
            system.send(account.fans[0], f"Stuck {account.id} {number}")
    eventually(lambda: all(system.fault_hits(one) for one in hanging), "ten hanging calls")
    system.until(system.send(other.fans[0], "Passes by"), "sent")

    assert system.texts(other, *hanging)[0] == "Passes by"
    system.platform("DELETE", "faults")
    system.all_sent(30, *hanging)
    assert len(set(system.texts(*hanging))) == len(system.texts(*hanging)) == 30
