"""What only takes long, or fails for a moment, ends no import and gives up on no fan."""

from contextlib import suppress

import pytest

from domain.errors import Unavailable
from domain.imports import ImportState
from tests.crm import Crm
from tests.integration.crm.test_crm_importing import (
    fans,
    found,
    importing,
    lease_ran_out,
    run,
    undo,
)


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
