"""CSV imports through the running product: whatever dies on the way, the rows are those of the file.

Every test ends at the rows in PostgreSQL, field by field; each has an owner of its own."""

import csv
import io
import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import CHECKOUT, eventually
from system import FAST, System

pytestmark = pytest.mark.fault

PATH = "/api/onlyfans/import/csv"
SAMPLES = CHECKOUT / "tests/data/imports"
HEADER = ("Username", "Display Name", "Email", "Subscription Tier", "Total Spent", "Last Seen")
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
TAG = "autumn"
# A killed worker's import is taken up again after the lease; the statements must end within it.
SETTINGS = FAST | {"IMPORT_LEASE_SECONDS": "4", "STATEMENT_TIMEOUT_SECONDS": "3"}
AT_WORK = {"pending", "running", "undoing"}
KILLS = 5


@dataclass(frozen=True)
class Person:
    """A line of a file, and what must be in the table for it."""

    number: int

    @property
    def cents(self) -> int:
        return self.number * 7919 % 150_000

    @property
    def seen(self) -> datetime | None:
        return None if self.number % 5 == 0 else FIRST_DAY + timedelta(days=self.number % 1000)

    @property
    def email(self) -> str | None:
        return None if self.number % 3 == 0 else f"fan{self.number}@example.com"

    @property
    def plan(self) -> str | None:
        return (None, "Basic", "Premium")[self.number % 3]

    @property
    def tier(self) -> str:
        if self.cents >= 10_000:
            return "whale" if self.cents >= 100_000 else "spender"
        return "new" if self.seen is None else "quiet"

    def cells(self) -> tuple[str, ...]:
        seen = self.seen.date().isoformat() if self.seen else ""
        spent = f"${self.cents / 100:,.2f}"
        name = f"Fan, {self.number}"
        return f"fan{self.number:06}", name, self.email or "", self.plan or "", spent, seen

    def row(self) -> tuple[object, ...]:
        """As `stored` gives it."""
        return (
            *(f"@fan{self.number:06}", f"Fan, {self.number}", self.email, self.plan),
            *(self.cents, self.seen, [TAG], self.tier),
        )


def people(start: int, end: int) -> list[Person]:
    return [Person(number) for number in range(start, end)]


def file_of(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(lines)
    return text.getvalue().encode()


def bad_line(number: int) -> tuple[str, ...]:
    return f"bad{number}", "No Address", "not an address", "", "$1.00", "2025-11-01"


def mixed(size: int) -> tuple[bytes, list[Person]]:
    """A long file with everything in it: good lines, one in a hundred twice, one in a hundred bad;
    and whom it must leave in the table."""
    good = people(0, size)
    lines: list[tuple[str, ...]] = []
    for person in good:
        lines.append(person.cells())
        if person.number % 100 == 50:
            lines += [person.cells(), bad_line(person.number)]
    return file_of(lines), good


@dataclass(frozen=True)
class Owner:
    """Somebody who imports, with a way to all that is theirs."""

    system: System
    id: int
    email: str

    @property
    def token(self) -> str:
        return self.system.login(self.email)

    def upload(
        self, file: bytes, *, wait_seconds: int = 30, dry_run: bool = False, **fields: str
    ) -> httpx2.Response:
        return self.system.upload(
            file,
            token=self.token,
            wait_seconds=wait_seconds,
            dry_run=dry_run,
            **fields,
        )

    def begin(self, file: bytes, **fields: str) -> int:
        """Upload and do not wait; returns the import's id."""
        answer = self.upload(file, wait_seconds=0, **{"tags": TAG} | fields)
        assert answer.status_code == 202, answer.text
        import_id: int = answer.json()["importId"]
        return import_id

    def imported(self, file: bytes, **fields: str) -> dict[str, Any]:
        """Upload and wait; returns the 200's body."""
        answer = self.upload(file, **{"tags": TAG} | fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def ask(self, method: str, path: str) -> httpx2.Response:
        return self.system.api(method, f"{PATH}/{path}", token=self.token)

    def ended(self, import_id: int) -> dict[str, Any]:
        """What the API tells once there is nothing left to do; outlasts every restart."""

        def look() -> dict[str, Any] | None:
            try:
                answer = self.ask("GET", import_id)
            except httpx2.TransportError:
                return None
            if answer.status_code >= 500 or answer.json()["status"] in AT_WORK:
                return None
            return dict(answer.json())

        return eventually(look, f"the end of {import_id}", lambda: self.record(import_id))

    def record(self, import_id: int) -> dict[str, Any]:
        """The import's own row."""
        [row] = self.system.sql(
            "SELECT * FROM imports WHERE id = %s AND user_id = %s", import_id, self.id
        )
        return row

    def stored(self) -> list[tuple[object, ...]]:
        """The fans who are in the table, by handle, as `Person.row` says them."""
        rows = self.system.sql(
            "SELECT handle, name, email, subscription_tier, value_cents, last_seen_at, tags, tier"
            " FROM fans WHERE user_id = %s AND deleted_at IS NULL ORDER BY handle",
            self.id,
        )
        return [tuple(row.values()) for row in rows]

    def told(self, import_id: int) -> list[tuple[object, ...]]:
        """The history that the import left, without ids."""
        rows = self.system.sql(
            "SELECT f.handle, c.before, c.after - 'value_stated_at' AS after FROM fan_changes c"
            " JOIN fans f ON f.id = c.fan_id WHERE c.import_id = %s ORDER BY f.handle, c.id",
            import_id,
        )
        return [tuple(row.values()) for row in rows]

    def moved(self, import_id: int, beyond: int) -> int:
        """Wait until more lines are done than that; it must still be running."""

        def look() -> int | None:
            row = self.record(import_id)
            assert row["state"] in {"pending", "running"}, row
            return row["total_rows"] if row["total_rows"] > beyond else None

        return eventually(look, f"more than {beyond} lines", lambda: self.record(import_id))


def hasten(system: System, import_id: int) -> None:
    """Let the sweep announce it now, not in half a minute."""
    system.sql("UPDATE imports SET wake_after = now() WHERE id = %s", import_id)


def said(body: dict[str, Any]) -> tuple[object, object, object]:
    """What an import tells of the file, whatever its id."""
    return body["status"], body["summary"], body["errors"]


def summary(total: int, *, inserted: int, skipped: int = 0, errors: int = 0) -> dict[str, int]:
    return {
        "totalRows": total,
        "successfulInserts": inserted,
        "updated": 0,
        "skipped": skipped,
        "errors": errors,
    }


def rows_of(good: Iterable[Person]) -> list[tuple[object, ...]]:
    return sorted((person.row() for person in good), key=lambda row: str(row[0]))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("imports"), SETTINGS) as running:
        yield running


@pytest.fixture
def owner(system: System) -> Owner:
    return Owner(system, *system.owner())


@pytest.fixture
def other(system: System) -> Owner:
    return Owner(system, *system.owner())


def test_ten_thousand_lines_are_answered_with_their_summary(owner: Owner) -> None:
    good = people(0, 10_000)

    body = owner.imported(file_of(person.cells() for person in good))

    assert body["summary"] == summary(10_000, inserted=10_000)
    assert owner.stored() == rows_of(good)


@pytest.mark.sqs
def test_the_contracts_example_of_a_hundred_lines(owner: Owner) -> None:
    good = people(0, 95)
    lines = [person.cells() for person in good]
    # Lines 42 and 77 of the file have no address, three others say once more what was said.
    lines[40:40] = [bad_line(42)]
    lines[75:75] = [bad_line(77)]
    lines += lines[:3]

    body = owner.imported(file_of(lines))

    assert body["summary"] == summary(100, inserted=95, skipped=3, errors=2)
    first, second = body["errors"]
    assert (first["row"], first["error"]) == (42, "Invalid email format")
    assert (first["field"], first["value"]) == ("Email", "not an address")
    assert second["row"] == 77
    assert owner.stored() == rows_of(good)
    mended = owner.ask("GET", f"{body['importId']}/errors.csv")
    assert mended.status_code == 200
    header, *failed = csv.reader(io.StringIO(mended.text.removeprefix("\ufeff")))
    assert tuple(header[: len(HEADER)]) == HEADER
    assert [tuple(cells[: len(HEADER)]) for cells in failed] == [bad_line(42), bad_line(77)]


@pytest.mark.timeout(300)
def test_a_worker_killed_five_times_leaves_what_an_undisturbed_one_leaves(
    owner: Owner, other: Owner
) -> None:
    file, good = mixed(16_000)
    undisturbed = other.imported(file)

    import_id, done = owner.begin(file), 0
    for _ in range(KILLS):
        done = owner.moved(import_id, done)
        owner.system.kill("worker-imports")
    body = owner.ended(import_id)

    assert undisturbed["summary"]["totalRows"] == 16_320
    assert said(body) == said(undisturbed)
    assert owner.stored() == other.stored() == rows_of(good)
    assert owner.told(import_id) == other.told(undisturbed["importId"])


@pytest.mark.timeout(300)
def test_storage_and_database_killed_meanwhile_change_nothing(owner: Owner, other: Owner) -> None:
    file, good = mixed(12_000)
    undisturbed = other.imported(file)

    import_id = owner.begin(file)
    done = owner.moved(import_id, 0)
    owner.system.kill("aws")
    owner.moved(import_id, done)
    owner.system.kill("postgres")
    body = owner.ended(import_id)

    assert said(body) == said(undisturbed)
    assert owner.stored() == other.stored() == rows_of(good)
    assert owner.told(import_id) == other.told(undisturbed["importId"])


def test_two_files_with_the_same_people_at_once_make_each_of_them_once(owner: Owner) -> None:
    first, second = people(0, 4_000), people(2_000, 6_000)

    # From both ends, so that they meet in the middle.
    ids = [
        owner.begin(file_of(person.cells() for person in first)),
        owner.begin(file_of(person.cells() for person in reversed(second))),
    ]
    sums = [owner.ended(one)["summary"] for one in ids]

    assert [one["totalRows"] for one in sums] == [4_000, 4_000]
    assert sum(one["successfulInserts"] for one in sums) == 6_000
    assert sum(one["skipped"] for one in sums) == 2_000
    assert sum(one["updated"] + one["errors"] for one in sums) == 0
    assert owner.stored() == rows_of(people(0, 6_000))


def test_the_same_file_again_is_refused_and_repeated_when_asked(owner: Owner) -> None:
    good = people(0, 300)
    file = file_of(person.cells() for person in good)
    first = owner.imported(file)
    rows = owner.system.sql("SELECT * FROM fans WHERE user_id = %s ORDER BY id", owner.id)

    refused = owner.upload(file)
    again = owner.imported(file, repeat="true")

    assert refused.status_code == 409
    assert refused.json()["code"] == "same_file"
    assert again["importId"] != first["importId"]
    assert again["summary"] == summary(300, inserted=0, skipped=300)
    assert owner.system.sql("SELECT * FROM fans WHERE user_id = %s ORDER BY id", owner.id) == rows
    assert owner.told(again["importId"]) == []


def test_a_dry_run_writes_nothing_until_it_is_confirmed_and_an_undo_takes_all_but_edits_back(
    owner: Owner,
) -> None:
    good = people(0, 400)
    dry = owner.upload(file_of(person.cells() for person in good), dry_run=True, tags=TAG)
    assert dry.status_code == 200, dry.text
    import_id = dry.json()["importId"]
    assert dry.json()["summary"]["successfulInserts"] == 400
    assert owner.stored() == []

    assert owner.ask("POST", f"{import_id}/confirm").status_code in {200, 202}
    confirmed = owner.ended(import_id)
    assert confirmed["summary"] == dry.json()["summary"]
    assert owner.stored() == rows_of(good)

    [edited] = owner.system.sql(
        "SELECT id FROM fans WHERE user_id = %s AND handle = '@fan000007'", owner.id
    )
    answer = owner.system.api(
        "PUT", f"/api/crm/fans/{edited['id']}", {"notes": "Called"}, token=owner.token
    )
    assert answer.status_code == 200, answer.text
    assert owner.ask("POST", f"{import_id}/undo").status_code in {200, 202}
    undone = owner.ended(import_id)
    assert undone["status"] == "undone"
    assert undone["undo"]["reversed"] == 399
    assert undone["undo"]["kept"] == 1
    assert owner.stored() == rows_of([Person(7)])


def test_cancelled_half_way_the_lines_so_far_stay_whole_and_can_be_undone(owner: Owner) -> None:
    good = people(0, 12_000)
    import_id = owner.begin(file_of(person.cells() for person in good))
    owner.moved(import_id, 0)

    assert owner.ask("POST", f"{import_id}/cancel").status_code in {200, 202}
    body = owner.ended(import_id)

    done = body["summary"]["totalRows"]
    assert body["status"] == "cancelled"
    assert 0 < done < 12_000
    assert body["summary"]["successfulInserts"] == done
    assert owner.stored() == rows_of(good[:done])

    assert owner.ask("POST", f"{import_id}/undo").status_code in {200, 202}
    assert owner.ended(import_id)["undo"]["reversed"] == done
    assert owner.stored() == []


def test_the_command_imports_a_file_and_says_by_its_exit_code_whether_it_did(
    owner: Owner, tmp_path: Path
) -> None:
    good = people(0, 30)
    file = tmp_path / "fans.csv"
    file.write_bytes(file_of([*(person.cells() for person in good), bad_line(1)]))
    no_list = tmp_path / "letter.csv"
    no_list.write_text("Dear fans,\nthank you\n", encoding="utf-8")

    done = owner.system.command("import", str(file), "--user", owner.email)
    refused = owner.system.command("import", str(no_list), "--user", owner.email)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "31" in done.stdout
    assert "30" in done.stdout
    assert "32" in done.stdout  # the line that failed
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "Username" in refused.stdout + refused.stderr
    assert [row[0] for row in owner.stored()] == [person.row()[0] for person in good]


def test_an_import_waits_while_the_product_is_off_and_ends_once_it_is_on(owner: Owner) -> None:
    system, good = owner.system, people(0, 1_000)
    file = file_of(person.cells() for person in good)
    worker = system.processes()["worker-imports"]
    os.killpg(worker, signal.SIGSTOP)
    import_id = owner.begin(file)
    # Killed while it stands still: the system ends before another worker could begin.
    os.killpg(worker, signal.SIGKILL)
    system.stop()
    try:
        system.start(ONLYFANS_CRM_ENABLED="false")
        hasten(system, import_id)

        assert owner.upload(file, repeat="true").status_code == 404
        assert owner.ask("GET", import_id).status_code == 404
        kept = owner.record(import_id)
        assert (kept["state"], kept["total_rows"]) == ("pending", 0)
        assert owner.stored() == []
    finally:
        system.stop()
        system.start(ONLYFANS_CRM_ENABLED="true")
    hasten(system, import_id)
    body = owner.ended(import_id)

    assert body["summary"] == summary(1_000, inserted=1_000)
    assert owner.stored() == rows_of(good)


def test_every_documented_file_comes_to_its_documented_outcome(system: System) -> None:
    outcomes = json.loads((SAMPLES / "outcomes.json").read_text(encoding="utf-8"))
    for name, outcome in outcomes.items():
        owner, file = Owner(system, *system.owner()), (SAMPLES / name).read_bytes()
        for dry_run in (True, False):
            answer = owner.upload(file, dry_run=dry_run)
            body = answer.json()
            if "failure" in outcome:
                assert (answer.status_code, body["code"]) == (422, outcome["failure"]), name
                assert owner.stored() == [], name
                continue
            assert answer.status_code == 200, (name, answer.text)
            found = {
                str(one["row"]): {problem["code"] for problem in one["problems"]}
                for one in body["errors"]
            }
            bad = {
                line: {codes} if isinstance(codes, str) else set(codes)
                for line, codes in outcome["bad"].items()
            }
            told = body["summary"]
            assert found == bad, name
            assert told["errors"] == len(bad), name
            good = outcome["good"]
            lines = good if isinstance(good, int) else len(good)
            assert told["totalRows"] == lines + len(bad), name
            written = 0 if dry_run else told["successfulInserts"]
            assert len(owner.stored()) == written, name
