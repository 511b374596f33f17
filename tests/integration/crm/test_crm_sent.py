"""A message of ours that the platform tells of: however send and event meet, it ends as one row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.events import MessageRequested
from domain.messages import Outcome
from domain.ports import SendAnswer, SendRequest
from domain.services.settling import Verdict
from tests import webhooks
from tests.crm import Crm
from tests.fakes.platform import Turn
from tests.webhooks import deliver, handle_all

UNCLEAR = SendAnswer(Outcome.UNCLEAR, None)
TEXT = "Good morning & hello"
HTML = "<p>Good morning &amp; hello</p>"


@pytest.fixture
def fan(crm: Crm) -> int:
    return crm.fan("Fan 501", handle="@fan501", platform_user_id="501")


def write(crm: Crm, fan: int, text: str = TEXT) -> None:
    """A person sends, and a worker delivers."""
    answer = crm.post("/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": text})
    assert answer.status_code == 202
    requests = [one.payload for one in crm.bus.events if isinstance(one.payload, MessageRequested)]
    crm.services.delivery.requested(requests[-1], datetime.now(UTC))


def told(number: str | int, text: str = HTML, seconds: float = 0) -> bytes:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return webhooks.sent(int(number), 501, moment.isoformat(), text)


def handle(crm: Crm, times: int = 1) -> list[str | None]:
    return [one for _ in range(times) for one in handle_all(crm, datetime.now(UTC))]


def rows(crm: Crm) -> list[tuple[Any, ...]]:
    found = crm.sql("SELECT state, origin, platform_message_id FROM messages ORDER BY id")
    return [tuple(row) for row in found]


def platform_id(crm: Crm) -> str:
    """What the platform will answer, or has answered."""
    return str(
        crm.platform.recent_messages(
            "acct_luna",
            None,
            "501",
            newer_than=datetime(2020, 1, 1, tzinfo=UTC),
            deadline=timedelta(seconds=1),
        )[0].id
    )


def test_the_event_after_the_answer_makes_sent_delivered(crm: Crm, fan: int) -> None:
    write(crm, fan)
    [(state, origin, number)] = rows(crm)
    assert (state, origin) == ("sent", "huntaze")

    deliver(crm, told(number), "a")
    deliver(crm, told(number), "b")

    assert handle(crm) == ["handled", "handled"]
    assert rows(crm) == [("delivered", "huntaze", number)]


def test_the_event_before_the_answer_is_recorded_waits_and_ends_as_one_row(
    crm: Crm, fan: int
) -> None:
    heard: list[str | None] = []

    def during(_: SendRequest) -> None:
        # The fake numbers its messages from one.
        deliver(crm, told(1))
        heard.extend(handle(crm))

    crm.platform.during = during
    write(crm, fan)

    assert heard == [None]
    [event] = crm.sql("SELECT wake_tries, fan_id, wake_after - now() AS wakes FROM platform_events")
    assert (event.wake_tries, event.fan_id) == (1, fan)
    assert 0 < event.wakes.total_seconds() <= 5
    assert rows(crm) == [("sent", "huntaze", platform_id(crm))]
    assert handle(crm) == ["handled"]
    assert rows(crm) == [("delivered", "huntaze", platform_id(crm))]


def test_the_event_handled_for_good_before_the_answer_is_recorded_ends_as_one_row(
    crm: Crm, fan: int
) -> None:
    def during(_: SendRequest) -> None:
        deliver(crm, told(1))
        assert handle(crm, 4) == [None, None, None, "handled"]
        assert rows(crm) == [("delivered", "huntaze", "1")]

    crm.platform.during = during
    write(crm, fan)

    assert rows(crm) == [("delivered", "huntaze", "1")]
    [attempt] = crm.sql("SELECT outcome, platform_message_id FROM message_attempts")
    assert tuple(attempt) == ("sent", "1")
    assert crm.services.audit.audit(datetime.now(UTC) - timedelta(hours=1)).clean


def test_an_event_that_did_not_look_like_it_becomes_part_of_it_when_the_answer_comes(
    crm: Crm, fan: int
) -> None:
    def during(_: SendRequest) -> None:
        # The platform changed the text.
        deliver(
            crm, webhooks.sent(1, 501, datetime.now(UTC).isoformat(), "<p>***</p>", isOpened=True)
        )
        assert handle(crm, 4)[-1] == "handled"
        assert [row[:2] for row in rows(crm)] == [("sending", "huntaze"), ("delivered", "platform")]

    crm.platform.during = during
    write(crm, fan)

    assert rows(crm) == [("delivered", "huntaze", "1")]
    [row] = crm.sql("SELECT text, opened_at FROM messages")
    assert (row.text, row.opened_at is not None) == (TEXT, True)


def test_an_unclear_call_is_settled_by_the_event_without_reading_the_chat(
    crm: Crm, fan: int
) -> None:
    crm.platform.script(Turn(UNCLEAR, delivers=True))
    write(crm, fan)
    assert rows(crm) == [("unknown", "huntaze", None)]
    number = platform_id(crm)
    deliver(crm, told(number))
    assert handle(crm) == [None]
    crm.sql("UPDATE messages SET wake_after = now()")
    crm.platform.readable = False

    assert crm.services.healing.settle() == {Verdict.SENT: 1}

    assert rows(crm) == [("delivered", "huntaze", number)]
    assert handle(crm) == ["handled"]
    assert len(crm.platform.calls) == 1


def test_an_unclear_call_is_proved_by_the_event_alone_at_last(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR, delivers=True))
    write(crm, fan)
    deliver(crm, told(platform_id(crm)))

    assert handle(crm, 4) == [None, None, None, "handled"]

    assert rows(crm) == [("delivered", "huntaze", platform_id(crm))]


def test_another_text_to_that_fan_is_stored_as_sent_elsewhere_at_last(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR))
    write(crm, fan)
    deliver(crm, told(77, "<p>Something else</p>"))

    assert handle(crm, 4) == [None, None, None, "handled"]

    assert rows(crm) == [("unknown", "huntaze", None), ("delivered", "platform", "77")]


def test_the_same_text_from_long_before_is_not_ours(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR))
    write(crm, fan)
    deliver(crm, told(77, seconds=-60))

    assert handle(crm, 4)[-1] == "handled"

    assert rows(crm) == [("unknown", "huntaze", None), ("delivered", "platform", "77")]


def test_one_event_for_two_look_alikes_decides_for_neither(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR, delivers=True), Turn(UNCLEAR))
    write(crm, fan)
    crm.sql("UPDATE platform_connections SET rate_per_minute = 6000")
    write(crm, fan)
    assert len(crm.platform.calls) == 2
    deliver(crm, told(platform_id(crm)))

    assert handle(crm, 4)[-1] == "handled"

    states = [row[:2] for row in rows(crm)]
    assert states == [("unknown", "huntaze")] * 2 + [("delivered", "platform")]


def test_the_chat_settles_what_was_stored_as_sent_elsewhere(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR, delivers=True))
    write(crm, fan)
    number = platform_id(crm)
    # The event shows fewer files than the chat will: no match.
    deliver(crm, webhooks.sent(int(number), 501, datetime.now(UTC).isoformat(), HTML, mediaCount=3))
    assert handle(crm, 4)[-1] == "handled"
    assert len(rows(crm)) == 2
    crm.sql("UPDATE messages SET wake_after = now() WHERE state = 'unknown'")

    assert crm.services.healing.settle() == {Verdict.SENT: 1}

    assert rows(crm) == [("sent", "huntaze", number)]


def test_a_deletion_before_the_answer_is_recorded_unsends_when_confirmed(
    crm: Crm, fan: int
) -> None:
    crm.platform.during = lambda _: (deliver(crm, webhooks.deleted(1)), handle(crm))
    write(crm, fan)

    deliver(crm, told(1))
    handle(crm)

    assert rows(crm) == [("unsent", "huntaze", "1")]


def test_the_sync_leaves_a_fresh_message_to_the_send_it_may_belong_to(crm: Crm, fan: int) -> None:
    crm.platform.script(Turn(UNCLEAR, delivers=True))
    write(crm, fan)
    now = datetime.now(UTC)
    [fact] = crm.services.inbound._reader.facts("messages.sent", told(9).decode(), now)

    def sync(at: datetime) -> int:
        with crm.services.open_unit_of_work() as work:
            connection = work.platform_events.connection("acct_luna")
            applied = crm.services.inbound.apply(work, connection, [fact], at)
            work.commit()
        return len(applied.waits)

    assert sync(now) == 1
    assert rows(crm) == [("unknown", "huntaze", None)]
    assert sync(now + timedelta(minutes=6)) == 0
    assert rows(crm) == [("delivered", "huntaze", "9")]
