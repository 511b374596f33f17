"""While the product is off, the pacer and the tasks rest."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from workers import conversations, unsending
from workers.pacer import Pacer
from workers.resting import rest_if_off


def services(done: list[str], *, on: bool) -> SimpleNamespace:
    def settle() -> None:
        done.append("settled")

    def swept() -> int:
        done.append("swept")
        return 0

    class Turn:
        held = True

    return SimpleNamespace(
        settings=SimpleNamespace(onlyfans_crm_enabled=on),
        healing_turn=Turn(),
        healing=SimpleNamespace(settle=settle),
        sweeps={"rows": swept},
    )


class Tasks:
    """Keeps tasks by their names, as Celery's application does for a whole process."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    def task(self, name: str) -> Callable[[Any], Any]:
        def keep(task: Any) -> Any:
            self.tasks[name] = task
            return task

        return keep


class Twice(threading.Event):
    """Lets a loop run two rounds."""

    rounds = 0

    def wait(self, _timeout: float | None = None) -> bool:
        self.rounds += 1
        return self.rounds > 2


@pytest.mark.parametrize(("on", "expected"), [(True, ["settled", "settled"]), (False, [])])
def test_settling_rests_while_the_product_is_off(*, on: bool, expected: list[str]) -> None:
    done: list[str] = []
    stop = Twice()

    Pacer(services(done, on=on), stop).settle_forever()

    assert done == expected


@pytest.mark.parametrize(("on", "expected"), [(True, ["swept"]), (False, [])])
def test_sweeps_rest_while_the_product_is_off(*, on: bool, expected: list[str]) -> None:
    done: list[str] = []
    stop = threading.Event()

    Pacer(services(done, on=on), stop)._sweep()

    assert done == expected


@pytest.mark.parametrize(("on", "expected"), [(True, ["told 1", "unsent 2"]), (False, [])])
def test_the_platform_is_told_nothing_while_the_product_is_off(
    *, on: bool, expected: list[str]
) -> None:
    done: list[str] = []
    built = services(done, on=on)
    built.read_marks = SimpleNamespace(tell=lambda one: done.append(f"told {one}"))
    built.unsending = SimpleNamespace(unsend=lambda one: done.append(f"unsent {one}"))
    app = Tasks()
    conversations.register(app, built)
    unsending.register(app, built)

    app.tasks["tell_read"]({"conversationId": 1})
    app.tasks["unsend_message"]({"messageId": 2})

    assert done == expected


def test_a_task_rests_exactly_while_the_product_is_off() -> None:
    assert rest_if_off(services([], on=False)) is True
    assert rest_if_off(services([], on=True)) is False


def test_a_sweep_that_fails_stops_no_other_one() -> None:
    done: list[str] = []
    alerts: list[tuple[str, object]] = []

    def broken() -> int:
        raise ValueError("ours")

    given = services(done, on=True)
    given.sweeps = {"broken": broken, **given.sweeps}
    given.journal = SimpleNamespace(
        alert=lambda action, **facts: alerts.append((action, facts["sweep"]))
    )
    Pacer(given, threading.Event())._sweep()

    assert done == ["swept"]
    assert alerts == [("sweep_failed", "broken")]
