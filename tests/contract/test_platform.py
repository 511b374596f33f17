"""What every Platform does: one suite on the fake and on the adapter against the simulator."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

import pytest
from pydantic import SecretStr

from domain.messages import Outcome
from domain.ports import (
    Platform,
    PlatformUnavailable,
    SendAnswer,
    SendRequest,
)
from infra.local.simulator import Simulator
from infra.platform.ofapi import OfapiPlatform
from tests.fakes.platform import FakePlatform, Turn

ACCOUNT, FAN = "acct_1", "42"
DEADLINE = timedelta(seconds=10)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

# kind of fault: the outcome it gives, and whether the fan got the message all the same
FAULTS = {
    "rate_limit": (Outcome.RATE_LIMITED, False),
    "server_error": (Outcome.UNCLEAR, False),
    "html_502_before": (Outcome.UNCLEAR, False),
    "html_502_after": (Outcome.UNCLEAR, True),
    "drop_before": (Outcome.UNCLEAR, False),
    "drop_after": (Outcome.UNCLEAR, True),
    "not_sent": (Outcome.NOT_SENT, False),
    "no_id": (Outcome.UNCLEAR, True),
    "huge": (Outcome.UNCLEAR, True),
    "has_error": (Outcome.REFUSED, False),
    "refuse_422": (Outcome.REFUSED, False),
    "banned_words": (Outcome.REFUSED, False),
    "dead_session": (Outcome.AUTH_LOST, False),
    "payment_required": (Outcome.QUOTA_EXHAUSTED, False),
}
FORGOTTEN = {"html_502_after"}


class World(Protocol):
    """A platform and the strings a test may pull."""

    platform: Platform

    def fail_once(self, kind: str) -> None: ...

    def fail_reads(self) -> None: ...

    def hear(self, text: str) -> None: ...

    def delivered(self) -> list[str]: ...

    def two_files(self) -> tuple[str, ...]: ...


class FakeWorld:
    def __init__(self) -> None:
        self.platform = FakePlatform()

    def fail_once(self, kind: str) -> None:
        outcome, delivers = FAULTS[kind]
        wait = timedelta(seconds=5) if outcome is Outcome.RATE_LIMITED else None
        answer = SendAnswer(outcome, retry_after=wait)
        self.platform.script(Turn(answer, delivers, forgets=kind in FORGOTTEN))

    def fail_reads(self) -> None:
        self.platform.readable = False

    def hear(self, text: str) -> None:
        self.platform.hear(ACCOUNT, FAN, text)

    def delivered(self) -> list[str]:
        return [request.text for request in self.platform.delivered]

    def two_files(self) -> tuple[str, ...]:
        return ("11", "ofapi_media_x")


class SimulatedWorld:
    def __init__(self, simulator: Simulator) -> None:
        self._state = simulator.state
        self.platform = OfapiPlatform(simulator.api_url, SecretStr("key"), max_connections=8)

    def fail_once(self, kind: str) -> None:
        self._state.faults.add({"kind": kind, "times": 1, "retryAfter": 5})

    def fail_reads(self) -> None:
        self._state.faults.add({"kind": "server_error", "on": "read"})

    def hear(self, text: str) -> None:
        moment = datetime.now(UTC).timestamp()
        self._state.ledger.add_inbound(ACCOUNT, FAN, text, moment)

    def delivered(self) -> list[str]:
        return [delivery.text for delivery in self._state.ledger.deliveries()]

    def two_files(self) -> tuple[str, ...]:
        world = self._state.world
        return tuple(
            world.keep_media(ACCOUNT, "photo", 1, is_vault=is_vault).id
            for is_vault in (True, False)
        )


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture(params=["fake", "ofapi"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    simulator = request.getfixturevalue("simulator")
    simulator.state.faults.clear()
    simulator.state.ledger.clear()
    simulated = SimulatedWorld(simulator)
    yield simulated
    simulated.platform.close()


NUMBERS = count()


def a_request(text: str = "Hello", **fields: object) -> SendRequest:
    key = f"{fields.pop('send_key', f'key-{next(NUMBERS)}')}"
    values = {"price_cents": None, "media_ids": (), **fields}
    return SendRequest(ACCOUNT, "secret", FAN, text, send_key=key, **values)


def test_a_sent_message_has_an_id_and_reads_back_as_it_was_written(world):
    text = "Tom & <3 <b>you</b>\nsecond line, caf\u00e9 \U0001f389 &amp;"

    answer = world.platform.send(
        a_request(text, price_cents=697, media_ids=world.two_files()), DEADLINE
    )

    assert (answer.outcome, answer.replayed) == (Outcome.SENT, False)
    [message] = world.platform.recent_messages(
        ACCOUNT, None, FAN, newer_than=LONG_AGO, deadline=DEADLINE
    )
    assert message.id == answer.platform_message_id
    assert message.text == text
    assert (message.from_us, message.price_cents, message.media_count) == (True, 697, 2)


def test_the_same_key_is_answered_again_and_delivered_once(world):
    request = a_request("once")

    first = world.platform.send(request, DEADLINE)
    second = world.platform.send(request, DEADLINE)

    assert (second.outcome, second.replayed) == (Outcome.SENT, True)
    assert second.platform_message_id == first.platform_message_id
    assert world.delivered() == ["once"]


def test_the_key_of_another_message_is_rejected_and_nothing_is_sent(world):
    world.platform.send(a_request("first", send_key="shared"), DEADLINE)

    answer = world.platform.send(a_request("second", send_key="shared"), DEADLINE)

    assert answer.outcome is Outcome.KEY_REJECTED
    assert world.delivered() == ["first"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_proves_what_the_table_says(world, kind):
    world.fail_once(kind)

    answer = world.platform.send(a_request("hello"), DEADLINE)

    outcome, delivered = FAULTS[kind]
    assert answer.outcome is outcome
    assert answer.platform_message_id is None
    assert world.delivered() == (["hello"] if delivered else [])


def test_a_slower_pace_is_asked_for_with_its_length(world):
    world.fail_once("rate_limit")

    assert world.platform.send(a_request(), DEADLINE).retry_after == timedelta(seconds=5)


@pytest.mark.parametrize("kind", ["rate_limit", "not_sent", "server_error"])
def test_a_key_whose_call_is_not_kept_goes_through_later(world, kind):
    request = a_request("later")
    world.fail_once(kind)
    world.platform.send(request, DEADLINE)

    answer = world.platform.send(request, DEADLINE)

    assert (answer.outcome, answer.replayed) == (Outcome.SENT, False)
    assert world.delivered() == ["later"]


@pytest.mark.parametrize("kind", ["refuse_422", "dead_session", "payment_required"])
def test_a_kept_refusal_is_replayed_until_the_key_changes(world, kind):
    world.fail_once(kind)
    world.platform.send(a_request("again", send_key=f"old-{kind}"), DEADLINE)

    same_key = world.platform.send(a_request("again", send_key=f"old-{kind}"), DEADLINE)
    new_key = world.platform.send(a_request("again", send_key=f"new-{kind}"), DEADLINE)

    assert (same_key.outcome, same_key.replayed) == (FAULTS[kind][0], True)
    assert (new_key.outcome, new_key.replayed) == (Outcome.SENT, False)
    assert world.delivered() == ["again"]


def test_a_lost_answer_is_found_again_under_the_same_key(world):
    request = a_request("lost")
    world.fail_once("drop_after")
    assert world.platform.send(request, DEADLINE).outcome is Outcome.UNCLEAR

    answer = world.platform.send(request, DEADLINE)

    assert (answer.outcome, answer.replayed) == (Outcome.SENT, True)
    [message] = world.platform.recent_messages(
        ACCOUNT, None, FAN, newer_than=LONG_AGO, deadline=DEADLINE
    )
    assert message.id == answer.platform_message_id
    assert world.delivered() == ["lost"]


def test_the_key_alone_does_not_protect_after_a_failed_answer(world):
    """Why an unclear message is looked for in the chat before it is called again."""
    request = a_request("twice")
    world.fail_once("html_502_after")

    world.platform.send(request, DEADLINE)
    world.platform.send(request, DEADLINE)

    assert world.delivered() == ["twice", "twice"]


def test_a_chat_reads_newest_first_and_tells_who_wrote(world):
    world.platform.send(a_request("one"), DEADLINE)
    world.hear("two")
    world.platform.send(a_request("three"), DEADLINE)

    messages = world.platform.recent_messages(
        ACCOUNT, None, FAN, newer_than=LONG_AGO, deadline=DEADLINE
    )

    assert [(m.text, m.from_us) for m in messages] == [
        ("three", True),
        ("two", False),
        ("one", True),
    ]


def test_a_chat_reads_only_what_is_newer(world):
    world.platform.send(a_request("old"), DEADLINE)
    [message] = world.platform.recent_messages(
        ACCOUNT, None, FAN, newer_than=LONG_AGO, deadline=DEADLINE
    )

    later = world.platform.recent_messages(
        ACCOUNT, None, FAN, newer_than=message.created_at, deadline=DEADLINE
    )

    assert list(later) == []


def test_a_chat_nobody_wrote_in_is_empty(world):
    messages = world.platform.recent_messages(
        ACCOUNT, None, "99", newer_than=LONG_AGO, deadline=DEADLINE
    )

    assert list(messages) == []


def test_a_read_that_fails_says_so(world):
    world.platform.send(a_request(), DEADLINE)
    world.fail_reads()

    with pytest.raises(PlatformUnavailable):
        world.platform.recent_messages(ACCOUNT, None, FAN, newer_than=LONG_AGO, deadline=DEADLINE)


@pytest.mark.parametrize("kind", FAULTS)
def test_no_answer_repeats_the_text_or_the_key(world, kind):
    world.fail_once(kind)

    answer = world.platform.send(a_request("private words"), DEADLINE)

    shown = json.dumps([answer.detail, answer.error_code])
    assert "private" not in shown
    assert "secret" not in shown
