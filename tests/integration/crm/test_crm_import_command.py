"""`huntaze import` on real rows; a worker does its part whenever the command waits."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from cli.main import huntaze
from domain.imports import ImportId
from domain.services.importing import ImportingService
from tests.crm import Crm

HEADER = "Username,Total Spent\n"


class Command:
    """The command beside a worker with batches of two lines."""

    def __init__(self, crm: Crm, folder: Path) -> None:
        self._crm = crm
        self._file = folder / "fans.csv"
        self.worker = ImportingService(
            crm.services.open_unit_of_work,
            files=crm.files,
            journal=crm.services.journal,
            batch=2,
        )
        self.waits: Callable[[], None] = self.work

    def sleep(self, _seconds: float) -> None:
        """In place of the command's own."""
        self.waits()

    def work(self) -> None:
        [row] = self._crm.sql("SELECT max(id) AS id FROM imports")
        self.worker.run(ImportId(row.id))

    def __call__(self, content: str | bytes, *more: str, user: str = "owner") -> Result:
        self._file.write_bytes(content if isinstance(content, bytes) else content.encode())
        words = ["import", str(self._file), "--user", f"{user}@example.com", *more]
        return CliRunner().invoke(huntaze, words)


@pytest.fixture
def command(crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    made = Command(crm, tmp_path)
    monkeypatch.setattr("cli.imports.services", lambda: crm.services)
    monkeypatch.setattr("cli.imports.time", SimpleNamespace(sleep=made.sleep))
    return made


def handles(crm: Crm) -> list[str]:
    return [row.handle for row in crm.sql("SELECT handle FROM fans ORDER BY id")]


def summary(result: Result) -> dict[str, int]:
    """The labelled numbers of the answer."""
    labels = ("lines", "new fans", "updated", "skipped", "errors")
    found = {}
    for line in result.output.splitlines():
        for label in labels:
            if line.strip().startswith(f"{label} "):
                found[label] = int(line.rsplit(maxsplit=1)[-1].replace(",", ""))
    return found


def test_a_file_is_imported_and_summed_up_like_the_api_does(crm: Crm, command: Command) -> None:
    result = command(f"{HEADER}ann,5\nbob,6\nann,5\ncid,lots\n")

    assert result.exit_code == 0, result.output
    assert handles(crm) == ["@ann", "@bob"]
    told = crm.get("/api/onlyfans/import/csv/1").json["summary"]
    assert summary(result) == {
        "lines": told["totalRows"],
        "new fans": told["successfulInserts"],
        "updated": told["updated"],
        "skipped": told["skipped"],
        "errors": told["errors"],
    }
    assert summary(result)["errors"] == 1
    assert "line 5: " in result.output
    assert "(Total Spent: lots)" in result.output


def test_only_the_first_errors_are_shown_and_where_the_rest_is(command: Command) -> None:
    result = command(HEADER + "".join(f"fan{number},lots\n" for number in range(25)))

    assert result.output.count("(Total Spent: lots)") == 20
    assert "and 5 more: GET /api/onlyfans/import/csv/1/errors.csv" in result.output


def test_options_reach_the_import(crm: Crm, command: Command) -> None:
    command(f"{HEADER}ann,5\n")
    more = ("--policy", "overwrite", "--tag", "vip", "--tag", "spring", "--delimiter", "semicolon")
    result = command("Username;Total Spent\nann;7\n", *more)

    assert result.exit_code == 0, result.output
    [row] = crm.sql("SELECT value_cents, tags FROM fans")
    assert (row.value_cents, sorted(row.tags)) == (700, ["spring", "vip"])


def test_a_dry_run_changes_nothing_and_says_so(crm: Crm, command: Command) -> None:
    result = command(f"{HEADER}ann,5\n", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "Nothing was changed" in result.output
    assert summary(result)["new fans"] == 1
    assert handles(crm) == []


def test_the_same_file_is_refused_unless_it_is_meant(crm: Crm, command: Command) -> None:
    command(f"{HEADER}ann,5\n")
    again = command(f"{HEADER}ann,5\n")
    meant = command(f"{HEADER}ann,5\n", "--repeat")

    assert (again.exit_code, meant.exit_code) == (1, 0)
    assert "was uploaded" in again.output
    assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 2


@pytest.mark.parametrize("content", ["", "Dear fans,\nthank you\n"])
def test_a_file_that_is_no_list_fails(crm: Crm, command: Command, content: str) -> None:
    result = command(content)

    assert result.exit_code == 1
    assert "Error: " in result.output
    assert handles(crm) == []


def test_what_was_imported_before_a_file_fails_is_told(crm: Crm, command: Command) -> None:
    def fail() -> None:
        command.work()
        crm.sql(
            "UPDATE imports SET state = 'failed', failure_code = 'internal', failure = 'Broken'"
        )

    command.waits = fail
    result = command(f"{HEADER}ann,5\nbob,6\n")

    assert result.exit_code == 1
    assert summary(result)["new fans"] == 2
    assert "Error: Broken" in result.output


def test_a_user_without_the_permission_and_an_unknown_one_are_refused(
    crm: Crm, command: Command
) -> None:
    for user in ("chatter", "nobody"):
        assert command(f"{HEADER}ann,5\n", user=user).exit_code == 1
    assert crm.files.files == {}


def test_a_store_that_is_away_is_named_and_leaves_no_import(crm: Crm, command: Command) -> None:
    crm.files.away = True
    result = command(f"{HEADER}ann,5\n")

    assert result.exit_code == 1
    assert "the file store does not answer" in result.output
    assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 0


@pytest.mark.parametrize(
    "more",
    [
        ("--policy", "delete"),
        ("--delimiter", "x"),
        ("--encoding", "klingon"),
        ("--tag", "a" * 500),
        ("--colour", "red"),
    ],
)
def test_bad_usage_is_told_apart_and_names_the_option(
    crm: Crm, command: Command, more: tuple[str, str]
) -> None:
    result = command(f"{HEADER}ann,5\n", *more)

    assert result.exit_code == 2
    assert more[0] in result.output
    assert crm.files.files == {}


def test_control_characters_of_a_file_do_not_reach_the_terminal(command: Command) -> None:
    result = command(f'{HEADER}ann,"\x1b]0;owned\x07\u202e5\nline 99: all is well"\n')

    assert result.exit_code == 0, result.output
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)
    assert "\\x1b]0;owned" in result.output
    assert not any(line.startswith("line 99") for line in result.output.splitlines())


def test_an_interrupt_leaves_the_import_running_and_says_so(crm: Crm, command: Command) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    command.waits = interrupt
    result = command(f"{HEADER}ann,5\n")
    command.work()

    assert result.exit_code == 130
    assert "GET /api/onlyfans/import/csv/1" in result.output
    assert handles(crm) == ["@ann"]
