"""How far a synchronisation got, as marks that survive a crash."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain.connections import (
    ConnectionDraft,
    LimitsDraft,
    check_connection,
    check_key,
    check_limits,
)
from domain.errors import Invalid
from domain.services.sync import backoff
from domain.sync import LISTED_MAX, ChatMarks, FanMarks, MoneyMarks

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR_AGO = (NOW - timedelta(hours=1)).isoformat()


def stored(marks) -> dict:
    """As PostgreSQL gives it back."""
    return json.loads(json.dumps(marks.as_json()))


@pytest.mark.parametrize(
    "marks",
    [
        ChatMarks(),
        ChatMarks("a", "b", "c", "page", ("1", "2"), "3", "m", {"1": "9"}, True, True),
        MoneyMarks(),
        MoneyMarks("a", "b", "c", "d", "e"),
        FanMarks(),
        FanMarks("a", "b", "c"),
    ],
)
def test_a_round_trip_keeps_every_field(marks) -> None:
    assert type(marks).of(stored(marks)) == marks
    assert type(marks).of({}) == type(marks)()


def test_the_chats_that_were_listed_are_bounded() -> None:
    marks = ChatMarks(listed={str(fan): "1" for fan in range(LISTED_MAX + 7)})

    kept = ChatMarks.of(stored(marks)).listed

    assert (len(kept), min(kept, key=int)) == (LISTED_MAX, "7")


def test_a_pass_moves_the_mark_and_remembers_the_one_before() -> None:
    marks = ChatMarks(done_to="2", prior="1", top="3", page="p", read=("1",), listed={"1": "9"})

    assert marks.passed() == ChatMarks(done_to="3", prior="2", listed={"1": "9"})
    assert ChatMarks(done_to="2").passed() == ChatMarks(done_to="2", prior="2")


def test_a_pass_with_something_to_return_to_moves_no_mark() -> None:
    marks = ChatMarks(done_to="2", prior="1", top="3", listed={"1": "9", "2": "8"})

    assert marks.must_return("1").passed() == ChatMarks(done_to="2", prior="1", listed={"2": "8"})


def test_a_new_account_is_read_a_month_back_and_later_to_the_pass_before() -> None:
    assert ChatMarks().floor(NOW) == ChatMarks().stop_at(NOW) == NOW - timedelta(days=30)
    later = ChatMarks(done_to=NOW.isoformat(), prior=HOUR_AGO)
    hour_and_overlap = timedelta(hours=1, minutes=2)
    assert later.floor(NOW) == NOW - hour_and_overlap
    assert later.stop_at(NOW) == NOW - timedelta(minutes=2)
    assert ChatMarks(done_to=HOUR_AGO).floor(NOW) == NOW - hour_and_overlap


@pytest.mark.parametrize(
    ("marks", "days"),
    [
        (MoneyMarks(), 90),
        (MoneyMarks(done_to=NOW.isoformat()), 30),
        (MoneyMarks(done_to=NOW.isoformat(), looked_back_at=HOUR_AGO), 1),
        (
            MoneyMarks(
                done_to=NOW.isoformat(), looked_back_at=(NOW - timedelta(days=1)).isoformat()
            ),
            30,
        ),
    ],
)
def test_money_is_read_with_an_overlap_and_far_back_once_a_day(marks, days) -> None:
    begun = marks.begin(NOW)

    assert begun.since == (NOW - timedelta(days=days)).isoformat()
    assert begun.top == NOW.isoformat()
    assert begun.begin(NOW + timedelta(hours=1)) == begun


@pytest.mark.parametrize(
    ("marks", "asked_at", "is_due"),
    [
        (FanMarks(), None, True),
        (FanMarks(done_at=HOUR_AGO), None, False),
        (FanMarks(done_at=HOUR_AGO, began_at=HOUR_AGO), None, True),
        (FanMarks(done_at=HOUR_AGO), NOW, True),
        (FanMarks(done_at=HOUR_AGO), NOW - timedelta(hours=2), False),
        (FanMarks(done_at=(NOW - timedelta(days=1)).isoformat()), None, True),
    ],
)
def test_fans_are_read_at_connect_on_request_and_daily(marks, asked_at, is_due) -> None:
    assert marks.is_due(NOW, asked_at) is is_due


def test_failures_are_rested_from_twice_as_long_each_time_up_to_an_hour() -> None:
    seconds = [backoff(failures).total_seconds() for failures in (0, 1, 2, 6, 7, 8, 10**9)]

    assert seconds == [30, 60, 120, 1920, 3600, 3600, 3600]


def test_every_bad_field_of_a_connection_is_named() -> None:
    with pytest.raises(Invalid) as invalid:
        check_connection(ConnectionDraft("fansly", "luna", "x" * 101, "two words"))
    assert [one.field for one in invalid.value.problems] == [
        "name",
        "accessKey",
        "platform",
        "accountId",
    ]
    check_connection(ConnectionDraft("onlyfans", "acct_1", "Luna", "key"))


def test_bad_limits_and_keys_are_named() -> None:
    with pytest.raises(Invalid) as invalid:
        check_limits(LimitsDraft(frozenset({"name"}), " ", 61, 11))
    assert [one.field for one in invalid.value.problems] == ["name", "ratePerMinute", "burst"]
    check_limits(LimitsDraft(frozenset(), None, 60, 10))
    with pytest.raises(Invalid):
        check_key("é")
    check_key("key")
