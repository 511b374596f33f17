"""Killing processes and emptying Redis while messages flow: nothing lost, nothing sent twice."""

import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from running import CHECKOUT, eventually
from system import ACCEPTED, Account, System, over_limit

pytestmark = pytest.mark.fault

PROCESSES = ["web", "pacer", "worker-messages", "redis", "postgres", "aws"]
# Those of the Procfile that run for good.
PROCFILE = {line.partition(":")[0] for line in (CHECKOUT / "Procfile").read_text().splitlines()} - {
    "release"
}
# How long a deployment waits for a process, by its template.
STOP_SECONDS = int(
    re.findall(r"StopTimeout: (\d+)", (CHECKOUT / "deploy/huntaze.yaml").read_text())[0]
)
DISTURBANCES = 10
MESSAGES = 300


def kill(system: System, name: str) -> None:
    system.kill(name)


def empty_redis(system: System, _name: str) -> None:
    with closing(system.redis()) as client:
        client.flushall()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("disturb", [kill, empty_redis])
def test_three_hundred_messages_survive_ten_disturbances(
    fragile: System,
    disturb: Callable[[System, str], None],
    request: pytest.FixtureRequest,
) -> None:
    dice = random.Random(request.config.getoption("randomly_seed", 0))
    victims = [*PROCESSES, *dice.choices(PROCESSES, k=DISTURBANCES - len(PROCESSES))]
    dice.shuffle(victims)
    print("in this order:", victims)
    accounts = demo_accounts(fragile)
    fragile.login()  # Before anything is disturbed: a login is not asked for patiently.
    texts = [f"{disturb.__name__} {number}" for number in range(MESSAGES)]

    def send(number: int) -> str:
        account = accounts[number % len(accounts)]
        return fragile.send_patiently(dice.choice(account.fans), texts[number])

    with ThreadPoolExecutor(4) as clients:
        sending = [clients.submit(send, number) for number in range(MESSAGES)]
        for name in victims:
            time.sleep(dice.uniform(0.1, 1.5))
            disturb(fragile, name)
        ids = [one.result() for one in sending]
    settled(fragile, ids, *ACCEPTED, "failed")
    retry_unavailable(fragile, ids)
    settled(fragile, ids, *ACCEPTED)

    received = [one for one in fragile.received() if one["text"] in set(texts)]
    assert sorted(one["text"] for one in received) == sorted(texts)
    assert fragile.audit()[0] == "0 lost, 0 double, 0 over-limit"
    for account in accounts:
        mine = [one["receivedMs"] for one in received if one["account"] == account.account_id]
        assert over_limit(mine) == 0


@pytest.mark.sqs
@pytest.mark.timeout(600)
def test_a_rolling_restart_under_load_loses_and_doubles_nothing(fragile: System) -> None:
    fragile.login()
    accounts = [fragile.account(fans=20) for _ in range(3)]
    texts = [f"Rolled {number}" for number in range(MESSAGES)]

    def send(number: int) -> str:
        account = accounts[number % len(accounts)]
        return fragile.send_patiently(account.fans[number % len(account.fans)], texts[number])

    ours = [name for name in fragile.processes() if name in PROCFILE]
    assert set(ours) == PROCFILE
    with ThreadPoolExecutor(4) as clients:
        sending = [clients.submit(send, number) for number in range(MESSAGES)]
        took = {name: fragile.end(name) for name in ours}
        ids = [one.result() for one in sending]
    settled(fragile, ids, *ACCEPTED, "failed")
    retry_unavailable(fragile, ids)
    settled(fragile, ids, *ACCEPTED)

    received = [one["text"] for one in fragile.received()]
    assert sorted(one for one in received if one in set(texts)) == sorted(texts)
    assert fragile.audit()[0] == "0 lost, 0 double, 0 over-limit"
    # Each ended by itself and in time, with what was in its hands written down.
    assert [name for name, seconds in took.items() if seconds > STOP_SECONDS] == []
    ends = re.findall(r"^(\S+)\s+\| .*ended with (\d+)", fragile.log.read_text(), re.MULTILINE)
    assert {name: code for name, code in ends if name in PROCFILE} == dict.fromkeys(PROCFILE, "0")


def demo_accounts(system: System) -> list[Account]:
    rows = system.sql(
        "SELECT c.id, c.account_id, array_agg('fan_' || f.id) AS fans,"
        " array_agg(f.platform_user_id) AS chats"
        " FROM platform_connections c JOIN fans f ON f.connection_id = c.id"
        " GROUP BY c.id ORDER BY c.id LIMIT 3"
    )
    return [Account(**row) for row in rows]


def settled(system: System, ids: list[str], *states: str) -> None:
    """Wait until each of these messages is in one of the states."""

    def found() -> dict[str, int]:
        rows = system.sql(
            "SELECT state, count(*) AS n FROM messages WHERE public_id = ANY(%s::uuid[])"
            " GROUP BY state",
            ids,
        )
        return {row["state"]: row["n"] for row in rows}

    eventually(
        lambda: sum(found().get(state, 0) for state in states) == len(ids),
        f"every message to be {' or '.join(states)}",
        found,
    )


def retry_unavailable(system: System, ids: list[str]) -> None:
    """One click for each that the queue's absence failed; nothing else may have failed."""
    failed = system.sql(
        "SELECT public_id, error_code FROM messages WHERE state = 'failed'"
        " AND public_id = ANY(%s::uuid[])",
        ids,
    )
    assert {row["error_code"] for row in failed} <= {"queue_unavailable"}
    for row in failed:
        answer = system.api("POST", f"/api/onlyfans/messages/{row['public_id']}/retry")
        assert answer.status_code == 200, answer.text
