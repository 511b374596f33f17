"""Runs a Celery application as this process's worker, without Celery's command line.

That one brings a banner, and signal handlers of which the second cuts off running tasks.
"""

import signal
from types import FrameType

from celery.worker import WorkController
from celery.worker import state as worker_state

from infra.bus.broker import QueueWorker
from infra.logging import get_logger


def run(app: QueueWorker) -> int:
    """Work until SIGTERM or SIGINT: running tasks finish, the rest is handed back. Returns the
    exit code. An idle worker ends with its long poll."""
    # The threads of the pool look for their application here.
    app.set_default()
    app.finalize()

    def end(_signal: int, _frame: FrameType | None) -> None:
        # Celery's loop looks at it after each poll.
        worker_state.should_stop = 0  # type: ignore[assignment]  # its stub knows None only

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    worker = WorkController(
        app=app, without_mingle=True, without_gossip=True, without_heartbeat=True
    )
    log = get_logger(queue=app.inbox.queue)
    log.info("worker_started", threads=app.conf.worker_concurrency)
    worker.start()
    log.info("worker_stopped")
    return worker.exitcode or 0
