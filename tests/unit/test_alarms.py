"""Each alarm fires just above its threshold and at nothing below."""

import pytest

from domain.alarms import FAILURE_MIN_SENDS, RULES, Alarm, Numbers, judge


def alarm(name: str, numbers: Numbers) -> Alarm:
    [found] = [one for one in judge(numbers) if one.name == name]
    return found


def test_the_owners_thresholds_and_severities() -> None:
    told = {rule.name: (rule.threshold, rule.severity.value) for rule in RULES[:4]}
    assert told == {
        "queue_depth": (100, "warning"),
        "dead_letters": (10, "critical"),
        "failure_rate": (0.05, "warning"),
        "worker_errors": (10, "critical"),
    }


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("queue_depth", Numbers(depth=100), Numbers(depth=101)),
        ("dead_letters", Numbers(dead_letters=10), Numbers(dead_letters=11)),
        ("failure_rate", Numbers(sent=95, failed=5), Numbers(sent=94, failed=6)),
        ("worker_errors", Numbers(worker_errors=10), Numbers(worker_errors=11)),
        ("lateness", Numbers(lateness=60), Numbers(lateness=60.1)),
        ("oldest_age", Numbers(oldest_age=900), Numbers(oldest_age=901)),
    ],
)
def test_one_fires_above_its_threshold_only(name: str, below: Numbers, above: Numbers) -> None:
    assert (alarm(name, below).firing, alarm(name, below).state) == (False, "quiet")
    assert (alarm(name, above).firing, alarm(name, above).state) == (True, "firing")
    assert [one.name for one in judge(above) if one.firing] == [name]


def test_a_rate_of_few_sends_is_no_rate() -> None:
    few = Numbers(sent=0, failed=FAILURE_MIN_SENDS - 1)
    assert alarm("failure_rate", few).state == "unknown"
    assert alarm("failure_rate", Numbers(sent=0, failed=FAILURE_MIN_SENDS)).firing


def test_what_cannot_be_told_does_not_fire() -> None:
    assert {one.state for one in judge(Numbers())} == {"unknown"}
