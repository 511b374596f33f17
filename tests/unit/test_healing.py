"""Healing on fakes: wake-ups, refused publishes, expired leases, settling."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain import notices
from domain.errors import Conflict
from domain.messages import SETTLE_MAX_CALLS, Outcome, State
from domain.ports import SendAnswer
from domain.services.rules import SendingRules
from domain.services.settling import Verdict
from tests.fakes.platform import Turn
from tests.sending import Desk

UNCLEAR = SendAnswer(Outcome.UNCLEAR, None)
HTML_502 = SendAnswer(Outcome.UNCLEAR, 502)


def settle(desk: Desk) -> dict[Verdict, int]:
    desk.run(61)
    return dict(desk.healing.settle())


def test_a_lost_event_is_published_again_after_half_a_minute() -> None:
    desk = Desk()
    result = desk.send()
    desk.bus.events.clear()
    desk.wait(31)

    assert desk.healing.heal().published == 1
    desk.run(1)

    assert desk.message(result).state is State.SENT


def test_one_event_speaks_for_all_lost_ones_of_a_connection() -> None:
    desk = Desk()
    results = [desk.send(f"text {number}") for number in range(5)]
    desk.bus.events.clear()
    desk.wait(31)

    desk.healing.heal()

    assert [event.row for event in desk.bus.events] == [desk.message(results[-1]).id]
    desk.run(30)
    assert {desk.message(one).state for one in results} == {State.SENT}


def test_refused_three_times_fails_with_a_notice_and_one_retry_sends_it() -> None:
    desk = Desk()
    desk.bus.away = True
    result = desk.send()
    for seconds in (1, 2, 4):
        desk.wait(seconds)
        assert desk.message(result).state is State.QUEUED
        desk.healing.heal()

    message = desk.message(result)
    assert (message.state, message.error_code) == (State.FAILED, "queue_unavailable")
    report = desk.messages.report(desk.caller, message.public_id)
    assert report.notice is not None
    assert report.notice.text == notices.UNAVAILABLE

    desk.bus.away = False
    desk.wait(3)
    desk.messages.retry(desk.caller, message.public_id, desk.at)
    desk.run(1)
    assert desk.message(result).state is State.SENT


def test_a_bus_that_comes_back_in_time_loses_nothing() -> None:
    desk = Desk()
    desk.bus.away = True
    result = desk.send()
    desk.wait(1)
    desk.healing.heal()
    desk.bus.away = False
    desk.wait(2)
    desk.healing.heal()

    desk.run(1)

    assert desk.message(result).state is State.SENT


def test_a_permit_that_nobody_used_is_replaced() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.wait(6)
    assert len(desk.release()) == 1
    desk.wait(91)

    desk.run(1)

    assert desk.message(second).state is State.SENT


def test_rows_that_the_waiting_room_forgot_are_admitted_again() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.room.flush()
    desk.healing.rebuild_if_cold()
    desk.room.remove(desk.connection, desk.messages_waiting(second))
    desk.wait(120)

    assert desk.healing.heal().admitted == 1
    desk.run(1)

    assert desk.message(second).state is State.SENT


def test_a_rebuild_brings_back_the_queue_and_what_the_platform_asked_for() -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=40)))
    results = [desk.send(f"text {number}") for number in range(3)]
    desk.work()
    desk.room.flush()

    assert desk.healing.rebuild_if_cold() == 3
    assert desk.healing.rebuild_if_cold() == 0

    desk.run(38)
    assert len(desk.platform.calls) == 1
    desk.run(60)
    assert {desk.message(one).state for one in results} == {State.SENT}


def test_a_worker_that_died_after_its_call_is_settled_by_the_chat() -> None:
    desk = Desk()
    result = desk.send()

    desk.platform.script(Turn(UNCLEAR, delivers=True))
    desk.work()

    assert settle(desk) == {Verdict.SENT: 1}

    message = desk.message(result)
    assert (message.state, message.platform_message_id) == (State.SENT, "1")
    assert len(desk.platform.calls) == 1


def test_a_worker_that_died_before_its_call_is_tried_again_with_the_same_key() -> None:
    desk = Desk()
    result = desk.send()

    def die(_: object) -> None:
        desk.platform.during = None
        raise SystemExit

    desk.platform.during = die
    with pytest.raises(SystemExit):
        desk.work()
    desk.wait(61)
    assert desk.healing.heal().expired == 1
    assert desk.message(result).state is State.UNKNOWN

    assert settle(desk) == {Verdict.AGAIN: 1}
    desk.healing.heal()
    desk.run(95)

    assert desk.message(result).state is State.SENT
    assert [attempt.send_key for attempt in desk.attempts(result)] == [str(result.message_id)] * 2
    assert len(desk.platform.delivered) == 1


def test_unclear_calls_stop_after_three_and_wait_for_a_person() -> None:
    desk = Desk()
    desk.platform.script(*[UNCLEAR] * 10)
    result = desk.send()
    desk.work()
    for _ in range(5):
        settle(desk)
        desk.healing.heal()
        desk.run(20)

    assert len(desk.platform.calls) == SETTLE_MAX_CALLS
    report = desk.messages.report(desk.caller, result.message_id)
    assert report.message.state is State.UNKNOWN
    assert report.wait is not None
    assert report.wait.reason is notices.WaitReason.UNPROVEN


def test_a_person_may_say_that_it_was_sent_or_send_it_again() -> None:
    desk = Desk()
    desk.platform.script(*[UNCLEAR] * 6)
    first, second = desk.send("one"), desk.send("two")
    desk.run(10)
    for _ in range(5):
        settle(desk)
        desk.healing.heal()
        desk.run(30)

    desk.messages.confirm_sent(desk.caller, first.message_id, desk.at)
    desk.messages.retry(desk.caller, second.message_id, desk.at)
    desk.run(700)

    assert [desk.message(one).state for one in (first, second)] == [State.SENT, State.SENT]
    assert [call.text for call in desk.platform.delivered] == ["two"]


def test_a_message_being_settled_is_not_retried_by_a_person() -> None:
    desk = Desk()
    desk.platform.script(UNCLEAR)
    result = desk.send()
    desk.work()

    with pytest.raises(Conflict):
        desk.messages.retry(desk.caller, result.message_id, desk.at)


def test_a_chat_that_cannot_be_read_changes_nothing() -> None:
    desk = Desk()
    desk.platform.script(Turn(UNCLEAR, delivers=True))
    desk.platform.readable = False
    result = desk.send()
    desk.work()

    assert settle(desk) == {Verdict.LATER: 1}
    assert desk.message(result).state is State.UNKNOWN

    desk.platform.readable = True
    assert settle(desk) == {Verdict.SENT: 1}


def test_two_twins_that_both_arrived_are_both_sent() -> None:
    desk = Desk(SendingRules(rate_per_minute=600))
    desk.platform.script(*[Turn(HTML_502, delivers=True, forgets=True)] * 2)
    twins = [desk.send("same"), desk.send("same")]
    desk.run(3)

    assert settle(desk) == {Verdict.SENT: 2}

    ids = {desk.message(one).platform_message_id for one in twins}
    assert ids == {"1", "2"}
    assert len(desk.platform.delivered) == 2


def test_of_two_twins_the_one_that_did_not_arrive_is_sent_once_more() -> None:
    desk = Desk(SendingRules(rate_per_minute=600))
    desk.platform.script(Turn(UNCLEAR, delivers=True), Turn(UNCLEAR))
    twins = [desk.send("same"), desk.send("same")]
    desk.run(3)

    settle(desk)
    for _ in range(4):
        desk.healing.heal()
        desk.run(2)
        settle(desk)

    assert {desk.message(one).state for one in twins} == {State.SENT}
    assert len(desk.platform.delivered) == 2


def test_twins_whose_answers_the_gateway_forgot_wait_for_a_person() -> None:
    desk = Desk(SendingRules(rate_per_minute=600))
    desk.platform.script(Turn(HTML_502, delivers=True, forgets=True), Turn(HTML_502, forgets=True))
    for _ in range(2):
        desk.send("same")
    desk.run(3)

    assert settle(desk) == {Verdict.PERSON: 2}
    assert len(desk.platform.delivered) == 1


def test_a_text_that_somebody_else_wrote_too_is_left_to_a_person() -> None:
    desk = Desk()
    desk.platform.script(Turn(UNCLEAR, delivers=True))
    result = desk.send("same")
    desk.work()
    request = replace(desk.platform.delivered[0], send_key="another")
    desk.platform.send(request, timedelta(seconds=1))

    assert settle(desk) == {Verdict.PERSON: 1}
    assert desk.message(result).state is State.UNKNOWN


def test_a_key_too_old_for_the_gateways_memory_is_not_used_again() -> None:
    desk = Desk()
    desk.platform.script(UNCLEAR)
    result = desk.send()
    desk.work()
    desk.wait(24 * 3600)

    assert settle(desk) == {Verdict.PERSON: 1}
    desk.messages.retry(desk.caller, result.message_id, desk.at)
    desk.run(1)

    assert desk.platform.calls[-1].send_key == f"{result.message_id}.1"


def test_a_key_that_is_still_in_use_is_asked_again_soon() -> None:
    desk = Desk()
    desk.platform.script(Outcome.IN_PROGRESS)
    desk.send()
    desk.work()
    desk.wait(6)

    assert dict(desk.healing.settle()) == {Verdict.AGAIN: 1}


def test_an_idle_pass_does_nothing() -> None:
    desk = Desk()

    assert desk.healing.heal().published == 0
    assert dict(desk.healing.settle()) == {}
    assert desk.healing.forget_old_keys() == 0
    assert desk.notes.actions == []
