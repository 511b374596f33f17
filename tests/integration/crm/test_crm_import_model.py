"""Random files through the rows: a dry run, the import and its undo beside the oracle."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from domain.fans import FanId
from domain.importing import UNDONE_FIELDS, plan, reversal
from domain.imports import FanRow, ImportId, ImportState, Options, Policy
from domain.repositories import NewImport
from tests.crm import Crm
from tests.importing import NOW, batches, by_hand, cuts, files, options, worlds

LEASE = timedelta(minutes=5)
LATER = NOW + timedelta(hours=1)
ANN = {
    "name": "Ann",
    "email": None,
    "subscription_tier": None,
    "value_cents": 500,
    "value_stated_at": None,
    "last_seen_at": None,
    "tags": (),
    "deleted_at": None,
}
TABLES = ("fan_changes", "import_kept", "import_previews", "import_errors", "imports", "fans")


def begin_with(crm: Crm, world: Mapping[str, Mapping[str, Any]]) -> None:
    """Only these fans are there."""
    with crm.services.engine.begin() as database:
        for table in TABLES:
            database.execute(text(f"DELETE FROM {table}"))
    for handle, fan in world.items():
        values = {**fan, "tags": list(fan["tags"])}
        crm.fan(values.pop("name"), handle=handle, **values)


def run(
    crm: Crm, rows: Sequence[FanRow], ends: set[int], given_: Options, *, dry_run: bool
) -> tuple[ImportId, Counter[str]]:
    """The batches of one import as a worker writes them; their counts."""
    new = NewImport(dry_run, "fans.csv", "imports/1/x.csv", 10, "a" * 64, given_)
    with crm.services.open_unit_of_work() as work:
        import_id = work.imports.add(crm.caller(), new).id
        work.commit()
    for batch in batches(rows, ends):
        with crm.services.open_unit_of_work() as work:
            handles = [row.handle for row in batch]
            matches = work.imports.matches(crm.owner, import_id, handles, dry_run=dry_run)
            planned = plan(batch, matches, given_, NOW)
            lease = work.imports.take(import_id, timedelta(0))
            assert lease is not None
            if dry_run:
                work.imports.add_previews(import_id, planned)
            else:
                assert not work.imports.write(crm.owner, crm.caller().user_id, import_id, planned)
            work.imports.add_errors(import_id, planned.bad)
            work.imports.progress(lease, planned.counts, 0)
            work.commit()
    with crm.services.open_unit_of_work() as work:
        done = work.imports.get(crm.owner, import_id)
    assert done is not None
    return import_id, Counter(asdict(done.counts))


def stored(crm: Crm) -> dict[str, dict[str, Any]]:
    rows = crm.sql("SELECT * FROM fans WHERE user_id = :owner", owner=crm.owner)
    return {
        row.handle.lower(): {
            **{name: getattr(row, name) for name in ("handle", *UNDONE_FIELDS)},
            "tags": tuple(row.tags),
        }
        for row in rows
    }


def undo(crm: Crm, import_id: ImportId) -> None:
    with crm.services.open_unit_of_work() as work:
        lease = work.imports.take(import_id, LEASE)
        assert lease is not None
        work.imports.finish(lease, ImportState.COMPLETED)
        work.imports.ask_undo(import_id, crm.caller().user_id)
        work.commit()
    with crm.services.open_unit_of_work() as work:
        lease = work.imports.take(import_id, LEASE)
        assert lease is not None
        after = FanId(0)
        # One at a time: so the places between batches are tried as well.
        while found := work.imports.touched(lease.work, after, 1):
            [one] = found
            back = reversal(one, LATER)
            assert isinstance(back, dict)
            after = one.fan.id
            counts = work.imports.put_back(lease, [(one, back)], [], after)
            assert (counts.reversed, counts.kept, counts.errored) == (1, 0, 0)
        work.commit()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# One fan three times, each in a batch of its own: the last word counts, and the first is put back.
@example(
    {},
    [FanRow(line, "@ann", value_cents=cents) for line, cents in enumerate((500, 900, 500, 500), 2)],
    ({1, 2, 3}, {1, 2, 3}),
    Options(Policy.OVERWRITE),
)
@example(
    {"@ann": ANN},
    [FanRow(line, "@ann", value_cents=cents) for line, cents in enumerate((700, 900, 700, 700), 2)],
    ({1, 2, 3}, {1, 2, 3}),
    Options(Policy.OVERWRITE),
)
@given(worlds, files, st.tuples(cuts, cuts), options)
def test_dry_run_import_and_undo_are_those_of_one_line_after_another(
    crm: Crm,
    world: dict[str, dict[str, Any]],
    rows: list[FanRow],
    ends: tuple[set[int], set[int]],
    given_: Options,
) -> None:
    begin_with(crm, world)
    before = stored(crm)
    expected = by_hand(world, rows, given_)

    _, previewed = run(crm, rows, ends[0], given_, dry_run=True)
    assert +previewed == +expected.counts
    assert stored(crm) == before

    import_id, counts = run(crm, rows, ends[1], given_, dry_run=False)
    assert +counts == +expected.counts
    assert stored(crm) == expected.fans

    if expected.mine:
        undo(crm, import_id)
    new = expected.mine - world.keys()
    put_back = before | {key: {**expected.fans[key], "deleted_at": LATER} for key in new}
    assert stored(crm) == put_back
