"""Random files against the oracle: wherever batches end, rows and counts are the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from domain.fans import Fan, FanId
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
from tests.importing import (
    BEFORE,
    NOW,
    batches,
    by_hand,
    cuts,
    files,
    options,
    said_by,
    tags,
    worlds,
)


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


def stored(world: Mapping[str, Mapping[str, Any]]) -> Stored:
    return Stored(
        {
            key: Known(handle=key, fan_id=FanId(number), **one)
            for number, (key, one) in enumerate(world.items(), 1)
        }
    )


def imported(
    world: Mapping[str, Mapping[str, Any]], rows: Sequence[FanRow], ends: set[int], given: Options
) -> Stored:
    rows_there = stored(world)
    for batch in batches(rows, ends):
        rows_there.take(batch, given)
    return rows_there


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
