"""While the product is off, the pacer and the tasks rest."""

import threading
from types import SimpleNamespace

import pytest

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


def test_a_task_rests_exactly_while_the_product_is_off() -> None:
    assert rest_if_off(services([], on=False)) is True
    assert rest_if_off(services([], on=True)) is False
