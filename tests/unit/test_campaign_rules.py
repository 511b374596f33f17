"""Rules of campaigns without rows: hours of the day, names in texts, and what is too much failure."""

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.campaigns import (
    Campaign,
    CampaignId,
    CampaignStatus,
    Candidate,
    Hours,
    Progress,
    rendered,
)
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.users import OwnerId

PARIS = Hours(time(9), time(21), "Europe/Paris")
NIGHT = Hours(time(22), time(6), "Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "until", "is_open"),
    [
        (PARIS, "2025-06-01T10:00+02:00", "2025-06-01T21:00+02:00", True),
        (PARIS, "2025-06-01T08:59+02:00", "2025-06-01T09:00+02:00", False),
        (PARIS, "2025-06-01T21:00+02:00", "2025-06-02T09:00+02:00", False),
        (NIGHT, "2025-06-01T23:00+02:00", "2025-06-02T06:00+02:00", True),
        (NIGHT, "2025-06-01T05:59+02:00", "2025-06-01T06:00+02:00", True),
        (NIGHT, "2025-06-01T12:00+02:00", "2025-06-01T22:00+02:00", False),
        # The night of an hour less, and of an hour more.
        (NIGHT, "2025-03-30T00:00+01:00", "2025-03-30T06:00+02:00", True),
        (NIGHT, "2025-10-26T00:00+02:00", "2025-10-26T06:00+01:00", True),
        (PARIS, "2025-03-29T22:00+01:00", "2025-03-30T09:00+02:00", False),
    ],
)
def test_hours_open_and_close(hours: Hours, now: str, until: str, *, is_open: bool) -> None:
    assert hours.window(at(now)) == (at(until), is_open)


def test_what_does_not_fit_before_the_end_goes_on_when_it_opens_again() -> None:
    start = at("2025-06-01T20:59:50+02:00")
    moved = PARIS.moved([start + timedelta(seconds=6 * number) for number in range(4)])
    assert moved == [
        start,
        start + timedelta(seconds=6),
        at("2025-06-02T09:00+02:00"),
        at("2025-06-02T09:00:06+02:00"),
    ]


@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=20).map(sorted),
    st.sampled_from([PARIS, NIGHT, Hours(time(0), time(0, 30), "America/New_York")]),
)
def test_moved_instants_keep_their_order_and_are_open(seconds: list[int], hours: Hours) -> None:
    start = at("2025-10-25T12:00+02:00")
    instants = [start + timedelta(seconds=one) for one in seconds]
    moved = hours.moved(instants)
    assert list(moved) == sorted(moved)
    for before, after in zip(instants, moved, strict=True):
        assert after >= before
        assert hours.window(after)[1]


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
        created_at=at("2025-06-01T10:00+02:00"),
        forgiven=forgiven,
        progress=Progress(total=100, sent=sent, failed=failed),
    )
    assert bool(campaign.too_many_failed()) == pauses
