"""The bench's rulers, on series whose answers can be seen by eye."""

import pytest

from bench.figures import Figure, shown, table
from bench.measures import (
    carrying,
    difference,
    empty_polls,
    fairness,
    inside_scripts,
    interval_errors,
    most_within,
    over_limit,
    overtaken,
    percentile,
    refused,
    used_since,
    utilisation,
)


def row(requests: int, messages: int = 0, empty: int = 0) -> dict[str, int]:
    return {"requests": requests, "messages": messages, "empty": empty, "failed": 0}


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (1.0, 100), (0.01, 1), (0.0, 1)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_the_percentiles_of_a_few_values_do_not_fall_between_them() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([7.0], 0.95) == 7.0


def test_every_slot_used_is_a_utilisation_of_one() -> None:
    assert utilisation([10, 12, 14, 16], 2) == 1


def test_a_slot_that_nobody_used_lowers_the_utilisation() -> None:
    assert utilisation([10, 12, 16, 18], 2) == 0.75


def test_interval_errors_have_no_sign() -> None:
    assert interval_errors([0.0, 1.5, 2.0], 1) == [0.5, 0.5]


def test_messages_at_their_slots_are_within_the_limit() -> None:
    assert over_limit([number * 6.03 for number in range(100)], 6.03) == 0


def test_jitter_within_the_slack_is_within_the_limit() -> None:
    assert over_limit([0.25, 6.0, 12.25], 6.0) == 0


def test_a_message_too_early_for_any_before_it_is_over_the_limit() -> None:
    assert over_limit([0.0, 5.6, 12.0], 6.0) == 1
    # Each gap alone would do; together they are 0.4 s short.
    assert over_limit([0.0, 5.8, 11.6], 6.0) == 1


def test_a_burst_is_over_the_limit_but_for_its_first() -> None:
    assert over_limit([0.0] * 10, 6.0) == 9


def test_the_time_lost_before_does_not_allow_a_burst_after() -> None:
    assert over_limit([0.0, 60.0, 60.1], 6.0) == 1


def test_a_half_open_window_does_not_hold_its_end() -> None:
    assert most_within([0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 60], 60) == 10
    assert most_within([0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 59.9], 60) == 11


def test_the_share_of_overtaken_pairs_runs_from_order_to_reverse() -> None:
    assert overtaken([1, 2, 3, 4]) == 0
    assert overtaken([4, 3, 2, 1]) == 1
    assert overtaken([2, 1, 3, 4]) == pytest.approx(1 / 6)


def test_two_accounts_that_get_the_same_are_treated_fairly() -> None:
    assert fairness([[1, 2, 3], [1.5, 2.5, 3]]) == 1
    # The longer backlog goes on after the shorter one is done.
    assert fairness([[1, 2, 3, 4, 5, 6], [1, 2, 3]]) == 1


def test_an_account_behind_the_backlog_of_another_gets_nothing_meanwhile() -> None:
    assert fairness([[1, 2, 3, 4], [5, 6]]) == 0.5
    assert fairness([[1, 2, 3, 4], [2, 6]]) == pytest.approx(25 / 34)


def test_slots_count_from_the_first_acceptance() -> None:
    assert used_since([[12, 14, 16]], 10, 2) == 1
    assert used_since([[12, 14, 16], [20]], 10, 2) == 0.5


def test_every_answer_but_the_good_one_was_refused() -> None:
    assert refused({202: 98, 429: 1, 0: 1}, 202) == 2


def test_only_requests_that_move_messages_are_counted() -> None:
    before = {"SendMessageBatch": row(2, 20), "ReceiveMessage": row(5, 20, 3)}
    after = {
        "SendMessageBatch": row(3, 21),
        "ReceiveMessage": row(9, 22, 5),
        "DeleteMessage": row(2, 2),
        "GetQueueAttributes": row(50),
    }
    assert carrying(before, after) == {
        "SendMessageBatch": 1,
        "ReceiveMessage": 2,
        "DeleteMessage": 2,
    }
    assert empty_polls(before, after) == 2


def test_a_queue_that_nobody_asked_yet_counts_from_nothing() -> None:
    assert carrying({}, {"SendMessage": row(1, 1)}) == {"SendMessage": 1}
    assert empty_polls({}, {}) == 0


def test_commands_of_scripts_are_told_from_those_of_the_client() -> None:
    added = difference(
        {"evalsha": 5, "zadd": 7, "ping": 1}, {"evalsha": 7, "zadd": 13, "ping": 1, "hset": 2}
    )

    assert added == {"evalsha": 2, "zadd": 6, "hset": 2}
    assert inside_scripts(added) == 8


def test_a_target_is_kept_at_its_very_limit() -> None:
    assert Figure("cost", "requests", 6.0, limit=6).met is True
    assert Figure("cost", "requests", 6.01, limit=6).met is False
    assert Figure("pace", "slots", 0.97, limit=0.97, least=True).met is True
    assert Figure("pace", "slots", 0.96, limit=0.97, least=True).met is False
    assert Figure("pacer", "releases", 1400).met is None


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (0.9712, "0.971"), (1406.3, "1,406"), (5.94, "5.94"), (0, "0")]
)
def test_figures_are_shown_with_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


def test_the_table_names_a_part_once_and_shouts_what_was_missed() -> None:
    lines = table(
        [
            Figure("pace", "slots used", 0.9, "", "slots 100 ms apart", 0.97, least=True),
            Figure("pace", "late", 12.0, "ms"),
        ]
    ).splitlines()

    assert lines[2].split() == [
        *("pace", "slots", "used", "0.9", ">=", "0.97", "MISSED"),
        *("slots", "100", "ms", "apart"),
    ]
    assert lines[3].split() == ["late", "12", "ms"]
