"""What goes wrong around an import: fans that change under it, workers that die without a word, and
what must be forgotten all the same."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest
from sqlalchemy import text

from domain.fans import FanId
from domain.imports import Counts, ImportId, ImportState
from domain.services.importing import TAKES
from tests.crm import Crm
from tests.integration.crm.test_crm_importing import (
    LONG_AGO,
    Crash,
    fans,
    found,
    importing,
    run,
    undo,
    uploaded,
)
from tests.plans import watched

WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def meanwhile(crm: Crm, import_id: ImportId, statement: str, **values: object) -> Iterator[None]:
    """An import that has looked for its fans, and waits for one that somebody is changing."""
    with crm.engine.connect() as somebody:
        somebody.execute(text(statement), values)
        worker = Thread(target=importing(crm).run, args=(import_id,))
        worker.start()
        pause = Event()
        while not crm.sql(WAITING):
            pause.wait(0.02)
        yield
        somebody.commit()
    worker.join()


def test_a_fan_renamed_at_this_moment_is_no_longer_the_one_that_is_meant(crm: Crm) -> None:
    fan = crm.fan("Ann", handle="@ann")
    import_id = uploaded(crm, ["ann,,ann@example.com,,,"])

    rename = "UPDATE fans SET handle = '@bob', name = 'Bob' WHERE id = :fan"
    with meanwhile(crm, import_id, rename, fan=fan):
        pass

    assert found(crm, import_id).counts == Counts(inserted=1)
    assert fans(crm)["@bob"].email is None
    assert fans(crm)["@ann"].email == "ann@example.com"


def test_a_deleted_fan_gives_way_to_a_live_one_of_this_moment(crm: Crm) -> None:
    deleted = crm.fan("Ann", handle="@ann", deleted_at=LONG_AGO)
    import_id = uploaded(crm, ["ann,,ann@example.com,,,"])

    with meanwhile(crm, import_id, "UPDATE fans SET notes = 'x' WHERE id = :fan", fan=deleted):
        live = crm.fan("Ann again", handle="@Ann")

    done = found(crm, import_id)
    assert done.state is ImportState.COMPLETED
    assert done.counts == Counts(updated=1)
    rows = crm.sql("SELECT id, email, deleted_at IS NULL AS live FROM fans ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (deleted, None, False),
        (live, "ann@example.com", True),
    ]


def expire(crm: Crm) -> None:
    crm.sql("UPDATE imports SET lease_until = now() - interval '1 second'")


def test_an_import_that_kills_every_worker_is_given_up(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(crm, ["ann,,,,,"])

    def die(_key: str) -> None:
        raise Crash

    with monkeypatch.context() as deadly:
        deadly.setattr(crm.files, "fetch", die)
        for _ in range(TAKES):
            with suppress(Crash):
                importing(crm).run(import_id)
            assert found(crm, import_id).state is ImportState.RUNNING
            expire(crm)
    importing(crm).run(import_id)

    failed = found(crm, import_id)
    assert failed.state is ImportState.FAILED
    assert failed.failure is not None
    assert failed.failure.code == "internal"


def test_a_store_that_is_away_for_long_uses_no_tries(crm: Crm) -> None:
    import_id = uploaded(crm, ["ann,,,,,"])
    crm.files.away = True
    for _ in range(TAKES + 2):
        importing(crm).run(import_id)
    assert found(crm, import_id).wake_tries == 0

    crm.files.away = False
    importing(crm).run(import_id)
    assert found(crm, import_id).counts == Counts(inserted=1)


def age(crm: Crm) -> None:
    crm.sql("UPDATE imports SET finished_at = now() - interval '31 days'")


def test_a_confirmed_import_that_no_worker_saw_is_forgotten_like_others(crm: Crm) -> None:
    import_id = uploaded(crm, ["ann,,,,,"], dry_run=True)
    importing(crm).run(import_id)
    crm.services.imports.confirm(crm.caller(), import_id, {})
    crm.services.imports.cancel(crm.caller(), import_id)
    age(crm)

    assert importing(crm).forget_files() == 1
    assert importing(crm).forget_files() == 0
    assert found(crm, import_id).format is None


def test_what_an_undo_kept_is_told_after_the_file_is_forgotten(crm: Crm) -> None:
    done = run(crm, ["ann,,,,,"])
    crm.sql("UPDATE fans SET name = 'Edited'")
    assert undo(crm, done.id).undo.kept == 1
    age(crm)

    assert importing(crm).forget_files() == 1
    with crm.services.open_unit_of_work() as work:
        assert [one.name for one in work.imports.kept(crm.owner, done.id, 10, None).items] == [
            "Edited"
        ]


def test_erasing_finds_a_fan_however_a_cell_spells_it(crm: Crm) -> None:
    fan = crm.fan("Ann", handle="@änn", email="ann@example.com")
    run(
        crm,
        [
            "'@Änn ,,,,-5,",
            "a\N{COMBINING DIAERESIS}nn,,,,-5,",
            "other,,\N{NO-BREAK SPACE}Ann@example.com ,,-5,",
            "ännie,,x@example.com,,-5,",
        ],
    )
    with crm.services.open_unit_of_work() as work:
        work.departures.erase(crm.owner, [FanId(fan)])
        work.commit()

    lines = crm.sql("SELECT cells, problems FROM import_errors ORDER BY line")
    kept = ["ännie", "", "x@example.com", "", "-5", ""]
    assert [line.cells for line in lines] == [[], [], [], kept]
    assert [line.problems[0].get("value") for line in lines] == [None, None, None, "-5"]
    assert found(crm, uploaded(crm, [])).format is None
    [(sample,)] = crm.sql("SELECT format -> 'sample' FROM imports WHERE format IS NOT NULL")
    assert sample == []


def test_a_batch_takes_as_many_statements_as_ten_times_of_it(crm: Crm) -> None:
    counted = []
    for size in (10, 100):
        crm.fan("Known", handle=f"@known{size}")
        lines = [f"new{size}x{number},,,,5," for number in range(size)]
        import_id = uploaded(crm, [*lines, f"known{size},,,,7,", f"bad {size},,,,,"])
        with watched(crm) as seen:
            importing(crm, batch=200).run(import_id)
        assert found(crm, import_id).counts == Counts(inserted=size, updated=1, failed=1)
        counted.append([statement for statement, _ in seen])
    assert counted[0] == counted[1]
    assert len(counted[0]) < 30
