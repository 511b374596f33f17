"""A large file of fans from its upload to its last commit, beside what PostgreSQL alone needs for
the same rows, in one run."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from bench.figures import Figure
from bench.memory import family, memory_mb, parent_of_each
from bench.running import PATIENCE, eventually
from bench.system import BenchSystem, Scale
from domain.users import OwnerId, Role, User, UserId
from infra.local.postgres import binaries, server_environment

PART = "imports"
PATH = "/api/onlyfans/import/csv"
ROWS, QUICK_ROWS = 100_000, 5_000
ANSWERED_ROWS, QUICK_ANSWERED_ROWS = 10_000, 1_000
# So that a hundred thousand lines are ten megabytes, and still within the limit of an upload.
LINE_BYTES = 100
WAIT_SECONDS = 30
LIMIT_OF_COPY, LIMIT_AGAIN, LIMIT_MB = 0.25, 1, 20
WORKER = "worker-imports"
FIRST_DAY = date(2023, 1, 1)
BARE = "bench_imports"
COLUMNS = ("username", "display_name", "email", "subscription_tier", "total_spent", "last_seen")
# What an import writes of a fan, in one statement that knows nothing of who is here already.
INSERT = f"""
INSERT INTO fans (user_id, name, handle, email, subscription_tier, value_cents, value_stated_at,
  last_seen_at, tier)
SELECT %s, display_name, '@' || username, email, subscription_tier,
  (substr(total_spent, 2)::numeric * 100)::bigint, now(), last_seen::timestamptz, 'quiet'
FROM {BARE}
"""


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    """The references first; every import has an owner of its own, who has nothing yet."""
    count = scale.of(ROWS, QUICK_ROWS)
    file = system.directory / "fans.csv"
    file.write_bytes(rows_file(count))
    copied = count / took(lambda: copy(system, file))
    inserted = count / insert(system)
    headers = owner(system)
    first = count / took(lambda: imported(system, file.read_bytes(), headers))
    again = count / took(lambda: imported(system, file.read_bytes(), headers, repeat="true"))
    size = f"{count:,} rows, {file.stat().st_size / 1e6:.1f} MB"
    return [
        Figure(PART, "psql \\copy into a bare table", copied, "rows/s", size),
        Figure(PART, "INSERT ... SELECT into fans with its indexes", inserted, "rows/s"),
        Figure(PART, "upload to last commit", first, "rows/s", size),
        Figure(PART, "of \\copy", first / copied, "x", "", LIMIT_OF_COPY, least=True),
        Figure(PART, "of INSERT ... SELECT", first / inserted, "x"),
        Figure(PART, "the same file again, nothing to change", again, "rows/s"),
        Figure(PART, "of the first time", again / first, "x", "", LIMIT_AGAIN, least=True),
        answered(system, scale.of(ANSWERED_ROWS, QUICK_ANSWERED_ROWS)),
        grown(system, count),
    ]


def rows_file(count: int) -> bytes:
    """Lines of one length, each of another person."""
    lines = ["Username,Display Name,Email,Subscription Tier,Total Spent,Last Seen"]
    for number in range(count):
        seen = (FIRST_DAY + timedelta(days=number % 700)).isoformat()
        ends = f",fan{number:07}@example.com,Premium,${number * 7919 % 100_000 / 100:.2f},{seen}"
        start = f"creator_fan_{number:07},Fan Number {number:07} "
        lines.append(start + "x" * (LINE_BYTES - 1 - len(start) - len(ends)) + ends)
    return ("\n".join(lines) + "\n").encode()


def took(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def copy(system: BenchSystem, file: Path) -> None:
    """As one loads a file by hand: a table of texts, and psql's own command."""
    columns = ", ".join(f"{name} text" for name in COLUMNS)
    subprocess.run(
        [
            *(binaries() / "psql", system.environment["DATABASE_URL"], "-qX"),
            *("-v", "ON_ERROR_STOP=1"),
            *("-c", f"CREATE TABLE {BARE} ({columns})"),
            *("-c", f"\\copy {BARE} FROM '{file}' (FORMAT csv, HEADER)"),
        ],
        env=server_environment(os.environ),
        check=True,
    )


def insert(system: BenchSystem) -> float:
    """Seconds of the statement alone; afterwards neither the rows nor the bare table are there."""
    user_id = new_user(system)
    with psycopg.connect(system.environment["DATABASE_URL"], autocommit=True) as database:
        database.execute("SET statement_timeout = 0")
        with database.transaction(force_rollback=True):
            seconds = took(lambda: database.execute(INSERT.encode(), (user_id,)))
        database.execute(f"DROP TABLE {BARE}".encode())
        # What was rolled back lies in the table and its indexes still.
        database.execute("VACUUM (ANALYZE) fans")
    return seconds


def new_user(system: BenchSystem) -> int:
    [row] = system.sql(
        "INSERT INTO users (id, owner_id, email, password_hash, role)"
        " SELECT n, n, 'imports' || n || '@bench.example', '-', 'owner'"
        " FROM nextval(pg_get_serial_sequence('users', 'id')) n RETURNING id"
    )
    return int(row["id"])


def owner(system: BenchSystem) -> dict[str, str]:
    """The headers of a new owner."""
    user_id, now = new_user(system), datetime.now(UTC)
    user = User(UserId(user_id), OwnerId(user_id), "", Role.OWNER, "UTC", now)
    token = system.services.tokens.issue(user, now).text
    return {"Authorization": f"Bearer {token}", "Prefer": f"wait={WAIT_SECONDS}"}


def imported(system: BenchSystem, file: bytes, headers: dict[str, str], **fields: str) -> None:
    """Upload and wait for the end, as a client does whose request was not waited for."""
    answer = system.web.post(
        system.address + PATH,
        files={"file": ("fans.csv", file, "text/csv")},
        data=fields,
        headers=headers,
        timeout=PATIENCE,
    )
    answer.raise_for_status()
    where = f"{system.address}{PATH}/{answer.json()['importId']}"

    def ended() -> dict[str, object] | None:
        body: dict[str, object] = system.web.get(where, headers=headers).json()
        return None if body["status"] in {"pending", "running"} else body

    body = eventually(ended, "the end of an import")
    if body["status"] != "completed":
        raise RuntimeError(f"not imported: {body}")


def answered(system: BenchSystem, count: int) -> Figure:
    """How long a person waits for the summary."""
    headers, file = owner(system), rows_file(count)
    began = time.monotonic()
    answer = system.web.post(
        system.address + PATH,
        files={"file": ("fans.csv", file, "text/csv")},
        headers=headers,
        timeout=PATIENCE,
    )
    seconds = time.monotonic() - began
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code}: {answer.text}")
    return Figure(PART, f"{count:,} rows, until the 200", seconds, "s", "", 10)


def grown(system: BenchSystem, count: int) -> Figure:
    """Memory at most used by a fresh worker for a whole file, less that for a tenth of it."""
    peaks = []
    for rows in (count // 10, count):
        pid = renewed(system)
        imported(system, rows_file(rows), owner(system))
        peaks.append(max(memory_mb(one)[1] for one in family(pid, dict(parent_of_each()))))
    told = f"{peaks[1]:.0f} and {peaks[0]:.0f} MB at most"
    return Figure(
        PART, "memory, this file less a tenth of it", peaks[1] - peaks[0], "MB", told, LIMIT_MB
    )


def renewed(system: BenchSystem) -> int:
    """The pid of a worker that has imported nothing yet."""
    old = system.processes()[WORKER]
    os.kill(old, signal.SIGTERM)

    def other() -> int | None:
        pid = system.processes().get(WORKER, old)
        return pid if pid != old else None

    return eventually(other, f"a new {WORKER}")
