"""The reference worker: the same Celery, transport and threads as ours, and one HTTP POST per task.

It takes the same messages from a queue of its own, so that only the work differs: no rows, no pace,
no claim and no record.
"""

from datetime import timedelta
from typing import Any

from domain.ports import SendRequest
from infra.bus.broker import QueueWorker, make_celery
from infra.bus.worker import run
from infra.logging import configure_logging
from infra.platform.ofapi import OfapiPlatform
from infra.settings import Settings, load_settings_or_exit

ACCOUNT = "bare"


def build(settings: Settings) -> QueueWorker:
    """The application of the reference worker."""
    app = make_celery(settings, "messages", threads=settings.worker_threads)
    platform = OfapiPlatform.from_settings(settings)
    deadline = timedelta(seconds=settings.platform_timeout_seconds)

    @app.task(name="deliver_requested")  # type: ignore[untyped-decorator]  # celery has no types
    def post(payload: dict[str, Any]) -> None:
        platform.send(
            SendRequest(
                account_id=ACCOUNT,
                access_key=None,
                platform_user_id="1",
                text=payload["content"],
                price_cents=None,
                media_ids=(),
                send_key=payload["messageId"],
            ),
            deadline,
        )

    return app


if __name__ == "__main__":
    settings = load_settings_or_exit()
    configure_logging(settings.log_level)
    raise SystemExit(run(build(settings)))
