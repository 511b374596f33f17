"""What one line of a file does to a fan, and how that is taken back: rules only, no rows.

Lines count one after another: a second line of the same fan meets what the first one left. A batch
may therefore end anywhere, and a dry run comes to the same numbers as the import.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.fans import TAGS_MAX, Fan, FanId, plain
from domain.imports import BadRow, Column, Counts, FanRow, Options, Policy, RowProblem

# What an import sets, by the names of Fan.
FIELDS = ("name", "email", "subscription_tier", "value_cents", "last_seen_at", "tags")
# Put back by an undo, too.
UNDONE_FIELDS = (*FIELDS, "value_stated_at", "deleted_at")
MOMENTS = frozenset({"last_seen_at", "value_stated_at", "deleted_at"})


class Action(StrEnum):
    """What a line does."""

    CREATE = "create"
    UPDATE = "update"
    SKIP = "skip"


@dataclass(frozen=True)
class Known:
    """A fan as the next line of the file meets it. `fan_id` None: an earlier line created it, and
    it has no row yet. `touched`: an earlier line of this file created or changed it."""

    handle: str
    name: str
    fan_id: FanId | None = None
    email: str | None = None
    subscription_tier: str | None = None
    value_cents: int = 0
    value_stated_at: datetime | None = None
    last_seen_at: datetime | None = None
    tags: tuple[str, ...] = ()
    deleted_at: datetime | None = None
    touched: bool = False

    def is_blank(self, name: str) -> bool:
        """Whether a field says nothing: a name that only repeats the handle, a value of zero. In
        another case somebody spelled it, or two spellings would take turns with every import."""
        if name == "name":
            return self.name == self.handle.removeprefix("@")
        return not getattr(self, name)


@dataclass(frozen=True)
class Matches:
    """Who is here already. The database says which handles are the same person's (`keys`: each
    asked handle -> its key), since its idea of upper and lower case is the one that is kept."""

    keys: Mapping[str, str]
    known: Mapping[str, Known]  # by key


@dataclass(frozen=True)
class Step:
    """What one line did: the changed fields, and the fan after it."""

    line: int
    key: str
    action: Action
    changes: Mapping[str, Any]
    after: Known
    revived: bool = False
    duplicate: bool = False


@dataclass(frozen=True)
class Plan:
    """What a batch of lines does. `creates` and `updates` hold, by key, all that is to be written
    for a fan, whatever number of lines said it; `steps` tell line by line."""

    steps: Sequence[Step]
    creates: Mapping[str, Known]
    updates: Mapping[str, tuple[Known, Mapping[str, Any]]]  # as it was, and what changes
    bad: Sequence[BadRow]

    @property
    def counts(self) -> Counts:
        actions = [step.action for step in self.steps]
        return Counts(
            inserted=actions.count(Action.CREATE),
            updated=actions.count(Action.UPDATE),
            skipped=actions.count(Action.SKIP),
            failed=len(self.bad),
            revived=sum(step.revived for step in self.steps),
            duplicates=sum(step.duplicate for step in self.steps),
        )


@dataclass
class _Planning:
    """The plan while it grows."""

    known: dict[str, Known]
    steps: list[Step] = field(default_factory=list)
    creates: dict[str, Known] = field(default_factory=dict)
    updates: dict[str, tuple[Known, dict[str, Any]]] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)


def plan(rows: Iterable[FanRow], matches: Matches, options: Options, now: datetime) -> Plan:
    """What these lines do, one after another."""
    so_far = _Planning(dict(matches.known))
    for row in rows:
        _plan_row(so_far, row, matches.keys[row.handle], options, now)
    return Plan(so_far.steps, so_far.creates, so_far.updates, so_far.bad)


def _plan_row(so_far: _Planning, row: FanRow, key: str, options: Options, now: datetime) -> None:
    met = so_far.known.get(key)
    tags = (*row.tags, *options.tags)
    if met is None:
        changes = _created(row, tags, now)
        after = Known(handle=row.handle, touched=True, **changes)
    else:
        changes = _changed(met, row, tags, options.policy, now)
        after = replace(met, touched=met.touched or bool(changes), **changes)
    if len(after.tags) > TAGS_MAX:
        problem = RowProblem(
            "too_many_tags", f"the fan would have more than {TAGS_MAX} tags", Column.TAGS.value
        )
        so_far.bad.append(BadRow(row.line, (problem,), row.cells))
        return
    so_far.known[key] = after
    if met is None:
        so_far.creates[key] = after
        so_far.steps.append(Step(row.line, key, Action.CREATE, changes, after))
        return
    if not changes:
        step = Step(row.line, key, Action.SKIP, {}, after, duplicate=met.touched)
        so_far.steps.append(step)
        return
    if key in so_far.creates:
        so_far.creates[key] = after
    else:
        was, before_now = so_far.updates.get(key, (met, {}))
        so_far.updates[key] = (was, {**before_now, **changes})
    revived = met.deleted_at is not None
    so_far.steps.append(Step(row.line, key, Action.UPDATE, changes, after, revived=revived))


def _created(row: FanRow, tags: Sequence[str], now: datetime) -> dict[str, Any]:
    return {
        "name": row.name or row.handle.removeprefix("@"),
        "email": row.email,
        "subscription_tier": row.subscription_tier,
        "value_cents": row.value_cents or 0,
        "value_stated_at": None if row.value_cents is None else now,
        "last_seen_at": row.last_seen_at,
        "tags": tuple(dict.fromkeys(tags)),
    }


def _changed(
    met: Known, row: FanRow, tags: Sequence[str], policy: Policy, now: datetime
) -> dict[str, Any]:
    """What the line changes about a fan who is here; nothing where it only repeats."""
    changes: dict[str, Any] = {}
    if met.deleted_at is not None:
        changes["deleted_at"] = None
    if policy is Policy.SKIP:
        return changes
    for name in FIELDS:
        said = getattr(row, name)
        if name == "tags" or said is None or said == getattr(met, name):
            continue
        if policy is Policy.OVERWRITE or met.is_blank(name):
            changes[name] = said
    if "value_cents" in changes:
        changes["value_stated_at"] = now
    together = tuple(dict.fromkeys((*met.tags, *tags)))
    if together != met.tags:
        changes["tags"] = together
    return changes


def record_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a fan as JSON holds them, in history and in previews."""
    return {name: plain(value) for name, value in values.items()}


def known_of_record(record: Mapping[str, Any]) -> Known:
    """The fan that a preview wrote down by `record_of`."""
    return Known(**{name: _read(name, value) for name, value in record.items()})


def _read(name: str, value: Any) -> Any:
    if name in MOMENTS and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if name == "tags" else value


@dataclass(frozen=True)
class Touched:
    """A fan with what an import did to it, and what happened to it since."""

    fan: Fan
    created: bool
    before: Mapping[str, Any]  # of the changed fields, as JSON holds them
    after: Mapping[str, Any]
    changed_since: bool  # by a person, the platform, a merge or another import
    used_since: bool  # there is a message or money of it


def reversal(touched: Touched, now: datetime) -> dict[str, Any] | str:
    """The fields that take the import back, or why the fan stays as it is.

    A fan that the import created is deleted, so that it can still be restored; whatever anybody
    did to a fan after the import is worth more than the undo."""
    fan = touched.fan
    if fan.merged_into is not None:
        return "it was merged into another fan"
    if touched.created and touched.used_since:
        return "there are messages or money of this fan by now"
    differs = any(
        plain(getattr(fan, name)) != value
        for name, value in touched.after.items()
        if name in UNDONE_FIELDS
    )
    if differs or touched.changed_since:
        return "it was changed after the import"
    if touched.created:
        return {"deleted_at": now}
    return {
        name: _read(name, value) for name, value in touched.before.items() if name in UNDONE_FIELDS
    }
