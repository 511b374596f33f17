"""What the platform says of fans, as rows. The caller holds the connection's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain.connections import Connection
from domain.inbound import Fact, FanSeen, MessagePurchased, MessageSeen, MoneyMoved
from domain.repositories import KnownFan, UnitOfWork

# Merged fans lead to the one that was kept; nobody merges more often than this.
MERGES_MAX = 20


def fan_of(
    work: UnitOfWork,
    connection: Connection,
    seen: FanSeen,
    now: datetime,
    *,
    wrote_at: datetime | None = None,
) -> KnownFan | None:
    """The fan, linked or created if new, with everything told of it; None for one that was erased.

    A deleted fan comes back when it writes (`wrote_at`), and an erased one as a new fan: nothing
    else the platform says undoes what a person deleted."""
    fan = known(work, connection, seen.platform_user_id)
    if fan is None:
        fan = _link(work, connection, seen, now)
    if fan is None:
        if was_erased(work, connection, seen.platform_user_id, wrote_at):
            return None
        fan = _create(work, connection, seen, now)
    elif fan.deleted_at is not None:
        if wrote_at is None or wrote_at <= fan.deleted_at:
            return fan
        fan = _revive(work, connection, fan)
    if wrote_at is not None:
        latest = max(wrote_at, seen.last_seen_at or wrote_at)
        seen = replace(seen, last_seen_at=latest)
    return _update(work, connection, fan, seen, stamp(seen.told_at or now))


def known(work: UnitOfWork, connection: Connection, platform_user_id: str) -> KnownFan | None:
    """The fan of this id, or the one it was merged into."""
    fan = work.inbound.fan(connection.id, platform_user_id)
    for _ in range(MERGES_MAX):
        if fan is None or fan.merged_into is None:
            break
        fan = work.inbound.fan_by_id(fan.merged_into)
    return fan


def people(facts: Sequence[Fact]) -> frozenset[str]:
    """The platform's ids of all that these facts tell of."""
    found: set[str | None] = set()
    for fact in facts:
        if isinstance(fact, FanSeen | MoneyMoved):
            found.add(fact.platform_user_id)
        elif isinstance(fact, MessageSeen | MessagePurchased):
            found.add(fact.fan.platform_user_id)
    return frozenset(one for one in found if one)


def was_erased(
    work: UnitOfWork, connection: Connection, platform_user_id: str, at: datetime | None
) -> bool:
    """Whether this belongs to somebody who was erased later than it happened (None: whenever)."""
    erased_at = work.inbound.erased_at(connection.id, platform_user_id)
    return erased_at is not None and (at is None or at <= erased_at)


def _link(
    work: UnitOfWork, connection: Connection, seen: FanSeen, now: datetime
) -> KnownFan | None:
    """A fan of that handle who was imported or entered before the platform spoke of it."""
    if seen.username is None:
        return None
    fan = work.inbound.fan_by_handle(connection.owner_id, connection.platform, f"@{seen.username}")
    if fan is None or fan.platform_user_id is not None:
        return None
    if fan.connection_id not in (None, connection.id):
        return None
    link = {"connection_id": connection.id, "platform_user_id": seen.platform_user_id}
    told = {"username": seen.username, "usernameAt": stamp(seen.told_at or now)}
    work.inbound.change_fan(fan.id, {**link, "told": told}, seen_change=True)
    before = {"connectionId": fan.connection_id, "platformUserId": None}
    after = {"connectionId": connection.id, "platformUserId": seen.platform_user_id}
    work.inbound.note_change(fan, before, after)
    return _with_money(work, connection, seen.platform_user_id)


def _create(work: UnitOfWork, connection: Connection, seen: FanSeen, now: datetime) -> KnownFan:
    handle = free_handle(work, connection, seen.platform_user_id, seen.username)
    told: dict[str, str] = {}
    for field, value in _told_fields(seen).items():
        if value is not None:
            told |= {field: value, f"{field}At": stamp(seen.told_at or now)}
    values = {
        "name": seen.name or seen.username or placeholder(seen.platform_user_id),
        "handle": handle,
        "avatar": seen.avatar,
        "told": told,
    }
    fan = work.inbound.add_fan(connection, seen.platform_user_id, values)
    work.inbound.note_change(fan, {}, {"name": fan.name, "handle": fan.handle})
    return _with_money(work, connection, seen.platform_user_id)


def _revive(work: UnitOfWork, connection: Connection, fan: KnownFan) -> KnownFan:
    values: dict[str, object] = {"deleted_at": None}
    taken = work.inbound.fan_by_handle(fan.owner_id, connection.platform, fan.handle)
    if taken is not None:
        assert fan.platform_user_id is not None
        values["handle"] = free_handle(work, connection, fan.platform_user_id, None)
    work.inbound.change_fan(fan.id, values, seen_change=True)
    work.inbound.note_change(fan, {"deleted": True}, {"deleted": False})
    back = work.inbound.fan_by_id(fan.id)
    assert back is not None
    return back


def _with_money(work: UnitOfWork, connection: Connection, platform_user_id: str) -> KnownFan:
    fan = work.inbound.fan(connection.id, platform_user_id)
    assert fan is not None
    work.transactions.attach(connection.id, platform_user_id, fan.id)
    return fan


def placeholder(platform_user_id: str) -> str:
    """The name the platform gives everybody, and answers to, whatever they call themselves."""
    return f"u{platform_user_id}"


def free_handle(
    work: UnitOfWork, connection: Connection, platform_user_id: str, username: str | None
) -> str:
    """@username; where another of the owner's fans has it (one person may follow two creators of
    an agency), the permanent @u<id>, and where even that is taken, with the account's own id."""
    tries = [f"@{username}"] if username else []
    tries.append(f"@{placeholder(platform_user_id)}")
    for handle in tries:
        if work.inbound.fan_by_handle(connection.owner_id, connection.platform, handle) is None:
            return handle
    return f"@{placeholder(platform_user_id)}@{connection.account_id}"


def _update(
    work: UnitOfWork, connection: Connection, fan: KnownFan, seen: FanSeen, at: str
) -> KnownFan:
    """Take over what is told as of `at`, unless something newer was."""
    told, values = dict(fan.told), dict[str, object]()
    for field, value in _told_fields(seen).items():
        if value is not None and _is_newer(fan.told, field, at, value):
            told |= {field: value, f"{field}At": at}
            values |= _visible(work, connection, fan, field, value)
    is_visible = bool(values)
    subscription = seen.subscription
    if subscription is not None and _is_newer(fan.told, "subscription", at, subscription):
        told |= {"subscription": subscription, "subscriptionAt": at}
        values["subscription"] = subscription
        values["subscription_ends_at"] = seen.subscription_ends_at
    if seen.last_seen_at and (fan.last_seen_at is None or seen.last_seen_at > fan.last_seen_at):
        values["last_seen_at"] = seen.last_seen_at
    if told != fan.told:
        values["told"] = told
    if not values:
        return fan
    work.inbound.change_fan(fan.id, values, seen_change=is_visible)
    updated = work.inbound.fan_by_id(fan.id)
    assert updated is not None
    if _subscription(updated) != _subscription(fan):
        work.inbound.note_change(updated, _subscription(fan), _subscription(updated))
    return updated


def _told_fields(seen: FanSeen) -> dict[str, str | None]:
    return {"name": seen.name, "avatar": seen.avatar, "username": seen.username}


def _is_newer(told: Mapping[str, str], field: str, at: str, value: str) -> bool:
    """The later word wins; of two at the same instant always the same one."""
    return (at, value) > (told.get(f"{field}At", ""), told.get(field, ""))


def _visible(
    work: UnitOfWork, connection: Connection, fan: KnownFan, field: str, value: str
) -> dict[str, object]:
    """The change that people see; none where a person has said otherwise."""
    own = placeholder(fan.platform_user_id or "")
    if field == "username":
        given = {f"@{own}", f"@{own}@{connection.account_id}", f"@{fan.told.get('username', own)}"}
        if fan.handle.lower() not in {one.lower() for one in given}:
            return {}
        handle = f"@{value}"
        holder = work.inbound.fan_by_handle(fan.owner_id, connection.platform, handle)
        return {"handle": handle} if holder is None else {}  # or it has that one already
    current = fan.name if field == "name" else fan.avatar
    theirs = (None, "", own, fan.told.get(field), fan.told.get("username"))
    return {field: value} if current in theirs and current != value else {}


def _subscription(fan: KnownFan) -> dict[str, Any]:
    ends = fan.subscription_ends_at
    return {
        "subscription": fan.subscription,
        "subscriptionEndsAt": ends.isoformat() if ends else None,
    }


def stamp(moment: datetime) -> str:
    """A moment whose spelling sorts as it does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
