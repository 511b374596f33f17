"""A drill's schedule: what a seed means."""

from itertools import groupby, pairwise

import pytest
from drill.schedule import ACTIONS, schedule


@pytest.mark.parametrize("minutes", [1, 10])
def test_a_seed_is_a_schedule_and_another_seed_another(minutes: float) -> None:
    assert schedule(7, minutes) == schedule(7, minutes)
    assert schedule(7, minutes) != schedule(8, minutes)


def test_all_of_it_is_over_when_the_load_is() -> None:
    for seed in range(20):
        plan = schedule(seed, 2)
        assert plan
        assert min(one.at for one in plan) > 0
        assert max(one.end for one in plan) < 120


def test_no_part_is_disturbed_twice_at_once() -> None:
    plan = sorted(schedule(3, 30), key=lambda one: one.victim)

    for _, its in groupby(plan, key=lambda one: one.victim):
        assert all(before.end < after.at for before, after in pairwise(its))


def test_a_long_drill_does_everything_to_every_part() -> None:
    done = {(one.victim, one.action) for one in schedule(1, 10)}

    assert done == {(victim, action) for victim, actions in ACTIONS.items() for action in actions}
