"""A backlog on one account: its pace, its order, its promises, and nobody else's delay."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

from running import eventually
from system import PERMITS_OUT, System, most_displaced, over_limit


def test_two_hundred_messages_keep_the_pace_and_the_order_of_urgency(system: System) -> None:
    account, other = system.account(), system.account()
    texts = [f"Bulk {number}" for number in range(200)]

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda text: system.send(account.fans[0], text, priority=8), texts))
    system.send(account.fans[0], "Urgent", priority=1)
    system.send(other.fans[0], "Elsewhere")
    left = 200 - len(system.received(account))
    system.all_sent(201, account)
    system.all_sent(1, other)

    received = system.received(account, other)
    arrived = [one["text"] for one in received]
    urgent = arrived.index("Urgent")
    assert sorted(arrived) == sorted([*texts, "Urgent", "Elsewhere"])
    assert sum(text.startswith("Bulk") for text in arrived[urgent:]) >= left / 2
    assert (
        sum(text.startswith("Bulk") for text in arrived[arrived.index("Elsewhere") :]) >= left / 2
    )
    by_id = system.sql(
        "SELECT text FROM messages WHERE connection_id = %s AND priority = 8 ORDER BY id",
        account.id,
    )
    bulk = [text for text in arrived if text.startswith("Bulk")]
    assert most_displaced(bulk, [row["text"] for row in by_id]) < PERMITS_OUT
    calls = system.sql(
        "SELECT extract(epoch FROM started_at) * 1000 AS ms FROM message_attempts"
        " WHERE connection_id = %s AND started_at IS NOT NULL",
        account.id,
    )
    assert len(calls) == 201
    assert over_limit([float(row["ms"]) for row in calls]) == 0
    at_receiver = [one["receivedMs"] for one in received if one["account"] == account.account_id]
    assert over_limit(at_receiver) == 0


def test_fifty_concurrent_sends_are_promised_one_interval_apart_in_the_order_of_their_ids(
    system: System,
) -> None:
    account = system.account(rate=6)
    system.send(account.fans[0], "Opens the account's first slot")
    system.all_sent(1, account)

    with ThreadPoolExecutor(50) as clients:
        ids = list(
            clients.map(lambda number: system.send(account.fans[0], f"C {number}"), range(50))
        )
    rows = system.sql(
        "SELECT promised_at FROM messages WHERE connection_id = %s AND text LIKE 'C %%'"
        " ORDER BY id",
        account.id,
    )
    promised = [row["promised_at"] for row in rows]
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda one: system.api("POST", cancel_path(one)), ids))

    interval_us = 60_000_000 / 6 * 1.005
    steps = [later - earlier for earlier, later in pairwise(promised)]
    assert len(promised) == 50
    assert {round(step / timedelta(microseconds=interval_us), 4) for step in steps} == {1.0}
    states = system.states(account)
    assert states["cancelled"] + states["sent"] == 51
    assert len(system.texts(account)) == states["sent"]


def cancel_path(message_id: str) -> str:
    return f"/api/onlyfans/messages/{message_id}/cancel"


def test_fifty_concurrent_sends_leave_in_the_order_in_which_they_were_promised(
    system: System,
) -> None:
    """How near the promised time, `python -m bench click` measures: that depends on the machine."""
    account = system.account()

    with ThreadPoolExecutor(50) as clients:
        list(clients.map(lambda number: system.send(account.fans[0], f"P {number}"), range(50)))
    system.all_sent(50, account)

    rows = system.sql(
        "SELECT text, promised_at FROM messages"
        " WHERE connection_id = %s AND delay IS NULL ORDER BY promised_at",
        account.id,
    )
    assert len(rows) >= 45
    assert len({row["promised_at"] for row in rows}) == len(rows)
    texts = [row["text"] for row in rows]
    arrived = [text for text in system.texts(account) if text in texts]
    assert most_displaced(arrived, texts) < PERMITS_OUT


def test_a_cancelled_message_is_never_sent(system: System) -> None:
    account = system.account(rate=60)
    ids = [system.send(account.fans[0], f"Number {number}") for number in range(4)]

    answer = system.api("POST", cancel_path(ids[2]))

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    eventually(
        lambda: system.states(account) == {"sent": 3, "cancelled": 1},
        "the others",
        lambda: system.states(account),
    )
    assert system.texts(account) == ["Number 0", "Number 1", "Number 3"]
