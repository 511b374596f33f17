"""How two fans become one: what the kept fan takes over, and what it gives back."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.fans import TAGS_MAX, Fan, plain

UNDO_WITHIN = timedelta(days=30)
LINK = ("connection_id", "platform_user_id")
# Blank in the kept fan, these come from the other.
FILLED = ("email", "avatar", "notes", "subscription_tier")
# Kept in step with transactions.
SUMS = ("value_cents", "tips_cents")
MOMENTS = ("last_seen_at", "last_purchase_at", "value_stated_at", "subscription_ends_at")


def are_different_people(one: Fan, other: Fan) -> bool:
    """Whether one account knows them as two."""
    return (
        one.linked
        and other.linked
        and one.connection_id == other.connection_id
        and one.platform_user_id != other.platform_user_id
    )


def united(kept: Fan, other: Fan) -> dict[str, Any]:
    """The fields of the kept fan that change."""
    values: dict[str, Any] = {name: getattr(kept, name) or getattr(other, name) for name in FILLED}
    values["tags"] = tuple(dict.fromkeys(kept.tags + other.tags))[:TAGS_MAX]
    richer = max(kept, other, key=lambda fan: fan.value_cents)
    values["value_cents"] = richer.value_cents
    values["value_stated_at"] = richer.value_stated_at
    values["tips_cents"] = kept.tips_cents + other.tips_cents
    for name in ("last_seen_at", "last_purchase_at"):
        values[name] = max(filter(None, (getattr(kept, name), getattr(other, name))), default=None)
    if kept.subscription is None:
        values["subscription"] = other.subscription
        values["subscription_ends_at"] = other.subscription_ends_at
    if not kept.linked and other.linked:
        values |= {name: getattr(other, name) for name in LINK}
    return {name: value for name, value in values.items() if value != getattr(kept, name)}


def record_of(fan: Fan, names: Mapping[str, Any]) -> dict[str, Any]:
    """These fields as JSON holds them."""
    return {name: plain(getattr(fan, name)) for name in names}


def returning(
    kept: Fan, before: Mapping[str, Any], after: Mapping[str, Any], merged_at: datetime
) -> tuple[dict[str, Any], list[str]]:
    """The fields that go back to what they were, and the names of those that were changed since
    the merge and stay. The two halves of the link go or stay together; money that came since stays
    on top of what was there before, unless a person has stated the value anew."""
    stay = [name for name in after if plain(getattr(kept, name)) != after[name]]
    if any(name in stay for name in LINK):
        stay += [name for name in LINK if name in after and name not in stay]
    is_stated = kept.value_stated_at is not None and kept.value_stated_at > merged_at
    came = [name for name in SUMS if name in stay and not (name == "value_cents" and is_stated)]
    stay = [name for name in stay if name not in came]
    values = {name: _read(name, before[name]) for name in after if name not in stay}
    values |= {name: before[name] + getattr(kept, name) - after[name] for name in came}
    return values, sorted(stay)


def _read(name: str, value: Any) -> Any:
    if name in MOMENTS and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if name == "tags" else value
