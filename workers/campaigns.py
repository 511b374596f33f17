"""The tasks of campaigns: doorways that take one dict and call one service."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.campaigns import CampaignId
from domain.events import CampaignCompleted, CampaignProgressed, CampaignStarted
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off

Told = CampaignStarted | CampaignProgressed | CampaignCompleted


def register(app: Celery, services: Services) -> None:
    """Add the task that writes messages to the queue `campaigns`."""

    @app.task(name="fan_out_campaign")
    def fan_out_campaign(payload: dict[str, Any]) -> None:
        """Run for CampaignStarted: write the messages that are left. A second run finds none."""
        campaign_id = _named(CampaignStarted, payload)
        if not rest_if_off(services):
            services.campaigns.fan_out(campaign_id)


def register_metrics(app: Celery, services: Services) -> None:
    """Add the tasks that count to the queue `metrics`."""

    @app.task(name="count_campaign")
    def count_campaign(payload: dict[str, Any]) -> None:
        """Run for CampaignProgressed: write the metrics that the rows say. Repeatable."""
        campaign_id = _named(CampaignProgressed, payload)
        if not rest_if_off(services):
            services.campaigns.count(campaign_id)

    @app.task(name="close_campaign")
    def close_campaign(payload: dict[str, Any]) -> None:
        """Run for CampaignCompleted: tell it once more, in one line."""
        campaign_id = _named(CampaignCompleted, payload)
        if not rest_if_off(services):
            services.campaigns.completed(campaign_id)


def _named(kind: type[Told], payload: dict[str, Any]) -> CampaignId:
    """The campaign that an event names; raises Poison."""
    try:
        return CampaignId(kind.model_validate(payload).campaign_id)
    except ValidationError as problem:
        raise Poison(f"not a {kind.__name__}: {problem.error_count()} bad fields") from None
