"""What may be said of a fan, and how it is kept."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.connections import ConnectionId
from domain.errors import Invalid
from domain.fans import (
    Fan,
    FanId,
    changes_between,
    fan_of_record,
    fan_record,
    read_avatar,
    read_email,
    read_fields,
    read_handle,
    read_tags,
    retag,
)
from domain.merging import are_different_people, record_of, returning, united
from domain.segments import FanFilter, filter_of_record
from domain.tiers import TierRules
from domain.users import OwnerId

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FAN = Fan(
    id=FanId(1),
    owner_id=OwnerId(2),
    name="Jane",
    platform="onlyfans",
    handle="@jane",
    email="jane@example.com",
    avatar=None,
    tags=("a", "b"),
    value_cents=500,
    last_seen_at=NOW,
    notes=None,
    tier="new",
    connection_id=ConnectionId(3),
    platform_user_id="77",
    version=4,
    created_at=NOW,
    updated_at=NOW,
)
OTHER = replace(
    FAN,
    id=FanId(9),
    tags=("b", "c"),
    email="other@example.com",
    notes="theirs",
    value_cents=900,
    value_stated_at=NOW,
    last_seen_at=NOW + timedelta(days=1),
)


@pytest.mark.parametrize("text", ["jane", "@jane", " @@jane ", "@ jane"])
def test_a_handle_has_one_at_and_no_spaces(text: str) -> None:
    assert read_handle(text) == "@jane"


@pytest.mark.parametrize("text", ["", "@", " ", "jane doe", "jane\u2003doe", "a\x07", "x" * 100])
def test_what_is_no_handle_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="characters without spaces"):
        read_handle(text)


@pytest.mark.parametrize("text", ["a@b.co", "a+b@c.d.example", "ü@münchen.example"])
def test_an_email_is_kept_as_it_is(text: str) -> None:
    assert read_email(f" {text} ") == text


@pytest.mark.parametrize("text", ["a", "a@", "a@b", "@b.co", "a@b..co", "a@@b.co", "a b@c.co"])
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="email address"):
        read_email(text)


def test_blank_is_none() -> None:
    assert (read_email(" "), read_avatar(" ")) == (None, None)


def test_tags_are_folded_composed_and_each_kept_once() -> None:
    assert read_tags([" VIP", "vip", "Caf\u0065\u0301", "café", "STRASSE", "straße"]) == (
        "vip",
        "café",
        "strasse",
    )


def test_tags_are_added_at_the_end_and_removed() -> None:
    assert retag(("a", "b", "c"), ("d", "a"), ("b",)) == ("a", "c", "d")


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        read_fields({"name": "", "handle": None, "value_cents": -1, "notes": "fine"}, NOW)

    assert [one.field for one in refusal.value.problems] == ["name", "handle", "valueCents"]


@pytest.mark.parametrize(
    "moment", [datetime(1969, 12, 31, tzinfo=UTC), NOW + timedelta(days=1, seconds=1)]
)
def test_nobody_was_seen_before_1970_or_after_tomorrow(moment: datetime) -> None:
    with pytest.raises(Invalid):
        read_fields({"last_seen_at": moment}, NOW)


def test_a_record_keeps_every_field() -> None:
    full = replace(
        OTHER,
        avatar="https://cdn.example/a.jpg",
        deleted_at=NOW,
        tips_cents=5,
        last_purchase_at=NOW,
        subscription="active",
        subscription_ends_at=NOW,
        subscription_tier="Premium",
        merged_into=FanId(1),
        erased_at=NOW,
    )

    assert fan_of_record(fan_record(full)) == full
    assert all(getattr(full, one.name) is not None for one in fields(Fan))


def test_changes_tell_only_what_differs() -> None:
    assert changes_between(FAN, replace(FAN, tags=("a",), version=5, last_seen_at=None)) == (
        {"tags": ["a", "b"], "last_seen_at": NOW.isoformat()},
        {"tags": ["a"], "last_seen_at": None},
    )


def test_a_filter_survives_its_record() -> None:
    full = FanFilter(
        q="jane",
        tags=("a",),
        min_spend_cents=0,
        max_spend_cents=5,
        seen_after=NOW,
        seen_before=NOW,
        tier="regular",
        subscription="active",
        subscription_tier="Premium",
        connection_id=ConnectionId(3),
        linked=False,
    )

    assert filter_of_record(full.record()) == full
    assert FanFilter().record() == {}
    assert filter_of_record({"tier": "whale", "mood": "good"}) == FanFilter(tier="whale")


def test_the_default_rules_make_sense() -> None:
    TierRules().check()


def test_two_of_one_account_are_different_people() -> None:
    assert are_different_people(FAN, replace(OTHER, platform_user_id="78"))
    assert not are_different_people(FAN, OTHER)
    assert not are_different_people(FAN, replace(OTHER, platform_user_id=None))
    assert not are_different_people(FAN, replace(OTHER, connection_id=ConnectionId(4)))


def test_the_kept_fan_takes_over_what_it_lacks() -> None:
    assert united(FAN, OTHER) == {
        "notes": "theirs",
        "tags": ("a", "b", "c"),
        "value_cents": 900,
        "value_stated_at": NOW,
        "last_seen_at": NOW + timedelta(days=1),
    }
    assert united(replace(FAN, connection_id=None, platform_user_id=None), FAN) == {
        "connection_id": 3,
        "platform_user_id": "77",
    }
    assert united(FAN, FAN) == {}


def test_what_was_changed_since_stays_and_the_link_stays_as_a_whole() -> None:
    before = replace(FAN, connection_id=None, platform_user_id=None)
    values = united(before, OTHER)
    kept = replace(before, **values)
    records = record_of(before, values), record_of(kept, values)

    assert returning(kept, *records, NOW) == ({name: getattr(before, name) for name in values}, [])
    moved = replace(kept, platform_user_id="78", notes="mine")
    back, stayed = returning(moved, *records, NOW)
    assert stayed == ["connection_id", "notes", "platform_user_id"]
    assert back.keys() == values.keys() - set(stayed)
