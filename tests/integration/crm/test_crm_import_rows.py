"""Imports as rows: leases, matching fans, and the statements of a batch."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.importing import plan, reversal
from domain.imports import (
    BadRow,
    Column,
    Counts,
    FanRow,
    ImportId,
    ImportState,
    Options,
    Policy,
    RowProblem,
)
from domain.repositories import ImportLease, NewImport
from tests.crm import Crm

LEASE = timedelta(seconds=30)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def upload(crm: Crm, *, dry_run: bool = False, file_hash: str = "a" * 64) -> ImportId:
    new = NewImport(dry_run, "fans.csv", "imports/1/x.csv", 10, file_hash, Options())
    with crm.services.open_unit_of_work() as work:
        made = work.imports.add(crm.caller(), new)
        work.commit()
    return made.id


def taken(crm: Crm, import_id: ImportId) -> ImportLease:
    with crm.services.open_unit_of_work() as work:
        lease = work.imports.take(import_id, LEASE)
        work.commit()
    assert lease is not None
    return lease


def written(
    crm: Crm, import_id: ImportId, *rows: FanRow, policy: Policy = Policy.FILL_BLANKS
) -> Counts:
    """One batch, as a worker writes it."""
    with crm.services.open_unit_of_work() as work:
        matches = work.imports.matches(
            crm.owner, import_id, [row.handle for row in rows], dry_run=False
        )
        planned = plan(rows, matches, Options(policy=policy), NOW)
        assert work.imports.write(crm.owner, crm.users["owner"].id, import_id, planned) == []
        work.commit()
    return planned.counts


def test_a_batch_creates_and_changes_with_history_version_and_tier(crm: Crm) -> None:
    known = crm.fan("jane", handle="@Jane", value_cents=0)
    gone = crm.fan("Old", handle="@old", deleted_at=NOW)
    import_id = upload(crm)

    counts = written(
        crm,
        import_id,
        FanRow(2, "@new", "New One", "n@example.com", "Premium", 200_000, NOW, ("vip", "fr")),
        FanRow(3, "@jane", email="jane@example.com", value_cents=50_000),
        FanRow(4, "@OLD", name="Older"),
        FanRow(5, "@new", email="other@example.com"),
    )

    assert counts == Counts(inserted=1, updated=2, skipped=1, revived=1, duplicates=1)
    new, jane, old = crm.sql(
        "SELECT * FROM fans WHERE user_id = :owner ORDER BY handle = '@new' DESC, id",
        owner=crm.owner,
    )
    assert (new.handle, new.name, new.email, new.tags) == (
        "@new",
        "New One",
        "n@example.com",
        ["vip", "fr"],
    )
    assert (new.value_cents, new.tier, new.version) == (200_000, "whale", 1)
    assert (jane.id, jane.handle, jane.email, jane.tier, jane.version) == (
        known,
        "@Jane",
        "jane@example.com",
        "spender",
        2,
    )
    assert (old.id, old.deleted_at, old.name) == (gone, None, "Old")
    lines = crm.sql("SELECT * FROM fan_changes WHERE source = 'import' ORDER BY id")
    assert [line.import_id for line in lines] == [import_id] * 3
    assert lines[0].before == {}
    assert lines[0].after["tier"] == "whale"
    assert lines[0].after["last_seen_at"] == NOW.isoformat()


def test_handles_of_a_merged_fan_mean_the_one_that_was_kept(crm: Crm) -> None:
    kept = crm.fan("Kept", handle="@kept")
    crm.fan("Merged", handle="@merged", merged_into=kept, deleted_at=NOW)
    import_id = upload(crm)

    counts = written(
        crm, import_id, FanRow(2, "@merged", email="a@example.com"), FanRow(3, "@kept")
    )

    assert counts == Counts(updated=1, skipped=1, duplicates=1)
    [fan] = crm.sql("SELECT * FROM fans WHERE id = :id", id=kept)
    assert fan.email == "a@example.com"


def test_a_fan_that_appears_meanwhile_is_told(crm: Crm) -> None:
    import_id = upload(crm)
    rows = [FanRow(2, "@one"), FanRow(3, "@two")]
    with crm.services.open_unit_of_work() as work:
        matches = work.imports.matches(crm.owner, import_id, ["@one", "@two"], dry_run=False)
        crm.fan("One", handle="@ONE")
        planned = plan(rows, matches, Options(), NOW)
        assert work.imports.write(crm.owner, crm.users["owner"].id, import_id, planned) == ["@one"]


def test_a_dry_run_meets_what_its_earlier_lines_left(crm: Crm) -> None:
    import_id = upload(crm, dry_run=True)
    counts = []
    for rows in ([FanRow(2, "@a", value_cents=5)], [FanRow(3, "@A", email="a@example.com")]):
        with crm.services.open_unit_of_work() as work:
            matches = work.imports.matches(
                crm.owner, import_id, [row.handle for row in rows], dry_run=True
            )
            planned = plan(rows, matches, Options(), NOW)
            work.imports.add_previews(import_id, planned)
            work.commit()
        counts.append(planned.counts)

    assert counts == [Counts(inserted=1), Counts(updated=1)]
    with crm.services.open_unit_of_work() as work:
        page = work.imports.previews(crm.owner, import_id, 1, None)
        assert [line.action for line in page.items] == ["create"]
        rest = work.imports.previews(crm.owner, import_id, 1, page.next_cursor)
        assert [(line.handle, line.changes) for line in rest.items] == [
            ("@a", {"email": "a@example.com"})
        ]
        stranger = crm.users["stranger"].owner_id
        assert work.imports.previews(stranger, import_id, 10, None).items == []
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 0


def test_a_lease_fences(crm: Crm) -> None:
    import_id = upload(crm)
    first = taken(crm, import_id)
    with crm.services.open_unit_of_work() as work:
        assert work.imports.take(import_id, LEASE) is None
    crm.sql("UPDATE imports SET lease_until = now() - interval '1 second'")
    second = taken(crm, import_id)

    with crm.services.open_unit_of_work() as work:
        assert work.imports.hold(first, LEASE) is None
        work.imports.progress(first, Counts(inserted=1), 5)
        work.imports.progress(second, Counts(inserted=2, failed=1), 7)
        work.commit()
    with crm.services.open_unit_of_work() as work:
        held = work.imports.hold(second, LEASE)
        assert held is not None
        assert (held.counts, held.bytes_done) == (Counts(inserted=2, failed=1), 7)
        work.imports.cancel(import_id)
        assert work.imports.hold(second, LEASE) is None


def test_errors_are_listed_filtered_and_counted(crm: Crm) -> None:
    import_id = upload(crm)
    bad = [
        BadRow(line, (RowProblem(code, "text", "Email", "x"),), ("a", f"cell {line}%"))
        for line, code in ((2, "email_invalid"), (3, "money_invalid"), (5, "email_invalid"))
    ]
    with crm.services.open_unit_of_work() as work:
        work.imports.add_errors(import_id, bad)
        work.commit()
    with crm.services.open_unit_of_work() as work:
        everything = work.imports.errors(crm.owner, import_id, 10, None)
        assert list(everything.items) == bad
        assert everything.total == 3
        emails = work.imports.errors(crm.owner, import_id, 10, None, code="email_invalid")
        assert [row.line for row in emails.items] == [2, 5]
        assert [
            row.line for row in work.imports.errors(crm.owner, import_id, 10, None, q="5%").items
        ] == [5]
        assert work.imports.error_codes(import_id) == {"email_invalid": 2, "money_invalid": 1}
        assert work.imports.errors_after(import_id, 2, 1) == [bad[1]]


def test_an_undo_puts_back_what_nobody_touched_since(crm: Crm) -> None:
    changed = crm.fan("A", handle="@a", value_cents=0)
    edited = crm.fan("B", handle="@b", value_cents=0)
    import_id = upload(crm)
    rows = [FanRow(n, f"@{name}", value_cents=500) for n, name in enumerate("abc", start=2)]
    written(crm, import_id, *rows)
    lease = taken(crm, import_id)
    with crm.services.open_unit_of_work() as work:
        work.imports.finish(lease, ImportState.COMPLETED)
        work.imports.ask_undo(import_id, crm.users["owner"].id)
        work.commit()
    crm.call("PUT", f"/api/crm/fans/{edited}", json={"notes": "mine"})
    lease = taken(crm, import_id)

    with crm.services.open_unit_of_work() as work:
        touched = work.imports.touched(lease.work, lease.work.undone_to or 0, 10)  # type: ignore[arg-type]
        answers = [reversal(one, NOW) for one in touched]
        back = [
            (one, answer)
            for one, answer in zip(touched, answers, strict=True)
            if not isinstance(answer, str)
        ]
        kept = [
            (one.fan.id, answer)
            for one, answer in zip(touched, answers, strict=True)
            if isinstance(answer, str)
        ]
        counts = work.imports.put_back(lease, back, kept, touched[-1].fan.id)
        work.imports.finish(lease, ImportState.UNDONE)
        work.commit()

    assert (counts.reversed, counts.kept, counts.errored) == (2, 1, 0)
    a, b, c = crm.sql("SELECT * FROM fans ORDER BY id")
    assert (a.id, a.value_cents, a.value_stated_at) == (changed, 0, None)
    assert (b.value_cents, b.notes) == (500, "mine")
    assert c.deleted_at == NOW
    with crm.services.open_unit_of_work() as work:
        [line] = work.imports.kept(crm.owner, import_id, 10, None).items
    assert (line.fan_id, line.outcome, line.reason) == (
        edited,
        "kept",
        "it was changed after the import",
    )


def test_mappings_are_found_by_headers_in_any_order_and_case(crm: Crm) -> None:
    mapping = {Column.USERNAME: "Login", Column.EMAIL: None}
    with crm.services.open_unit_of_work() as work:
        work.imports.save_mapping(crm.owner, ["Login", "Mail"], {Column.USERNAME: "Mail"})
        work.imports.save_mapping(crm.owner, ["mail ", "LOGIN"], mapping)
        assert work.imports.mapping_for(crm.owner, ["MAIL", "login"]) == mapping
        assert work.imports.mapping_for(crm.users["stranger"].owner_id, ["Mail", "Login"]) is None
        [saved] = work.imports.mappings(crm.owner)
        assert not work.imports.forget_mapping(crm.users["stranger"].owner_id, saved.id)
        assert work.imports.forget_mapping(crm.owner, saved.id)
        assert work.imports.mappings(crm.owner) == []


@pytest.mark.parametrize("state", ["pending", "running", "completed"])
def test_the_same_file_is_recognised(crm: Crm, state: str) -> None:
    import_id = upload(crm)
    crm.sql("UPDATE imports SET state = :state", state=state)
    with crm.services.open_unit_of_work() as work:
        same = work.imports.same_file(crm.owner, "a" * 64)
        assert same is not None
        assert same.id == import_id
        assert work.imports.same_file(crm.owner, "a" * 64, import_id) is None
        assert work.imports.same_file(crm.owner, "b" * 64) is None
        assert work.imports.same_file(crm.users["stranger"].owner_id, "a" * 64) is None


def test_old_imports_forget_their_lines_and_keep_their_counts(crm: Crm) -> None:
    import_id = upload(crm)
    with crm.services.open_unit_of_work() as work:
        work.imports.add_errors(import_id, [BadRow(2, (RowProblem("x", "y"),), ("a",))])
        work.commit()
    crm.sql(
        "UPDATE imports SET state = 'completed', failed = 1, total_rows = 1,"
        " finished_at = now() - interval '31 days'"
    )
    with crm.services.open_unit_of_work() as work:
        [old] = work.imports.outdated(datetime.now(UTC) - timedelta(days=30), 10)
        work.imports.forget(old.id)
        assert work.imports.outdated(datetime.now(UTC) - timedelta(days=30), 10) == []
        assert work.imports.errors(crm.owner, import_id, 10, None).items == []
        kept = work.imports.get(crm.owner, import_id)
        assert kept is not None
        assert kept.counts == Counts(failed=1)
