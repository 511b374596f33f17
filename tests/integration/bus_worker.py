"""A worker process for tests. What a task does, the message's text says: `fail`, `poison`,
`sleep 2`; anything else succeeds. Each run leaves a line in the file of the first argument."""

import sys
import time
from pathlib import Path

from infra.bus.broker import Poison, make_celery
from infra.bus.worker import run
from infra.logging import configure_logging
from infra.settings import load_settings


def main(runs: str, threads: str) -> int:
    configure_logging("INFO")

    def note(text: str) -> None:
        with Path(runs).open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    app = make_celery(
        load_settings(),
        "messages",
        threads=int(threads),
        wait_seconds=1,
        longest_pause=0.3,
        on_last_failure=lambda task, payload, _reason: note(f"last {task}: {payload['content']}"),
    )

    @app.task(name="deliver_requested")
    def deliver_requested(payload: dict) -> None:
        text = payload["content"]
        note(text)
        if text.startswith("fail"):
            raise RuntimeError(f"could not deliver {text}")
        if text.startswith("poison"):
            raise Poison("the fan is gone")
        if text.startswith("sleep"):
            time.sleep(float(text.split()[1]))

    @app.task(name="deliver_released")
    def deliver_released(payload: dict) -> None:
        note(f"released {payload['messageId']}")

    return run(app)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
