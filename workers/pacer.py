"""The pacer: releases due messages onto the queue, and runs the healing timer.

Not a task but a small long-running process. Any number may run: release is atomic in Redis, and the
healing timer belongs to whoever holds the advisory lock.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from domain.errors import Unavailable
from domain.events import Event, MessageReleased
from domain.pacing import Permit
from domain.ports import RoomCold, RoomUnavailable
from infra import tracing
from infra.logging import configure_logging
from infra.settings import load_settings_or_exit
from infra.wiring import Services, build, serve_metrics
from workers.resting import rest_if_off

# One call of release; ten SQS batches.
RELEASE_LIMIT = 100
# The longest sleep: a wake that got lost costs no more.
LONGEST_WAIT = 0.25
HEALING_EVERY = 1.0
FORGET_KEYS_EVERY = 600.0
RETRY_AFTER_FAILURE = 0.5


class Pacer:
    """The loops of the process; each ends when `stop` is set."""

    def __init__(self, services: Services, stop: threading.Event) -> None:
        self._services = services
        self._stop = stop

    def release_forever(self) -> None:
        """Release what is due, then sleep until the next slot or a wake."""
        while not self._stop.is_set():
            try:
                wait = self.release_once()
            except RoomUnavailable:
                wait = RETRY_AFTER_FAILURE
                self._stop.wait(wait)
                continue
            if wait > 0:
                self._services.room.wait_for_wake(min(wait, LONGEST_WAIT))

    def release_once(self) -> float:
        """Hand out due permits; returns the seconds until the next could be due."""
        if not self._services.rules.enabled:
            return LONGEST_WAIT
        released = self._services.room.release(RELEASE_LIMIT)
        if released.permits:
            refused = self._services.bus.publish([released_event(one) for one in released.permits])
            if refused:
                # SQS is away: the messages keep their places, and the slots are not charged.
                again = [permit_of(event) for event in refused]
                self._services.room.give_back(again)
                return RETRY_AFTER_FAILURE
            self._services.journal.note("permits_released", count=len(released.permits))
        if len(released.permits) == RELEASE_LIMIT:
            return 0
        return LONGEST_WAIT if released.next_in_ms is None else released.next_in_ms / 1000

    def heal_forever(self) -> None:
        """Once a second: beat, rebuild if cold, and heal when it is our turn."""
        turn, healing = self._services.healing_turn, self._services.healing
        forget_at = 0.0
        while not self._stop.wait(HEALING_EVERY):
            try:
                if not turn.ours():
                    continue
                self._keep_room()
                healing.heal()
                self._sweep()
                if time.monotonic() > forget_at:
                    healing.forget_old_keys()
                    forget_at = time.monotonic() + FORGET_KEYS_EVERY
            except Unavailable as problem:
                self._services.journal.note("healing_postponed", reason=str(problem))
        turn.give_up()

    def _keep_room(self) -> None:
        try:
            with contextlib.suppress(RoomCold):  # The beat of a cold room says what follows mends.
                self._services.room.beat()
            self._services.healing.rebuild_if_cold()
        except RoomUnavailable as problem:
            self._services.journal.note("waiting_room_away", reason=str(problem))

    def _sweep(self) -> None:
        """Set everything else going that is overdue; while the product is off it rests."""
        if rest_if_off(self._services):
            return
        for name, sweep in self._services.sweeps.items():
            try:
                count = sweep()
            except Unavailable:
                raise
            except Exception as problem:  # noqa: BLE001  # one fault must not stop all sending
                self._services.journal.alert("sweep_failed", sweep=name, exc_info=problem)
                continue
            if count:
                self._services.journal.note("rows_swept", sweep=name, count=count)

    def settle_forever(self) -> None:
        """Settle `unknown` messages apart from healing: reading a chat may take seconds. While the
        product is off they wait, for nobody is called."""
        while not self._stop.wait(HEALING_EVERY):
            if rest_if_off(self._services):
                continue
            try:
                if self._services.healing_turn.held:
                    self._services.healing.settle()
            except Unavailable as problem:
                self._services.journal.note("settling_postponed", reason=str(problem))


def released_event(permit: Permit) -> Event:
    """The event that takes a permit to a worker."""
    payload = MessageReleased(
        message_id=permit.message_id, connection_id=permit.connection_id, lease=permit.lease
    )
    return Event(payload, group=str(permit.connection_id), traceparent=permit.traceparent)


def permit_of(event: Event) -> Permit:
    """The permit in a MessageReleased event."""
    assert isinstance(event.payload, MessageReleased)
    return event.payload.permit()


def guarded(services: Services, loop: Callable[[], None], stop: threading.Event) -> None:
    """Run a loop; a bug in it ends the process, which the supervisor then starts again."""
    try:
        loop()
    except Exception as problem:  # noqa: BLE001  # whatever it is, a half-dead pacer is worse
        services.journal.alert("pacer_failed", error=type(problem).__name__, detail=str(problem))
        stop.set()


def main() -> int:
    """Run until SIGTERM; 1 after a failure."""
    settings = load_settings_or_exit()
    configure_logging(settings.log_level)
    tracing.start(settings, "pacer")
    services = build(settings, patient_bus=True)
    serve_metrics(settings)
    stop, terminated = threading.Event(), threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        terminated.set()
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    pacer = Pacer(services, stop)
    loops = [pacer.release_forever, pacer.heal_forever, pacer.settle_forever]
    threads = [
        threading.Thread(target=guarded, args=(services, loop, stop), name=loop.__name__)
        for loop in loops
    ]
    for thread in threads:
        thread.start()
    services.journal.note("pacer_started")
    stop.wait()
    for thread in threads:
        thread.join(timeout=10)
    services.close()
    tracing.stop()
    return 0 if terminated.is_set() else 1


if __name__ == "__main__":
    raise SystemExit(main())
