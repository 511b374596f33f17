"""Asking dependencies: all at once, none for long, and not for everybody anew."""

from threading import Event

from domain.services.monitoring import Probes


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def states(probes: Probes) -> dict[str, bool]:
    return {one.name: one.ok for one in probes.ask()}


def raises() -> None:
    raise ConnectionError("away")


def test_one_that_hangs_is_away_and_delays_nobody() -> None:
    released = Event()
    probes = Probes({"hangs": released.wait, "answers": lambda: None}, patience=0.05)

    found = states(probes)
    released.set()

    assert found == {"hangs": False, "answers": True}


def test_whatever_a_probe_raises_means_away() -> None:
    assert states(Probes({"raises": raises})) == {"raises": False}


def test_an_answer_serves_everybody_for_two_seconds() -> None:
    clock, asked = Clock(), []
    probes = Probes({"counted": lambda: asked.append(1)}, monotonic=clock)
    for moment in (0.0, 1.9, 2.0, 3.9, 4.0):
        clock.seconds = moment
        probes.ask()

    assert len(asked) == 3
