"""Telling what happened: a window after another, by whichever process holds the timer."""

from datetime import timedelta

from domain.ports import Bus, BusUnavailable, Journal, Metrics, MetricsUnavailable, WorkerErrors
from domain.repositories import OpenUnitOfWork

MINUTE = timedelta(minutes=1)


class TelemetryService:
    """The timer's part of metrics. `lag`: by then whatever happened in a window is written down.

    A process that dies between telling and remembering tells one window twice; none is lost."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        bus: Bus,
        metrics: Metrics,
        errors: WorkerErrors,
        journal: Journal,
        every: timedelta,
        lag: timedelta,
    ) -> None:
        self._open = open_unit_of_work
        self._bus = bus
        self._metrics = metrics
        self._errors = errors
        self._journal = journal
        self._every = every
        self._lag = lag

    def sweep(self) -> int:
        """Tell the window that is due, if one is; returns how many were told."""
        with self._open() as work:
            window = work.telemetry.take(self._every, self._lag)
            if window is None:
                work.commit()
                return 0
            tally, standing = work.telemetry.tally(window), work.telemetry.standing()
            # Minutes that were over by the window's end: each is told once, and as a whole.
            errors = self._errors.by_minute(window.start - MINUTE, window.end - MINUTE)
            try:
                self._metrics.tell(window, tally, standing, self._queues(), errors)
            except MetricsUnavailable as problem:
                # It is told with the next one.
                self._journal.note("metrics_postponed", reason=str(problem))
                return 0
            work.telemetry.told(window)
            work.commit()
        return 1

    def _queues(self) -> dict[str, tuple[int, int]] | None:
        """Waiting and dead letters of each queue; None while SQS is away."""
        try:
            return {one.name: (one.depth, one.dead_letters) for one in self._bus.depths()}
        except BusUnavailable:
            return None
