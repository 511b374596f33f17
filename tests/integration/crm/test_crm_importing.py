"""A worker's part of imports on real rows: every policy, every crash, every race, and the undo."""

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import pytest

from domain.errors import Unavailable
from domain.imports import Import, ImportId, ImportState, Options, Policy
from domain.repositories import NewImport, UnitOfWork
from domain.services.importing import ImportingService
from tests.crm import Crm

HEADER = "Username,Display Name,Email,Subscription Tier,Total Spent,Last Seen"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Work:
    """A unit of work whose every repository call and commit may be made to fail."""

    def __init__(self, inner: UnitOfWork, step: Callable[[], None]) -> None:
        self._inner, self._step = inner, step

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._inner.__exit__(*raised)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if callable(found):
            return self._stepping(found)
        return Part(found, self._step) if name == "imports" else found

    def _stepping(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **named: Any) -> Any:
            self._step()
            done = call(*given, **named)
            self._step()
            return done

        return stepped


class Part(Work):
    """A repository of such a unit of work."""


class Crash(BaseException):
    """The process dies here: nothing of ours catches it."""


def importing(
    crm: Crm, *, batch: int = 3, step: Callable[[], None] | None = None
) -> ImportingService:
    """A worker with small batches."""

    def opened() -> Any:
        work = crm.services.open_unit_of_work()
        return Work(work, step) if step else work

    return ImportingService(
        opened,
        files=crm.files,
        journal=crm.services.journal,
        batch=batch,
        sleep=lambda _seconds: None,
    )


def uploaded(
    crm: Crm,
    lines: list[str] | str,
    *,
    policy: Policy = Policy.FILL_BLANKS,
    dry_run: bool = False,
    tags: tuple[str, ...] = (),
    role: str = "owner",
) -> ImportId:
    text = lines if isinstance(lines, str) else "\n".join([HEADER, *lines, ""])
    content = text.encode()
    key = f"imports/{crm.sql('SELECT count(*) AS n FROM imports')[0].n}"
    crm.files.files[key] = content
    new = NewImport(
        dry_run,
        "fans.csv",
        key,
        len(content),
        hashlib.sha256(content).hexdigest(),
        Options(policy=policy, tags=tags),
    )
    with crm.services.open_unit_of_work() as work:
        made = work.imports.add(crm.caller(role), new)
        work.commit()
    return made.id


def found(crm: Crm, import_id: ImportId, role: str = "owner") -> Import:
    with crm.services.open_unit_of_work() as work:
        one = work.imports.get(crm.users[role].owner_id, import_id)
    assert one is not None
    return one


def run(crm: Crm, lines: list[str] | str, **options: Any) -> Import:
    import_id = uploaded(crm, lines, **options)
    importing(crm).run(import_id)
    done = found(crm, import_id, options.get("role", "owner"))
    assert done.state is ImportState.COMPLETED, done.failure
    assert_sums(crm, done)
    return done


def assert_sums(crm: Crm, done: Import) -> None:
    """The counts are those of the rows."""
    [lines] = crm.sql(
        "SELECT count(DISTINCT fan_id) AS fans, count(*) FILTER (WHERE before = '{}') AS created"
        " FROM fan_changes WHERE import_id = :id",
        id=done.id,
    )
    if not done.dry_run:
        assert lines.created == done.counts.inserted
        assert lines.fans <= done.counts.inserted + done.counts.updated
    [errors] = crm.sql("SELECT count(*) AS n FROM import_errors WHERE import_id = :id", id=done.id)
    assert errors.n == done.counts.failed


def undo(crm: Crm, import_id: ImportId, service: ImportingService | None = None) -> Import:
    with crm.services.open_unit_of_work() as work:
        work.imports.ask_undo(import_id, crm.users["owner"].id)
        work.commit()
    (service or importing(crm)).run(import_id)
    return found(crm, import_id)


def fans(crm: Crm) -> dict[str, Any]:
    rows = crm.sql(
        "SELECT id, handle, name, email, tags, value_cents, value_stated_at IS NOT NULL AS stated,"
        " subscription_tier, last_seen_at, version, tier, deleted_at IS NOT NULL AS deleted"
        " FROM fans WHERE user_id = :owner ORDER BY id",
        owner=crm.owner,
    )
    return {row.handle: row for row in rows}


def same(rows: dict[str, Any]) -> list[Any]:
    """The fans without their ids: a crash may leave gaps in these."""
    return sorted((tuple(row)[1:] for row in rows.values()), key=str)


MANY = [
    *(f"fan{n},Fan {n},f{n}@example.com,Gold,{n}.50,2025-01-{n + 1:02d}" for n in range(8)),
    "bad one,,,,,",
    "fan2,Fan 2,f2@example.com,Gold,2.50,2025-01-03",
    "known,Known,known@example.com,Silver,77,2025-02-02",
    "fan3,,,,x,",
    "gone,,,,5,",
    "KNOWN,,other@example.com,,,",
    "fan99,,,,,",
]


def world(crm: Crm) -> None:
    crm.fan("known", handle="@known", value_cents=0)
    crm.fan("Gone", handle="@gone", deleted_at=LONG_AGO)


def test_an_import_creates_fills_revives_and_counts(crm: Crm) -> None:
    world(crm)

    done = run(crm, MANY, tags=("spring",))

    counts = done.counts
    assert (counts.inserted, counts.updated, counts.skipped, counts.failed) == (9, 2, 2, 2)
    assert (counts.revived, counts.duplicates, counts.total) == (1, 2, 15)
    rows = fans(crm)
    assert rows["@fan3"].value_cents == 350
    assert rows["@known"].name == "Known"
    assert rows["@known"].email == "known@example.com"
    assert rows["@known"].value_cents == 7700
    assert not rows["@gone"].deleted
    assert all("spring" in row.tags for row in rows.values())
    assert done.bytes_done == done.file_bytes


@pytest.mark.parametrize(
    ("policy", "email", "value", "name"),
    [
        (Policy.SKIP, "old@example.com", 100, "Old"),
        (Policy.FILL_BLANKS, "old@example.com", 100, "Old"),
        (Policy.OVERWRITE, "new@example.com", 500, "New"),
    ],
)
def test_each_policy_on_a_fan_who_has_values(
    crm: Crm, policy: Policy, email: str, value: int, name: str
) -> None:
    crm.fan("Old", handle="@ann", email="old@example.com", value_cents=100)

    run(crm, ["ann,New,new@example.com,,5,", "ann,,,,,"], policy=policy)

    row = fans(crm)["@ann"]
    assert (row.email, row.value_cents, row.name) == (email, value, name)


def test_nothing_of_an_import_touches_other_owners(crm: Crm) -> None:
    foreign = crm.foreign_fan("Theirs")
    [theirs] = crm.sql("SELECT handle FROM fans WHERE id = :id", id=foreign)

    run(crm, [f"{theirs.handle},Mine,,,5,"], policy=Policy.OVERWRITE)

    [row] = crm.sql("SELECT name, value_cents FROM fans WHERE id = :id", id=foreign)
    assert tuple(row) == ("Theirs", 0)


def test_an_erased_fan_is_a_stranger(crm: Crm) -> None:
    crm.fan("", handle="", deleted_at=LONG_AGO, erased_at=LONG_AGO)

    assert run(crm, ["ann,,,,,"]).counts.inserted == 1


def test_a_dry_run_comes_to_the_same_numbers_and_changes_nothing(crm: Crm) -> None:
    world(crm)
    before = fans(crm)

    tried = run(crm, MANY, dry_run=True)

    assert fans(crm) == before
    [lines] = crm.sql("SELECT count(*) AS n FROM import_previews")
    assert lines.n == tried.counts.total - tried.counts.failed
    assert run(crm, MANY).counts == tried.counts


def test_a_second_import_of_the_same_file_skips_everything(crm: Crm) -> None:
    first = run(crm, MANY)
    before = fans(crm)

    again = run(crm, MANY)

    assert again.counts.skipped == first.counts.total - first.counts.failed
    assert again.counts.duplicates == 0
    assert fans(crm) == before


def crash_at(number: int) -> Callable[[], None]:
    passed = iter(range(number))

    def step() -> None:
        if next(passed, None) is None:
            raise Crash

    return step


def crashing(number: int, problem: BaseException) -> Callable[[], None]:
    """Fails at one step and never again."""
    steps = iter(range(number + 1))

    def step() -> None:
        if next(steps, None) == number:
            raise problem

    return step


def lease_ran_out(crm: Crm) -> None:
    crm.sql("UPDATE imports SET lease_until = now() - interval '1 second' WHERE lease IS NOT NULL")


def after_crashes(crm: Crm, import_id: ImportId, start: int) -> int:
    """Die at every step in turn until it ends; returns how often it died."""
    deaths = 0
    while found(crm, import_id).is_at_work:
        try:
            importing(crm, step=crash_at(start + deaths % 23)).run(import_id)
        except Crash:
            deaths += 1
            lease_ran_out(crm)
            crm.sql("UPDATE imports SET wake_tries = 0")  # So many in a row would end it.
        assert deaths < 500
    return deaths


@pytest.mark.parametrize("start", [1, 4, 9])
def test_crashes_at_every_step_leave_what_an_undisturbed_run_leaves(crm: Crm, start: int) -> None:
    world(crm)
    import_id = uploaded(crm, MANY)

    assert after_crashes(crm, import_id, start) > 5

    done, disturbed = found(crm, import_id), fans(crm)
    assert_sums(crm, done)
    crm.sql("TRUNCATE fans, fan_changes, imports CASCADE")
    world(crm)
    calm = run(crm, MANY)
    assert done.counts == calm.counts
    assert same(disturbed) == same(fans(crm))


@pytest.mark.parametrize("number", range(0, 24, 2))
def test_a_database_that_is_away_for_a_moment_costs_a_moment(crm: Crm, number: int) -> None:
    import_id = uploaded(crm, MANY)
    service = importing(crm, step=crashing(number, Unavailable("away")))
    for _ in range(3):
        try:
            service.run(import_id)
        except Unavailable:
            lease_ran_out(crm)
    done = found(crm, import_id)
    assert done.state is ImportState.COMPLETED
    assert done.counts.total == len(MANY)
    assert_sums(crm, done)


def test_a_store_that_is_away_makes_it_wait_and_say_why(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    crm.files.away = True
    importing(crm).run(import_id)

    waiting = found(crm, import_id)
    assert (waiting.state, waiting.counts.total) == (ImportState.RUNNING, 0)
    assert waiting.delay_reason == "the file store does not answer: trying again"

    crm.files.away = False
    importing(crm).run(import_id)
    done = found(crm, import_id)
    assert (done.state, done.delay_reason) == (ImportState.COMPLETED, None)


def test_a_file_that_is_another_is_refused(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    crm.files.files["imports/0"] += b"x"
    importing(crm).run(import_id)

    refused = found(crm, import_id)
    assert refused.state is ImportState.FAILED
    assert refused.failure is not None
    assert refused.failure.code == "file_damaged"


def test_a_file_that_is_no_list_of_fans_is_refused(crm: Crm) -> None:
    import_id = uploaded(crm, "Name,Email\nAnn,a@example.com\n")
    importing(crm).run(import_id)

    refused = found(crm, import_id)
    assert refused.state is ImportState.FAILED
    assert refused.failure is not None
    assert refused.failure.code == "missing_column"
    assert fans(crm) == {}


def test_a_fault_of_ours_ends_after_ten_takes(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    for takes in range(1, 11):
        importing(crm, step=crashing(6, RuntimeError("ours"))).run(import_id)
        one = found(crm, import_id)
        assert one.is_at_work == (takes < 10)
    assert one.failure is not None
    assert one.failure.code == "internal"


def test_progress_forgives_earlier_faults(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    crm.sql("UPDATE imports SET wake_tries = 9")
    importing(crm, step=crashing(40, RuntimeError("ours"))).run(import_id)
    assert found(crm, import_id).is_at_work
    assert found(crm, import_id).wake_tries == 0


def test_a_cancelled_import_stops_at_the_next_batch(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    batches = []

    def cancel_after_the_first() -> None:
        done = found(crm, import_id).counts.total
        if done and not batches:
            batches.append(done)
            with crm.services.open_unit_of_work() as work:
                work.imports.cancel(import_id)
                work.commit()

    importing(crm, step=between_batches(cancel_after_the_first)).run(import_id)

    stopped = found(crm, import_id)
    assert (stopped.state, stopped.counts.total) == (ImportState.CANCELLED, 3)
    assert len(fans(crm)) == 3


def between_batches(act: Callable[[], None]) -> Callable[[], None]:
    """Act at steps at which no transaction of the worker holds the import."""
    depth = threading.local()

    def step() -> None:
        if not getattr(depth, "inside", False):
            depth.inside = True
            try:
                act()
            finally:
                depth.inside = False

    return step


def test_two_workers_count_every_line_once(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    lost = []

    def other_worker() -> None:
        if not lost and found(crm, import_id).counts.total:
            lost.append(True)
            lease_ran_out(crm)
            importing(crm).run(import_id)

    importing(crm, step=between_batches(other_worker)).run(import_id)

    done = found(crm, import_id)
    assert done.state is ImportState.COMPLETED
    assert done.counts.total == len(MANY)
    assert_sums(crm, done)


def test_overlapping_files_at_once_neither_lock_nor_double(crm: Crm) -> None:
    names = [f"fan{n:03d}" for n in range(120)]
    files = [
        [f"{name},,,,{number}," for name in (names if number % 2 else reversed(names))]
        for number in range(1, 5)
    ]
    ids = [uploaded(crm, lines, policy=Policy.OVERWRITE) for lines in files]
    problems: list[BaseException] = []

    def work(import_id: ImportId) -> None:
        try:
            importing(crm, batch=7).run(import_id)
        except BaseException as problem:  # noqa: BLE001  # told below
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(import_id,)) for import_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    done = [found(crm, import_id) for import_id in ids]
    assert [one.state for one in done] == [ImportState.COMPLETED] * 4
    assert [one.counts.total for one in done] == [120] * 4
    assert sum(one.counts.inserted for one in done) == 120
    assert len(fans(crm)) == 120


def test_a_fan_that_is_added_by_hand_at_this_moment_is_met(crm: Crm) -> None:
    import_id = uploaded(crm, ["ann,Ann,,,,", "bob,,,,,"])
    added = []

    def add_by_hand() -> None:
        if not added and crm.sql("SELECT lease FROM imports")[0].lease:
            added.append(crm.fan("By hand", handle="@ANN"))

    importing(crm, step=between_batches(add_by_hand)).run(import_id)

    done = found(crm, import_id)
    assert (done.counts.inserted, done.counts.total) == (1, 2)
    assert fans(crm)["@ANN"].name == "By hand"


def test_a_long_import_lets_others_pass(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    clock = iter(range(0, 10_000, 50))
    service = ImportingService(
        crm.services.open_unit_of_work,
        files=crm.files,
        journal=crm.services.journal,
        batch=3,
        monotonic=lambda: float(next(clock)),
    )
    service.run(import_id)

    resting = found(crm, import_id)
    assert resting.state is ImportState.RUNNING
    assert 0 < resting.counts.total < len(MANY)
    [event] = crm.bus.events
    assert (event.name, event.payload.import_id) == ("CsvUploaded", import_id)
    service.run(import_id)
    service.run(import_id)
    assert found(crm, import_id).state is ImportState.COMPLETED


def test_the_timer_announces_what_nobody_works_on(crm: Crm) -> None:
    import_id = uploaded(crm, MANY)
    service = importing(crm)
    assert service.wake_overdue() == 0
    crm.sql("UPDATE imports SET wake_after = now() - interval '1 second'")
    assert service.wake_overdue() == 1
    assert service.wake_overdue() == 0
    [event] = crm.bus.events
    assert event.payload.import_id == import_id


# Undo


def test_an_undo_leaves_the_world_as_it_was(crm: Crm) -> None:
    world(crm)
    before = fans(crm)
    done = run(crm, MANY, policy=Policy.OVERWRITE, tags=("spring",))

    undone = undo(crm, done.id)

    assert undone.state is ImportState.UNDONE
    assert (undone.undo.reversed, undone.undo.kept, undone.undo.errored) == (11, 0, 0)
    after = fans(crm)
    assert {handle for handle, row in after.items() if not row.deleted} == {"@known"}
    for handle, row in before.items():
        now = after[handle]
        assert (now.name, now.email, now.tags, now.value_cents, now.deleted) == (
            row.name,
            row.email,
            row.tags,
            row.value_cents,
            row.deleted,
        )


def test_whoever_was_touched_since_is_kept_with_the_reason(crm: Crm) -> None:
    names = ["edited", "paid", "written", "linked", "merged", "left"]
    done = run(crm, [f"{name},,,,5," for name in names])
    rows = fans(crm)
    ids = {name: rows[f"@{name}"].id for name in names}
    crm.call("PUT", f"/api/crm/fans/{ids['edited']}", json={"notes": "kind"})
    crm.sql("UPDATE fans SET value_cents = 900 WHERE id = :id", id=ids["paid"])
    crm.sql(
        "UPDATE fans SET connection_id = :connection, platform_user_id = '5' WHERE id = :id",
        connection=crm.connection,
        id=ids["written"],
    )
    assert (
        crm.post(
            "/api/onlyfans/messages/send",
            {"recipientId": f"fan_{ids['written']}", "content": "Hi"},
        ).status_code
        == 202
    )
    linked = {"connectionId": crm.connection, "platformUserId": "77"}
    assert crm.post(f"/api/crm/fans/{ids['linked']}/link", linked).status_code == 200
    kept = crm.fan("Kept")
    assert crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": ids["merged"]}).status_code < 300

    undone = undo(crm, done.id)

    assert (undone.undo.reversed, undone.undo.kept) == (1, 5)
    reasons = crm.sql("SELECT fan_id, reason FROM import_kept ORDER BY fan_id")
    assert {row.fan_id: row.reason for row in reasons} == {
        ids["edited"]: "it was changed after the import",
        ids["paid"]: "it was changed after the import",
        ids["written"]: "there are messages or money of this fan by now",
        ids["linked"]: "it was changed after the import",
        ids["merged"]: "it was merged into another fan",
    }
    assert fans(crm)["@left"].deleted


def test_a_fan_that_the_database_refuses_to_change_is_told_apart(crm: Crm) -> None:
    done = run(crm, ["ann,,,,5,", "bob,,,,5,"])
    crm.sql(
        "CREATE FUNCTION refuse_ann() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.handle = '@ann' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$"
    )
    crm.sql(
        "CREATE TRIGGER refuse_ann BEFORE UPDATE ON fans FOR EACH ROW EXECUTE FUNCTION refuse_ann()"
    )
    try:
        undone = undo(crm, done.id)
    finally:
        crm.sql("DROP TRIGGER refuse_ann ON fans")
        crm.sql("DROP FUNCTION refuse_ann")

    assert (undone.undo.reversed, undone.undo.errored) == (1, 1)
    assert not fans(crm)["@ann"].deleted
    assert fans(crm)["@bob"].deleted


@pytest.mark.parametrize("start", [1, 3, 5])
def test_an_undo_that_dies_at_every_step_ends_the_same(crm: Crm, start: int) -> None:
    world(crm)
    done = run(crm, MANY)
    with crm.services.open_unit_of_work() as work:
        work.imports.ask_undo(done.id, crm.users["owner"].id)
        work.commit()

    assert after_crashes(crm, done.id, start) > 3

    undone = found(crm, done.id)
    assert undone.state is ImportState.UNDONE
    assert (undone.undo.reversed, undone.undo.kept) == (11, 0)


# Forgetting


def test_after_thirty_days_the_file_and_its_lines_are_forgotten(crm: Crm) -> None:
    old, young = run(crm, MANY), run(crm, ["x y,,,,,"])
    crm.sql(
        "UPDATE imports SET finished_at = now() - interval '30 days 1 hour' WHERE id = :id",
        id=old.id,
    )
    assert importing(crm).forget_files() == 1
    assert importing(crm).forget_files() == 0

    assert set(crm.files.files) == {young.file_key}
    [lines] = crm.sql("SELECT array_agg(DISTINCT import_id) AS ids FROM import_errors")
    assert lines.ids == [young.id]
    kept = found(crm, old.id)
    assert kept.counts == old.counts
    assert kept.file_deleted_at is not None
    assert kept.format is not None
    assert kept.format.sample == ()


def test_a_store_that_is_away_forgets_later(crm: Crm) -> None:
    old = run(crm, MANY)
    crm.sql("UPDATE imports SET finished_at = now() - interval '31 days'")
    crm.files.away = True
    assert importing(crm).forget_files() == 0
    assert found(crm, old.id).file_deleted_at is None


def test_erasing_a_fan_empties_what_files_said_of_it(crm: Crm) -> None:
    run(crm, ["ann,Ann,,,,", "@Ann,,broken,,,", "bob,,,,x,"])
    run(crm, ["ann,Ann,,,9,", "bob,,,,5,"], dry_run=True)
    ann = fans(crm)["@ann"].id

    assert crm.call("DELETE", f"/api/crm/fans/{ann}?mode=hard").status_code == 204

    cells = crm.sql("SELECT cells, problems FROM import_errors ORDER BY line")
    assert [row.cells for row in cells] == [[], ["bob", "", "", "", "x", ""]]
    assert "broken" not in str(cells)
    previews = crm.sql("SELECT after FROM import_previews")
    assert [row.after["handle"] for row in previews] == ["@bob"]
