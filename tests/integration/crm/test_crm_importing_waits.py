"""What only takes long, or fails for a moment, ends no import and gives up on no fan."""

from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from typing import BinaryIO

import pytest

from domain.errors import Unavailable
from domain.imports import Counts, ImportId, ImportState
from domain.ports import FilesUnavailable
from domain.repositories import ImportLease
from domain.services.importing import TAKES
from infra.db.repositories.imports import SqlImportRepository
from tests.crm import Crm
from tests.integration.crm.test_crm_importing import (
    fans,
    found,
    importing,
    lease_ran_out,
    run,
    undo,
    uploaded,
)


def hang(crm: Crm, import_id: ImportId) -> ImportLease | None:
    """As if the store had hung for 90 seconds; returns what another worker gets to take then."""
    took = timedelta(seconds=90)
    crm.sql("UPDATE imports SET lease_until = lease_until - :took", took=took)
    with crm.services.open_unit_of_work() as work:
        taken = work.imports.take(import_id, timedelta(seconds=30))
        work.commit()
    return taken


def test_a_store_that_hangs_and_fails_costs_no_try(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(crm, ["ann,,,,,"])
    others = []

    def fetch(_key: str) -> AbstractContextManager[BinaryIO]:
        others.append(hang(crm, import_id))
        raise FilesUnavailable("it does not answer")

    monkeypatch.setattr(crm.files, "fetch", fetch)
    for _ in range(TAKES + 1):
        importing(crm).run(import_id)

    one = found(crm, import_id)
    assert (one.state, one.wake_tries) == (ImportState.RUNNING, 0)
    assert others == [None] * (TAKES + 1)


def test_a_store_that_hangs_and_answers_costs_no_lease(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(crm, ["ann,,,,,"])
    answer, others = crm.files.fetch, []

    def fetch(key: str) -> AbstractContextManager[BinaryIO]:
        others.append(hang(crm, import_id))
        return answer(key)

    monkeypatch.setattr(crm.files, "fetch", fetch)
    importing(crm).run(import_id)

    assert found(crm, import_id).counts == Counts(inserted=1)
    assert others == [None]


def test_after_the_file_is_there_the_lease_is_short(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(crm, ["ann,,,,,"])
    left = []

    def look(_file: object) -> str:
        [row] = crm.sql("SELECT lease_until - now() AS left FROM imports")
        left.append(row.left)
        return found(crm, import_id).file_hash

    monkeypatch.setattr("domain.services.importing.digest", look)
    importing(crm).run(import_id)

    assert found(crm, import_id).state is ImportState.COMPLETED
    assert left[0] <= timedelta(seconds=30)


@pytest.mark.parametrize("code", ["deadlock_detected", "lock_not_available", "query_canceled"])
def test_an_undo_that_the_database_could_not_do_now_is_done_later(crm: Crm, code: str) -> None:
    done = run(crm, ["ann,,,,5,", "bob,,,,5,"])
    crm.sql(
        "CREATE FUNCTION refuse_ann() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.handle = '@ann' THEN RAISE EXCEPTION 'later' USING ERRCODE = '{code}'; END IF;"
        " RETURN NEW; END $$"
    )
    crm.sql(
        "CREATE TRIGGER refuse_ann BEFORE UPDATE ON fans FOR EACH ROW EXECUTE FUNCTION refuse_ann()"
    )
    try:
        with suppress(Unavailable):
            undo(crm, done.id)
        assert found(crm, done.id).undo.errored == 0
    finally:
        crm.sql("DROP TRIGGER refuse_ann ON fans")
        crm.sql("DROP FUNCTION refuse_ann")

    lease_ran_out(crm)
    importing(crm).run(done.id)
    undone = found(crm, done.id)
    assert undone.state is ImportState.UNDONE
    assert (undone.undo.reversed, undone.undo.errored) == (2, 0)
    assert all(row.deleted for row in fans(crm).values())


def test_an_import_is_completed_before_the_statistics_and_whatever_becomes_of_them(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(crm, ["ann,,,,,", "bob,,,,,"])
    states = []

    def fail(_imports: object) -> None:
        states.append(found(crm, import_id).state)
        raise RuntimeError("ours")

    monkeypatch.setattr(SqlImportRepository, "refresh_statistics", fail)
    monkeypatch.setattr("domain.services.importing.MANY", 1)
    importing(crm).run(import_id)

    assert states == [ImportState.COMPLETED]
    assert found(crm, import_id).state is ImportState.COMPLETED
