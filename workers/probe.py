"""The probe task: proof for `huntaze doctor` that a queue has a worker."""

from datetime import timedelta
from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.events import Probed
from infra.bus.broker import Poison
from infra.wiring import Services, probe_key

# Longer than any doctor waits.
KEPT = timedelta(seconds=60)


def register(app: Celery, services: Services) -> None:
    """Add the probe to a queue's tasks."""

    @app.task(name="answer_probe")
    def answer_probe(payload: dict[str, Any]) -> None:
        """Run for Probed: leave an answer. A second run leaves the same."""
        try:
            probe = Probed.model_validate(payload)
        except ValidationError:
            raise Poison("not a Probed event") from None
        services.cache.put(probe_key(probe.token, probe.queue), "answered", KEPT)
