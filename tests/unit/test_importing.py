"""Random files against an oracle that takes one line at a time and keeps no plan.

The oracle's fans are plain dicts by handle in lower case; it knows nothing of batches."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from domain.fans import TAGS_MAX, Fan, FanId
from domain.importing import (
    UNDONE_FIELDS,
    Action,
    Known,
    Matches,
    Plan,
    Touched,
    known_of_record,
    plan,
    record_of,
    reversal,
)
from domain.imports import FanRow, Options, Policy
from domain.users import OwnerId

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(days=9)
FULL = tuple(f"tag {number}" for number in range(TAGS_MAX - 1))

# Few, so that lines meet each other.
HANDLES = ("@ann", "@Ann", "@bob")
NAMES = ("ann", "Ann", "Anna A.")
EMAILS = ("ann@example.com", "bob@example.com")
PLANS = ("Basic", "Premium")
MOMENTS = (BEFORE, BEFORE + timedelta(microseconds=5), NOW)


def maybe(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


tags = st.one_of(
    st.lists(st.sampled_from(("vip", "new", "old")), max_size=3, unique=True).map(tuple),
    st.sampled_from((FULL, ("a", "b"))),
)
policies = st.sampled_from(Policy)
options = st.builds(Options, policy=policies, tags=tags)
contents = st.fixed_dictionaries(
    {
        "handle": st.sampled_from(HANDLES),
        "name": maybe(*NAMES),
        "email": maybe(*EMAILS),
        "subscription_tier": maybe(*PLANS),
        "value_cents": maybe(0, 500, 900),
        "last_seen_at": maybe(*MOMENTS),
        "tags": tags,
    }
)
# Every other line of such a file is empty and has no row: numbers have gaps.
files = st.lists(contents, max_size=12).map(
    lambda lines: [FanRow(line=2 + 2 * number, **one) for number, one in enumerate(lines)]
)
cuts = st.sets(st.integers(0, 12))
fans = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "email": maybe(*EMAILS),
        "subscription_tier": maybe(*PLANS),
        "value_cents": st.sampled_from((0, 500)),
        "value_stated_at": maybe(BEFORE),
        "last_seen_at": maybe(*MOMENTS),
        "tags": tags,
        "deleted_at": maybe(BEFORE),
    }
)
worlds = st.dictionaries(st.sampled_from(("@ann", "@bob")), fans)


@dataclass
class Stored:
    """The rows of one owner, as the database would keep them for `plan`."""

    fans: dict[str, Known] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)  # before the whole import
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    steps: list[tuple[int, Action, dict[str, Any]]] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)

    def take(self, rows: Sequence[FanRow], given: Options) -> None:
        """One batch: match, plan, write."""
        keys = {row.handle: row.handle.lower() for row in rows}
        known = {
            key: replace(self.fans[key], touched=key in self.touched)
            for key in keys.values()
            if key in self.fans
        }
        self.write(plan(rows, Matches(keys, known), given, NOW))

    def write(self, planned: Plan) -> None:
        assert planned.creates.keys().isdisjoint(self.fans.keys() | planned.updates.keys())
        for key, fan in planned.creates.items():
            self.fans[key] = replace(fan, fan_id=FanId(len(self.fans) + 1))
            self.created.add(key)
        for key, (was, changes) in planned.updates.items():
            assert said_by(was) == said_by(self.fans[key])
            for name, value in record_of(changes).items():
                self.first.setdefault(key, {}).setdefault(name, record_of(vars(was))[name])
                self.last.setdefault(key, {})[name] = value
            self.fans[key] = replace(self.fans[key], **changes)
        self.touched |= planned.creates.keys() | planned.updates.keys()
        assert planned.counts.total == len(planned.steps) + len(planned.bad)
        self.counts.update(asdict(planned.counts))
        self.steps += [(one.line, one.action, dict(one.changes)) for one in planned.steps]
        self.bad += [one.line for one in planned.bad]

    def end(self) -> dict[str, dict[str, Any]]:
        return {key: said_by(fan) for key, fan in self.fans.items()}


def said_by(fan: Known) -> dict[str, Any]:
    return {name: getattr(fan, name) for name in ("handle", *UNDONE_FIELDS)}


def stored(world: Mapping[str, Mapping[str, Any]]) -> Stored:
    return Stored(
        {
            key: Known(handle=key, fan_id=FanId(number), **one)
            for number, (key, one) in enumerate(world.items(), 1)
        }
    )


def batches(rows: Sequence[FanRow], ends: set[int]) -> Iterator[Sequence[FanRow]]:
    places = sorted({0, len(rows)} | {end for end in ends if end < len(rows)})
    for start, end in pairwise(places):
        yield rows[start:end]


def imported(
    world: Mapping[str, Mapping[str, Any]], rows: Sequence[FanRow], ends: set[int], given: Options
) -> Stored:
    rows_there = stored(world)
    for batch in batches(rows, ends):
        rows_there.take(batch, given)
    return rows_there


class Oracle:
    """What a patient person with the table in front of them would do."""

    def __init__(self, world: Mapping[str, Mapping[str, Any]]) -> None:
        self.fans = {key: {"handle": key, **one} for key, one in world.items()}
        self.mine: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.bad: list[int] = []

    def line(self, row: FanRow, given: Options) -> None:
        key = row.handle.lower()
        old = self.fans.get(key)
        new = self.as_said(row, given) if old is None else self.with_said(old, row, given)
        if len(new["tags"]) > TAGS_MAX:
            self.counts["failed"] += 1
            self.bad.append(row.line)
            return
        if old is None:
            self.counts["inserted"] += 1
        elif new == old:
            self.counts["skipped"] += 1
            self.counts["duplicates"] += key in self.mine
            return
        else:
            self.counts["updated"] += 1
            self.counts["revived"] += old["deleted_at"] is not None
        self.fans[key] = new
        self.mine.add(key)

    def as_said(self, row: FanRow, given: Options) -> dict[str, Any]:
        return {
            "handle": row.handle,
            "name": row.name or row.handle[1:],
            "email": row.email,
            "subscription_tier": row.subscription_tier,
            "value_cents": row.value_cents or 0,
            "last_seen_at": row.last_seen_at,
            "tags": merged((), row, given),
            "value_stated_at": NOW if row.value_cents is not None else None,
            "deleted_at": None,
        }

    def with_said(self, old: Mapping[str, Any], row: FanRow, given: Options) -> dict[str, Any]:
        new = {**old, "deleted_at": None}
        if given.policy is Policy.SKIP:
            return new
        fills = given.policy is Policy.FILL_BLANKS
        if row.name and not (fills and old["name"] != old["handle"][1:]):
            new["name"] = row.name
        for name in ("email", "subscription_tier", "last_seen_at"):
            said = getattr(row, name)
            if said is not None and not (fills and old[name] is not None):
                new[name] = said
        if row.value_cents not in (None, old["value_cents"]) and not (fills and old["value_cents"]):
            new |= {"value_cents": row.value_cents, "value_stated_at": NOW}
        new["tags"] = merged(old["tags"], row, given)
        return new


def merged(had: Sequence[str], row: FanRow, given: Options) -> tuple[str, ...]:
    more = list(had)
    for tag in [*row.tags, *given.tags]:
        if tag not in more:
            more.append(tag)
    return tuple(more)


def by_hand(
    world: Mapping[str, Mapping[str, Any]], rows: Sequence[FanRow], given: Options
) -> Oracle:
    oracle = Oracle(world)
    for row in rows:
        oracle.line(row, given)
    return oracle


@settings(max_examples=300)
@given(worlds, files, cuts, options)
def test_wherever_batches_end_rows_and_counts_are_those_of_one_line_after_another(
    world: dict[str, dict[str, Any]], rows: list[FanRow], ends: set[int], given_: Options
) -> None:
    expected = by_hand(world, rows, given_)

    found = imported(world, rows, ends, given_)

    assert found.end() == expected.fans
    assert +found.counts == +expected.counts
    assert found.bad == expected.bad
    assert found.touched == expected.mine
    assert sorted([line for line, _, _ in found.steps] + found.bad) == [row.line for row in rows]


@given(worlds, files, cuts, options)
def test_line_by_line_it_tells_the_same_in_one_batch_as_in_many(
    world: dict[str, dict[str, Any]], rows: list[FanRow], ends: set[int], given_: Options
) -> None:
    assert imported(world, rows, ends, given_).steps == imported(world, rows, set(), given_).steps


@settings(max_examples=300)
@example(
    {},
    [FanRow(line=2, handle="@ann", name="ann"), FanRow(line=3, handle="@ann", name="Ann")],
    set(),
    Policy.FILL_BLANKS,
    (),
)
@given(worlds, files, cuts, st.sampled_from((Policy.SKIP, Policy.FILL_BLANKS)), tags)
def test_the_same_file_again_changes_nothing_unless_it_overwrites(
    world: dict[str, dict[str, Any]],
    rows: list[FanRow],
    ends: set[int],
    policy: Policy,
    more: tuple[str, ...],
) -> None:
    once = imported(world, rows, ends, Options(policy, more))

    again = Stored(dict(once.fans))
    again.take(rows, Options(policy, more))

    assert again.end() == once.end()
    assert (again.counts["inserted"], again.counts["updated"]) == (0, 0)


@given(worlds, files, options)
def test_no_policy_takes_anything_away(
    world: dict[str, dict[str, Any]], rows: list[FanRow], given_: Options
) -> None:
    found = imported(world, rows, set(), given_).end()

    for key, was in world.items():
        now = found[key]
        assert set(was["tags"]) <= set(now["tags"])
        for name in ("name", "email", "subscription_tier", "last_seen_at"):
            assert now[name] is not None or was[name] is None
        if given_.policy is not Policy.OVERWRITE:
            full = [name for name in ("email", "subscription_tier", "last_seen_at") if was[name]]
            assert [now[name] for name in full] == [was[name] for name in full]
            assert now["value_cents"] == was["value_cents"] or not was["value_cents"]
        if given_.policy is Policy.SKIP:
            assert {**now, "deleted_at": None} == {"handle": key, **was, "deleted_at": None}


@given(worlds, files, options)
def test_a_preview_reads_back_what_it_wrote_of_a_fan(
    world: dict[str, dict[str, Any]], rows: list[FanRow], given_: Options
) -> None:
    for fan in imported(world, rows, set(), given_).fans.values():
        assert known_of_record(record_of(vars(fan))) == fan


# Taking it back


def row_of(fan: Known, **more: Any) -> Fan:
    """The stored fan, with what an import knows nothing of."""
    assert fan.fan_id is not None
    values = {name: value for name, value in vars(fan).items() if name not in {"fan_id", "touched"}}
    return Fan(
        **values,
        id=fan.fan_id,
        owner_id=OwnerId(1),
        platform="onlyfans",
        avatar=None,
        notes=None,
        tier=None,
        connection_id=None,
        platform_user_id=None,
        version=2,
        created_at=BEFORE,
        updated_at=NOW,
        **more,
    )


def touched(done: Stored, key: str, **more: Any) -> Touched:
    """A fan with the history that the batches of an import leave: how each changed field was
    before the first of them, and how it was after the last."""
    is_new = key in done.created
    fan = done.fans[key]
    return Touched(
        fan=row_of(fan),
        created=is_new,
        before={} if is_new else done.first[key],
        after=record_of(said_by(fan)) if is_new else done.last[key],
        changed_since=False,
        used_since=False,
    )


LATER = NOW + timedelta(hours=1)


@given(worlds, files, cuts, options)
def test_an_undo_at_once_leaves_every_fan_as_it_was_and_the_new_ones_deleted(
    world: dict[str, dict[str, Any]], rows: list[FanRow], ends: set[int], given_: Options
) -> None:
    done = imported(world, rows, ends, given_)

    for key in done.touched:
        back = reversal(touched(done, key), LATER)
        assert isinstance(back, dict)
        put_back = said_by(replace(done.fans[key], **back))
        if key in done.created:
            assert put_back == {**said_by(done.fans[key]), "deleted_at": LATER}
        else:
            assert put_back == {"handle": key, **world[key]}


@given(worlds, files, options, st.data())
def test_a_fan_whose_imported_field_says_something_else_by_now_is_kept(
    world: dict[str, dict[str, Any]], rows: list[FanRow], given_: Options, data: st.DataObject
) -> None:
    done = imported(world, rows, set(), given_)
    assume(done.touched)
    mine = touched(done, data.draw(st.sampled_from(sorted(done.touched))))
    changed = data.draw(st.sampled_from(sorted(mine.after.keys() & set(UNDONE_FIELDS))))
    others = {
        "name": "Somebody Else",
        "email": "else@example.com",
        "subscription_tier": "Gold",
        "value_cents": 77,
        "value_stated_at": LATER,
        "last_seen_at": LATER,
        "tags": ("else",),
        "deleted_at": LATER,
    }

    later = replace(mine, fan=replace(mine.fan, **{changed: others[changed]}))

    assert reversal(later, LATER) == "it was changed after the import"


@given(worlds, files, options)
def test_a_field_that_the_import_did_not_set_may_change_and_the_rest_is_put_back(
    world: dict[str, dict[str, Any]], rows: list[FanRow], given_: Options
) -> None:
    done = imported(world, rows, set(), given_)

    for key in done.touched:
        mine = touched(done, key)
        later = replace(mine, fan=replace(mine.fan, notes="called twice", tips_cents=900))
        assert reversal(later, LATER) == reversal(mine, LATER)


CREATED = Known(handle="@ann", name="ann", fan_id=FanId(7))


@pytest.mark.parametrize(
    ("created", "more", "expected"),
    [
        (True, {"used_since": True}, "there are messages or money of this fan by now"),
        (True, {"changed_since": True}, "it was changed after the import"),
        (False, {"changed_since": True}, "it was changed after the import"),
        # It was there before the import: what it got since says nothing against its old name.
        (False, {"used_since": True}, {"name": "Before"}),
        (True, {"fan": row_of(CREATED, merged_into=FanId(8))}, "it was merged into another fan"),
        (False, {"fan": row_of(CREATED, merged_into=FanId(8))}, "it was merged into another fan"),
    ],
)
def test_whatever_happened_to_a_fan_since_is_worth_more_than_the_undo(
    *,
    created: bool,
    more: dict[str, Any],
    expected: object,
) -> None:
    mine = Touched(
        fan=row_of(CREATED),
        created=created,
        before={} if created else {"name": "Before"},
        after={"name": "ann"},
        changed_since=False,
        used_since=False,
    )

    assert reversal(replace(mine, **more), LATER) == expected
