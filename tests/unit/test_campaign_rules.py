"""Rules of campaigns without rows: names in texts, and what is too much failure."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.campaigns import (
    Campaign,
    CampaignId,
    CampaignStatus,
    Candidate,
    Progress,
    rendered,
)
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.users import OwnerId


def candidate(name: str, handle: str = "@jane") -> Candidate:
    return Candidate(FanId(1), name, handle, ConnectionId(1), is_linked=True)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Hi {name}!", "Jane", "Hi Jane!"),
        ("Hi {name|you} and {name}", "Jane", "Hi Jane and Jane"),
        ("Hi {name|you}", "jane", "Hi you"),
        ("Hi {name|}", "jane", "Hi "),
        ("Hi {name}", "jane", None),
        ("{other} {name|a|b} {", "Jane", "{other} Jane {"),
        ("Hi {name}", "{name}", "Hi {name}"),
        ("Hi {name}", r"\1 \g<0>", r"Hi \1 \g<0>"),
    ],
)
def test_names_in_texts(text: str, name: str, expected: str | None) -> None:
    assert rendered(text, candidate(name)) == expected


@pytest.mark.parametrize(
    ("sent", "failed", "forgiven", "pauses"),
    [(0, 4, 0, False), (0, 5, 0, True), (20, 5, 0, False), (19, 5, 0, True), (10, 9, 5, False)],
)
def test_too_much_failure(sent: int, failed: int, forgiven: int, *, pauses: bool) -> None:
    campaign = Campaign(
        id=CampaignId(1),
        public_id=uuid4(),
        owner_id=OwnerId(1),
        actor_id=None,
        name="Sale",
        status=CampaignStatus.ACTIVE,
        content="Hi",
        media_urls=(),
        price_cents=None,
        priority=8,
        metadata={},
        audience={},
        metrics={},
        total=100,
        created_at=datetime(2025, 6, 1, tzinfo=UTC),
        forgiven=forgiven,
        progress=Progress(total=100, sent=sent, failed=failed),
    )
    assert bool(campaign.too_many_failed()) == pauses
