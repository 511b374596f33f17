"""The API under load: 100 sends a second by 120 users at their own limit of 60 a minute, and how
many a second it takes at most, beside a bare Flask route that does one INSERT.

Both run in gunicorn with the same settings, on the same PostgreSQL; the generator is one process
for both (bench/hammer.py)."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2

from bench import bare_api
from bench.figures import Figure
from bench.hammer import Outcome, Plan
from bench.measures import median, percentile, refused
from bench.running import CHECKOUT, eventually
from bench.system import Account, BenchSystem, Scale
from domain.connections import ConnectionId
from domain.users import Caller, OwnerId, Role, User, UserId
from infra.local.child import free_ports

PART = "api"
PATH = "/api/onlyfans/messages/send"
USERS, RATE = 120, 100
USER_LIMIT = 60
LIMIT_MS = 200
# So slow that hardly a message leaves while saturation is measured.
HELD_RATE = 0.1
LEVELS = (4, 8, 16, 32)


@dataclass(frozen=True)
class Sender:
    """A user with an account of its own, which has one fan."""

    user: User
    account: Account
    token: str

    @property
    def body(self) -> str:
        return json.dumps({"recipientId": self.account.fans[0], "content": "Hello from the bench"})


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    return steady(system, scale) + saturation(system, scale)


# At 100 a second


def steady(system: BenchSystem, scale: Scale) -> list[Figure]:
    """As in production: the limit of a user is on, the accounts send at the default pace, and the
    workers admit and deliver beside it."""
    users = senders(system, USERS, rate=10)
    seconds = scale.of(20, 3)
    runs = []
    with web(system, "api.app", API_RATE_LIMIT_PER_MINUTE=str(USER_LIMIT)) as port:
        hammered(plan(port, users, seconds=1, rate=USERS))  # a request of each: logins are cached
        for _ in range(scale.of(3, 1)):
            runs.append(hammered(plan(port, users, seconds=seconds, rate=RATE)))
            admitted(system, users)
    stored = sum(system.states([one.account for one in users]).values())
    accepted = len(users) + sum(one.statuses[202] for one in runs)
    pause(system, users)
    asked = f"{RATE}/s from {USERS} users for {seconds} s, runs: "
    late = median([percentile(one.late, 0.95) for one in runs]) * 1000
    return [
        Figure(PART, "answers that were no 202", sum(map(refused_of, runs)), "", shown(runs), 0),
        Figure(PART, "accepted without a row", accepted - stored, "", f"of {accepted}", 0),
        *spread("send", asked, runs),
        Figure(PART, "the generator itself late, p95", late, "ms"),
    ]


def spread(name: str, asked: str, runs: list[Outcome]) -> list[Figure]:
    """Medians of the runs."""
    found = []
    for share, limit in ((0.5, None), (0.95, LIMIT_MS), (0.99, None)):
        values = [percentile(one.took, share) * 1000 for one in runs]
        told = asked + ", ".join(f"{value:.0f}" for value in values)
        title = f"{name}, p{share * 100:.0f}"
        found.append(Figure(PART, title, median(values), "ms", told, limit))
    return found


# As many as it takes


def saturation(system: BenchSystem, scale: Scale) -> list[Figure]:
    """Ours with the workers beside it, ours alone, and the reference take turns."""
    users = senders(system, USERS, HELD_RATE)
    system.sql(bare_api.CREATE)
    ours_port = int(system.environment["PORT"])
    worker = system.processes()["worker-messages"]
    levels, seconds = scale.of(len(LEVELS), 2), scale.of(4, 2)
    found: dict[str, list[float]] = {}
    wrong = 0
    with web(system, "bench.bare_api") as bare_port:
        ways: dict[str, tuple[int, str, Callable[[], AbstractContextManager[None]]]] = {
            "ours": (ours_port, PATH, nullcontext),
            "alone": (ours_port, PATH, partial(system.frozen, worker)),
            "bare": (bare_port, bare_api.PATH, nullcontext),
        }
        # Statements, pools and clients of each process are warm before the first run counts.
        for port, path, _ in ways.values():
            hammered(plan(port, users, seconds=seconds, callers=LEVELS[-1], path=path))
        for _ in range(scale.of(3, 1)):
            for name, (port, path, held) in ways.items():
                with held():
                    runs = [
                        hammered(plan(port, users, seconds=seconds, callers=callers, path=path))
                        for callers in LEVELS[:levels]
                    ]
                wrong += sum(map(refused_of, runs))
                found.setdefault(name, []).append(max(map(per_second, runs)))
                admitted(system, users)
    pause(system, users)
    rates = {name: median(values) for name, values in found.items()}
    told = f"closed loop, the best of {', '.join(map(str, LEVELS[:levels]))} callers"
    return [
        Figure(PART, "at most, the worker admitting beside it", rates["ours"], "/s", told),
        Figure(PART, "at most, the worker held", rates["alone"], "/s", "the requests alone"),
        Figure(PART, "a bare Flask route with one INSERT", rates["bare"], "/s", told),
        Figure(PART, "of the bare route", rates["ours"] / rates["bare"], "x"),
        Figure(PART, "of the bare route, the worker held", rates["alone"] / rates["bare"], "x"),
        Figure(PART, "answers that were no 202, saturated", wrong, "", "", 0),
    ]


def per_second(run: Outcome) -> float:
    return run.statuses[202] / run.seconds


def refused_of(run: Outcome) -> int:
    return refused(run.statuses, 202)


def shown(runs: list[Outcome]) -> str:
    return "; ".join(
        ", ".join(f"{status}: {count}" for status, count in sorted(run.statuses.items()))
        for run in runs
    )


# Users, processes and the generator


def senders(system: BenchSystem, count: int, rate: float) -> list[Sender]:
    """So many new users, each an owner with one account and one fan."""
    rows = system.sql(
        "INSERT INTO users (id, owner_id, email, password_hash, role)"
        " SELECT n, n, 'sender' || n || '@bench.example', '-', 'owner' FROM"
        " (SELECT nextval(pg_get_serial_sequence('users', 'id')) n FROM generate_series(1, %s)) s"
        " RETURNING id",
        count,
    )
    owners = [int(row["id"]) for row in rows]
    accounts = system.accounts(count, rate)
    system.sql(
        "WITH theirs AS (SELECT unnest(%s::bigint[]) AS owner, unnest(%s::bigint[]) AS account),"
        " moved AS (UPDATE fans SET user_id = owner FROM theirs WHERE connection_id = account)"
        " UPDATE platform_connections SET user_id = owner FROM theirs WHERE id = account",
        *(owners, [one.id for one in accounts]),
    )
    now = datetime.now(UTC)
    users = [User(UserId(one), OwnerId(one), "", Role.OWNER, "UTC", now) for one in owners]
    return [
        Sender(user, account, system.services.tokens.issue(user, now).text)
        for user, account in zip(users, accounts, strict=True)
    ]


def plan(
    port: int,
    users: list[Sender],
    *,
    seconds: float,
    rate: float | None = None,
    callers: int = 1,
    path: str = PATH,
) -> Plan:
    tokens, bodies = [one.token for one in users], [one.body for one in users]
    return Plan(port, path, tokens, bodies, seconds, rate, callers)


def hammered(asked: Plan) -> Outcome:
    """What came of a plan, carried out by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.hammer"],
        cwd=CHECKOUT,
        input=json.dumps(asdict(asked)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return outcome(json.loads(done.stdout))


def outcome(told: dict[str, object]) -> Outcome:
    """JSON names are texts; statuses are numbers."""
    found = Outcome(**told)  # type: ignore[arg-type]  # as the generator wrote it
    counts = {int(status): count for status, count in found.statuses.items()}
    found.statuses.clear()
    found.statuses.update(counts)
    return found


@contextmanager
def web(system: BenchSystem, module: str, **given: str) -> Iterator[int]:
    """A web process beside the system, in gunicorn as ours is; gives its port."""
    [port] = free_ports(1)
    gunicorn = Path(sys.executable).with_name("gunicorn")
    process = system.start_child(
        f"web-{module}",
        f'cd "{CHECKOUT}" && exec "{gunicorn}" --config python:api.gunicorn_conf'
        f' "{module}:create_app()"',
        **{**system.environment, "PORT": str(port), **given},
    )

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{module} ended: {system.log(f'web-{module}').read_text()}")
        try:
            system.web.get(f"http://127.0.0.1:{port}/")
        except httpx2.TransportError:
            return False
        return True

    try:
        eventually(answers, f"{module} to answer")
        yield port
    finally:
        process.terminate()
        process.wait()


def admitted(system: BenchSystem, users: list[Sender]) -> None:
    """Wait until the worker has seen what was accepted."""
    accounts = [one.account.id for one in users]
    eventually(lambda: not waiting(system, accounts), "a worker that has admitted all", 0.2)


def waiting(system: BenchSystem, accounts: list[int]) -> int:
    [row] = system.sql(
        "SELECT count(*) AS n FROM messages WHERE connection_id = ANY(%s)"
        " AND state = 'queued' AND admitted_at IS NULL",
        accounts,
    )
    return int(row["n"])


def pause(system: BenchSystem, users: list[Sender]) -> None:
    """What waits still stays where it is: the parts after this one have the machine."""
    for one in users:
        caller = Caller(one.user.id, one.user.owner_id, Role.OWNER)
        system.services.connections.pause(caller, ConnectionId(one.account.id))
