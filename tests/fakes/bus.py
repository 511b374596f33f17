"""A bus in memory."""

from collections import Counter
from collections.abc import Callable, Sequence

from domain.events import Event
from domain.ports import BusUnavailable, QueueDepth
from infra.bus.routing import route_of
from infra.settings import QUEUES

LARGEST_BYTES = 1_048_576
REST_SECONDS = 2.0


class FakeBus:
    """Keeps what was published in `events`. While `away` everything is refused, and as long as the
    real one would rest afterwards; `refuses` picks single events."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.events: list[Event] = []
        self.away = False
        self.refuses: Callable[[Event], bool] = too_large
        self._clock = clock
        self._rests_until = float("-inf")

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        if events and self.away and not self._resting():
            self._rests_until = self._clock() + REST_SECONDS
        refused = [one for one in events if self.away or self._resting() or self.refuses(one)]
        self.events += [one for one in events if one not in refused]
        return refused

    def depths(self, *queues: str) -> Sequence[QueueDepth]:
        if self.away:
            raise BusUnavailable("the fake is away")
        counts = Counter(route_of(one.payload).queue for one in self.events)
        return [QueueDepth(name, counts[name], 0, None, 0) for name in queues or QUEUES]

    def _resting(self) -> bool:
        return self._clock() < self._rests_until


def too_large(event: Event) -> bool:
    return len(str(event.payload.wire())) > LARGEST_BYTES
