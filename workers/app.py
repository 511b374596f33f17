"""`python -m workers.app QUEUE`: one worker process for one queue, with a pool of threads."""

import sys
from collections.abc import Callable

from infra import tracing
from infra.bus.broker import QueueWorker, make_celery
from infra.bus.worker import run
from infra.logging import configure_logging
from infra.settings import QUEUES, Settings, load_settings_or_exit
from infra.wiring import Services, serve_metrics
from infra.wiring import build as build_services
from workers import (
    campaigns,
    conversations,
    delivery,
    imports,
    inbound,
    media,
    probe,
    sync,
    unsending,
)

# Who brings the tasks of a queue; every queue also answers the probe.
REGISTER: dict[str, tuple[Callable[[QueueWorker, Services], None], ...]] = {
    "messages": (delivery.register, unsending.register),
    "campaigns": (campaigns.register,),
    "metrics": (campaigns.register_metrics,),
    "imports": (media.register, imports.register),
    "inbound": (inbound.register, sync.register, conversations.register),
}
THREADS = 8


def build(queue: str, settings: Settings, services: Services) -> QueueWorker:
    """The application of one queue, with its tasks. Nothing is contacted yet."""
    threads = settings.worker_threads if queue == "messages" else THREADS
    app = make_celery(
        settings,
        queue,
        threads=threads,
        on_last_failure=delivery.last_failure(services),
        on_error=services.worker_errors.note,
    )
    probe.register(app, services)
    for register in REGISTER.get(queue, ()):
        register(app, services)
    return app


def main(arguments: list[str]) -> int:
    """Exit code 2 for what the caller must change."""
    if len(arguments) != 1 or arguments[0] not in QUEUES:
        sys.stderr.write(f"usage: python -m workers.app {'|'.join(QUEUES)}\n")
        return 2
    settings = load_settings_or_exit()
    configure_logging(settings.log_level)
    tracing.start(settings, f"worker-{arguments[0]}")
    services = build_services(settings, patient_bus=True)
    serve_metrics(settings)
    try:
        return run(build(arguments[0], settings, services))
    finally:
        services.close()
        tracing.stop()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
