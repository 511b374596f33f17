"""One suite for the Bus port: the fake and SQS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from fakes.bus import FakeBus
from faults import FaultProxy
from sqs import Sqs, released, requested, settings_for

from domain.ports import Bus, BusUnavailable, QueueDepth
from infra.bus.publisher import SqsBus
from infra.settings import QUEUES

pytest_plugins = ["sqs_fixtures"]


@dataclass
class Rig:
    """A bus, a switch for its queues, and the clock it rests by."""

    bus: Bus
    set_away: Callable[[bool], None]
    now: float = 1000.0


@pytest.fixture(params=["fake", "sqs"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "fake":
        fake = FakeBus(clock=lambda: rig.now)
        rig = Rig(fake, lambda away: setattr(fake, "away", away))
        yield rig
    else:
        sqs: Sqs = request.getfixturevalue("sqs")
        with FaultProxy(sqs.port) as proxy:

            def set_away(away: bool) -> None:  # noqa: FBT001  # a switch
                proxy.refusing = away
                proxy.reset()

            rig = Rig(SqsBus(settings_for(proxy.url), clock=lambda: rig.now), set_away)
            yield rig


def depth_of(bus: Bus, name: str) -> QueueDepth:
    [found] = bus.depths(name)
    return found


def test_nothing_to_publish_is_fine(rig: Rig) -> None:
    assert list(rig.bus.publish([])) == []


def test_published_events_wait_in_the_queue_of_their_route(rig: Rig) -> None:
    refused = rig.bus.publish([requested(), released(1), requested()])

    assert list(refused) == []
    assert list(rig.bus.depths()) == [
        QueueDepth(name, 3 if name == "messages" else 0, 0, None, 0) for name in QUEUES
    ]


def test_what_the_queue_does_not_take_is_refused_alone(rig: Rig) -> None:
    events = [requested(), requested("x" * 1_100_000), requested()]

    refused = rig.bus.publish(events)

    assert list(refused) == [events[1]]
    assert depth_of(rig.bus, "messages").depth == 2


def test_everything_is_refused_while_away_and_for_two_seconds_more(rig: Rig) -> None:
    events = [requested(), released(1)]
    rig.set_away(True)
    assert list(rig.bus.publish(events)) == events

    rig.set_away(False)
    rig.now += 1.9
    assert list(rig.bus.publish(events)) == events
    assert depth_of(rig.bus, "messages").depth == 0

    rig.now += 0.2
    assert list(rig.bus.publish(events)) == []
    assert depth_of(rig.bus, "messages").depth == 2


def test_depths_are_told_in_the_order_asked(rig: Rig) -> None:
    assert [one.name for one in rig.bus.depths("metrics", "messages")] == ["metrics", "messages"]


def test_depths_tell_that_the_bus_is_away(rig: Rig) -> None:
    rig.set_away(True)

    with pytest.raises(BusUnavailable):
        rig.bus.depths()
