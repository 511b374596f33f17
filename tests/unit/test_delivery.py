"""Delivery on fakes: the order of claim, begin, call and record, and what each answer does."""

from datetime import timedelta

import pytest

from domain.connections import ConnectionState
from domain.errors import Conflict, Invalid, NotFound, Unavailable
from domain.events import MessageRequested
from domain.messages import (
    RULES,
    TRANSITIONS,
    Delay,
    Draft,
    Outcome,
    State,
    generate_message_id,
    next_state,
    send_key,
)
from domain.ports import SendAnswer
from domain.services.delivery import ADMIT_BATCH
from domain.services.rules import SendingRules
from tests.fakes.platform import Turn
from tests.sending import INTERVAL, START, Desk


def test_a_message_on_an_idle_connection_is_sent_by_its_own_event() -> None:
    desk = Desk()
    result = desk.send()

    desk.work()

    message = desk.message(result)
    assert (message.state, message.sent_at, message.promised_at) == (State.SENT, START, START)
    [attempt] = desk.attempts(result)
    assert (attempt.outcome, attempt.slot_at, attempt.started_at) == (Outcome.SENT, START, START)
    assert attempt.interval_ms == pytest.approx(6030)
    assert [call.send_key for call in desk.platform.calls] == [str(message.public_id)]


def test_the_second_message_waits_one_interval_and_keeps_its_promise() -> None:
    desk = Desk()
    first, second = desk.send("one"), desk.send("two")

    desk.run(7)

    assert desk.message(first).sent_at == START
    assert desk.message(second).sent_at == second.estimated_send_at == START + INTERVAL
    assert desk.message(second).delay is None


def test_the_same_event_twice_sends_once() -> None:
    desk = Desk()
    desk.send()
    desk.bus.events *= 3

    desk.work()
    desk.run(20)

    assert len(desk.platform.calls) == 1


def test_one_event_admits_every_older_row_in_order() -> None:
    desk = Desk()
    texts = ["one", "two", "three"]
    for text in texts:
        desk.send(text)
    desk.bus.events = desk.bus.events[-1:]

    desk.run(20)

    assert [call.text for call in desk.platform.delivered] == texts


def test_one_event_admits_more_rows_than_one_batch_holds() -> None:
    desk = Desk()
    items = [(f"fan_{desk.fan}", Draft(f"text {number}")) for number in range(ADMIT_BATCH + 5)]
    desk.messages.send_batch(desk.caller, items, desk.at)
    desk.bus.events = desk.bus.events[-1:]

    desk.work()

    with desk.data.open() as work:
        assert work.queue.admissible(desk.connection, desk.data.messages()[-1].id, 10) == []
    assert sum(desk.room.view([desk.connection])[0].waiting.values()) == ADMIT_BATCH + 4


def test_a_more_urgent_message_overtakes_those_that_wait() -> None:
    desk = Desk()
    for number in range(6):
        desk.send(f"bulk {number}", priority=8)
    desk.run(1)
    desk.send("urgent", priority=1)

    desk.run(15)

    assert [call.text for call in desk.platform.delivered][:2] == ["bulk 0", "urgent"]


def test_a_cancelled_message_is_not_sent_though_its_permit_is_out() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.wait(6)
    [permit] = desk.release()
    desk.messages.cancel(desk.caller, second.message_id)

    desk.delivery.deliver(permit)

    assert [call.text for call in desk.platform.calls] == ["one"]
    assert desk.message(second).state is State.CANCELLED
    assert desk.room.view([desk.connection])[0].in_flight == 0


def test_while_sending_is_off_nothing_is_admitted_and_afterwards_everything_leaves() -> None:
    desk = Desk(SendingRules(enabled=False))
    result = desk.send()
    assert result.estimated_send_at is None
    desk.run(120)
    desk.healing.heal()
    assert desk.platform.calls == []

    desk.use(SendingRules())
    desk.healing.heal()
    desk.run(1)

    assert desk.message(result).state is State.SENT


def test_a_message_with_media_is_held_and_never_sent_as_text_alone() -> None:
    desk = Desk()
    result = desk.send(media_urls=("https://s3.amazonaws.com/a.png",))

    desk.run(120)
    desk.healing.heal()
    desk.run(5)

    assert desk.platform.calls == []
    assert desk.message(result).state is State.QUEUED


@pytest.mark.parametrize(
    ("outcome", "state", "delay"),
    [
        (Outcome.RATE_LIMITED, State.QUEUED, Delay.RATE_LIMITED),
        (Outcome.NOT_SENT, State.QUEUED, Delay.RETRY),
        (Outcome.UNREACHABLE, State.QUEUED, Delay.BREAKER),
        (Outcome.AUTH_LOST, State.QUEUED, Delay.PAUSED),
        (Outcome.QUOTA_EXHAUSTED, State.QUEUED, Delay.PAUSED),
        (Outcome.REFUSED, State.FAILED, None),
        (Outcome.IN_PROGRESS, State.UNKNOWN, Delay.RETRY),
        (Outcome.UNCLEAR, State.UNKNOWN, Delay.RETRY),
        (Outcome.KEY_REJECTED, State.UNKNOWN, Delay.RETRY),
    ],
)
def test_each_answer_moves_the_message_as_the_table_says(
    outcome: Outcome, state: State, delay: Delay | None
) -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(outcome, 499, error_code="code", detail="why"))
    result = desk.send()

    desk.work()

    message = desk.message(result)
    assert (message.state, message.delay) == (state, delay)
    assert (message.error_code, message.error_detail) == ("code", "why")
    assert desk.platform.delivered == []
    assert desk.attempts(result)[0].outcome is outcome


def test_every_outcome_but_not_called_has_a_rule_and_a_legal_transition() -> None:
    assert set(RULES) == set(Outcome) - {Outcome.NOT_CALLED}
    for rule in RULES.values():
        assert rule.state in TRANSITIONS[State.SENDING]


def test_three_proofs_of_not_sent_are_three_calls_and_then_failed() -> None:
    desk = Desk()
    desk.platform.script(*[Outcome.NOT_SENT] * 3)
    result = desk.send()

    desk.run(60)

    message = desk.message(result)
    assert len(desk.platform.calls) == 3
    assert (message.state, message.failures) == (State.FAILED, 3)
    assert {call.send_key for call in desk.platform.calls} == {str(message.public_id)}


def test_with_one_attempt_allowed_one_call_is_made() -> None:
    desk = Desk(SendingRules(max_failures=1))
    desk.platform.script(Outcome.NOT_SENT)
    result = desk.send()

    desk.run(60)

    assert len(desk.platform.calls) == 1
    assert desk.message(result).state is State.FAILED


def test_a_429_uses_no_attempt_and_holds_the_connection_for_retry_after() -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=20)))
    result = desk.send()
    desk.work()
    assert desk.message(result).failures == 0

    desk.run(19)
    assert len(desk.platform.calls) == 1
    desk.run(3)

    assert desk.message(result).state is State.SENT
    assert {call.send_key for call in desk.platform.calls} == {str(result.message_id)}
    with desk.data.open() as work:
        connection = work.connections.by_id(desk.connection)
    assert connection is not None
    assert (connection.slowdown, connection.blocked_reason) == (1, Outcome.RATE_LIMITED)


def test_a_dead_session_pauses_the_connection_and_everything_goes_after_resuming() -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(Outcome.AUTH_LOST, 401, detail="session expired"))
    first, second = desk.send("one"), desk.send("two")
    desk.run(30)
    with desk.data.open() as work:
        connection = work.connections.by_id(desk.connection)
    assert connection is not None
    assert connection.state is ConnectionState.PAUSED_AUTH
    assert len(desk.platform.calls) == 1

    desk.connections.resume(desk.caller, desk.connection)
    desk.healing.heal()
    desk.run(30)

    assert [desk.message(one).state for one in (first, second)] == [State.SENT, State.SENT]
    assert [call.send_key for call in desk.platform.calls][1] == f"{first.message_id}.1"


def test_failed_then_retry_is_really_sent_not_a_replayed_refusal() -> None:
    desk = Desk()
    desk.platform.script(Outcome.REFUSED)
    result = desk.send()
    desk.work()

    desk.messages.retry(desk.caller, result.message_id, desk.at)
    desk.run(10)

    assert desk.message(result).state is State.SENT
    assert [call.send_key for call in desk.platform.calls] == [
        str(result.message_id),
        f"{result.message_id}.1",
    ]


def test_a_stale_permit_gives_the_row_back() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.wait(6)
    [permit] = desk.release()
    desk.wait(100)

    desk.delivery.deliver(permit)

    assert desk.message(second).state is State.QUEUED
    assert desk.attempts(second)[0].outcome is Outcome.NOT_CALLED
    desk.run(10)
    assert desk.message(second).state is State.SENT


def test_with_redis_away_nothing_is_sent_and_the_row_waits() -> None:
    desk = Desk()
    result = desk.send()
    desk.room.unavailable = True
    desk.work()
    assert desk.message(result).state is State.QUEUED
    assert desk.platform.calls == []

    desk.room.unavailable = False
    desk.room.flush()
    desk.healing.rebuild_if_cold()
    desk.run(10)

    assert desk.message(result).state is State.SENT


def test_redis_lost_between_claim_and_begin_puts_the_row_back() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.wait(6)
    [permit] = desk.release()
    desk.room.unavailable = True

    desk.delivery.deliver(permit)

    assert desk.message(second).state is State.QUEUED
    assert len(desk.platform.calls) == 1


def test_a_worker_that_wakes_late_gives_its_slot_up() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.at = START + INTERVAL - timedelta(milliseconds=300)
    [permit] = desk.release()
    desk.nap = lambda seconds: desk.wait(seconds + 0.5)
    desk.use(desk.rules)

    desk.delivery.deliver(permit)

    assert [call.text for call in desk.platform.calls] == ["one"]
    assert desk.attempts(second)[0].outcome is Outcome.NOT_CALLED
    desk.nap = desk.wait
    desk.use(desk.rules)
    desk.run(10)
    assert desk.message(second).sent_at == START + 2 * INTERVAL


def test_a_worker_that_always_wakes_late_calls_nobody() -> None:
    desk = Desk()
    result = desk.send()
    desk.nap = lambda seconds: desk.wait(seconds + 1)
    desk.use(desk.rules)

    desk.work()

    assert desk.platform.calls == []
    assert desk.message(result).state is State.QUEUED
    assert "delivery_not_called" in desk.notes.actions


def test_a_frozen_workers_late_answer_does_not_undo_a_newer_attempt() -> None:
    desk = Desk()
    desk.platform.script(Outcome.NOT_SENT)
    frozen = []

    def freeze(_: object) -> None:
        if not frozen:
            frozen.append(True)
            desk.wait(61)  # past the lease, while the worker holds its answer
            desk.healing.heal()
            desk.wait(61)
            desk.healing.settle()
            desk.healing.heal()

    desk.platform.during = freeze
    result = desk.send()

    desk.work()
    desk.run(20)

    assert desk.message(result).state is State.SENT
    assert len(desk.platform.delivered) == 1


def test_a_connection_that_goes_away_while_recording_is_asked_again() -> None:
    desk = Desk()
    result = desk.send()
    real, failures = desk.data.open, iter([False, False, False, True, True])

    def flaky():
        if next(failures, False):
            raise Unavailable("restarting")
        return real()

    desk.data.open = flaky
    desk.use(desk.rules)
    desk.work()
    desk.data.open = real

    assert desk.message(result).state is State.SENT


def test_a_database_that_stays_away_costs_neither_the_permit_nor_the_message() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.wait(6)
    [permit] = desk.release()
    real = desk.data.open

    def away():
        raise Unavailable("gone")

    desk.data.open = away
    desk.use(desk.rules)
    desk.delivery.deliver(permit)
    desk.data.open = real
    desk.use(desk.rules)
    assert desk.room.view([desk.connection])[0].in_flight == 0

    desk.run(10)

    assert desk.message(second).state is State.SENT


def test_a_foreign_producers_message_is_stored_and_sent() -> None:
    desk = Desk()
    payload = MessageRequested.model_validate(
        {
            "messageId": str(generate_message_id()),
            "userId": desk.owner,
            "recipientId": f"fan_{desk.fan}",
            "content": "from elsewhere",
            "metadata": {"priority": 2},
            "timestamp": START,
        }
    )

    for _ in range(2):
        desk.delivery.requested(payload, desk.at)

    assert [call.text for call in desk.platform.delivered] == ["from elsewhere"]
    [message] = desk.data.messages()
    assert (message.public_id, message.priority) == (payload.message_id, 2)


def test_a_foreign_message_that_comes_while_sending_is_off_is_kept_and_sent_afterwards() -> None:
    desk = Desk(SendingRules(enabled=False))
    payload = MessageRequested(
        message_id=generate_message_id(),
        user_id=str(desk.owner),
        recipient_id=f"fan_{desk.fan}",
        content="from elsewhere",
        timestamp=START,
    )

    desk.delivery.requested(payload, desk.at)
    desk.run(120)
    assert desk.platform.calls == []
    desk.use(SendingRules())
    desk.healing.heal()
    desk.run(1)

    assert [call.text for call in desk.platform.delivered] == ["from elsewhere"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"content": " "}, Invalid),
        ({"recipientId": "fan_999999"}, NotFound),
        ({"recipientId": "nobody"}, Invalid),
        ({"userId": "x"}, NotFound),
        ({"userId": "424242"}, NotFound),
    ],
)
def test_a_foreign_message_that_breaks_a_rule_is_refused(
    changes: dict[str, str], error: type[Exception]
) -> None:
    desk = Desk()
    payload = {
        "messageId": str(generate_message_id()),
        "userId": str(desk.owner),
        "recipientId": f"fan_{desk.fan}",
        "content": "x",
        "timestamp": START.isoformat(),
    }

    with pytest.raises(error):
        desk.delivery.requested(MessageRequested.model_validate(payload | changes), desk.at)

    assert desk.data.messages() == []


def test_a_foreign_message_to_an_unlinked_fan_is_refused() -> None:
    desk = Desk()
    payload = MessageRequested(
        message_id=generate_message_id(),
        user_id=str(desk.owner),
        recipient_id=f"fan_{desk.unlinked}",
        content="x",
        timestamp=START,
    )

    with pytest.raises(Conflict):
        desk.delivery.requested(payload, desk.at)


def test_a_replayed_answer_counts_as_sent_and_delivers_once() -> None:
    desk = Desk()
    desk.platform.script(Turn(SendAnswer(Outcome.UNCLEAR), delivers=True))
    desk.platform.readable = False
    result = desk.send()
    desk.work()
    assert desk.message(result).state is State.UNKNOWN

    with desk.data.open() as work:
        work.messages.move(desk.message(result), State.QUEUED, wake_in=timedelta(0))
        work.commit()
    desk.healing.heal()
    desk.run(10)

    assert desk.message(result).state is State.SENT
    assert len(desk.platform.delivered) == 1


def test_the_send_key_changes_only_after_stored_refusals() -> None:
    public_id = generate_message_id()

    assert [send_key(public_id, n) for n in (0, 1, 2)] == [
        str(public_id),
        f"{public_id}.1",
        f"{public_id}.2",
    ]
    assert next_state(Outcome.NOT_SENT, 2, 3) is State.QUEUED
    assert next_state(Outcome.NOT_SENT, 3, 3) is State.FAILED
