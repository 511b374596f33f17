"""Campaigns through the running product: each recipient once, whatever is paused, killed or told
three times."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from running import eventually
from system import ACCEPTED, Account, System, over_limit

PATH = "/api/messages/bulk"
KILLED = ("worker-campaigns", "worker-messages", "pacer", "worker-metrics")
CYCLES = 20


def launch(system: System, account: Account, text: str, **more: Any) -> dict[str, Any]:
    body = {"recipientIds": list(account.fans), "content": text, "campaignName": "Sale"}
    answer = system.api("POST", PATH, body, key=more.get("key", ""))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def seen(system: System, campaign: dict[str, Any]) -> dict[str, Any]:
    answer = system.api("GET", campaign["statusUrl"])
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def become(system: System, campaign: dict[str, Any], status: str) -> Any:
    return system.api("PUT", f"{campaign['statusUrl']}/status", {"status": status})


def ended(system: System, campaign: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = seen(system, campaign)
        return found if found["status"] == status else None

    return eventually(look, f"a campaign that is {status}", lambda: seen(system, campaign))


def rows(system: System, campaign: dict[str, Any]) -> dict[str, int]:
    """Its messages by state, as PostgreSQL tells."""
    found = system.sql(
        "SELECT m.state, count(*) AS n FROM messages m JOIN campaigns k ON k.id = m.campaign_id"
        " WHERE k.public_id = %s GROUP BY m.state",
        campaign["campaignId"],
    )
    return {row["state"]: row["n"] for row in found}


@pytest.mark.sqs
def test_each_recipient_gets_its_text_once_and_the_numbers_are_those_of_the_rows(
    system: System,
) -> None:
    account = system.account(fans=40, rate=600)
    campaign = launch(system, account, "Hi {name}, on us")
    assert campaign["totalRecipients"] == 40

    done = ended(system, campaign)

    received = system.received(account)
    assert sorted(one["chat"] for one in received) == sorted(account.chats)
    assert {one["text"] for one in received} == {"Hi Fan, on us"}
    assert over_limit([one["receivedMs"] for one in received]) == 0
    assert done["progress"]["sent"] == 40
    assert sum(rows(system, campaign).values()) == 40

    def stored() -> bool:
        [row] = system.sql(
            "SELECT metrics FROM campaigns WHERE public_id = %s", campaign["campaignId"]
        )
        states = rows(system, campaign)
        return bool(
            row["metrics"]["sent"] == 40
            and row["metrics"]["delivered"] == states.get("delivered", 0)
        )

    eventually(stored, "the metrics that the rows say")


def test_a_reply_overtakes_a_running_campaign_and_the_campaign_says_so(system: System) -> None:
    account = system.account(fans=30, rate=300)
    campaign = launch(system, account, "Sale")
    eventually(lambda: system.received(account), "the first message")

    reply = system.until(system.send(account.fans[0], "A reply"), "sent")

    assert reply["status"] in ACCEPTED
    ended(system, campaign)
    texts = system.texts(account)
    assert texts.count("Sale") == 30
    # Of those that waited when it came, only permits already out went before it.
    assert texts.index("A reply") < 25
    [late] = system.sql(
        "SELECT count(*) AS n FROM messages m JOIN campaigns k ON k.id = m.campaign_id"
        " WHERE k.public_id = %s AND m.delay = 'overtaken'",
        campaign["campaignId"],
    )
    assert late["n"] > 0


def test_told_three_times_and_asked_twice_it_is_one_campaign(system: System) -> None:
    account, key = system.account(fans=20, rate=600), uuid4().hex
    campaign = launch(system, account, "Once", key=key)
    again = launch(system, account, "Once", key=key)
    assert again["campaignId"] == campaign["campaignId"]
    [row] = system.sql("SELECT id FROM campaigns WHERE public_id = %s", campaign["campaignId"])
    client = system.sqs()
    url = client.get_queue_url(QueueName="huntaze-campaigns")["QueueUrl"]
    payload = {"v": 1, "campaignId": row["id"]}
    for _ in range(3):
        client.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(
                {
                    "body": json.dumps([[payload], {}, {}]),
                    "headers": {"task": "fan_out_campaign", "id": uuid4().hex},
                }
            ),
        )
    client.close()

    ended(system, campaign)

    assert sorted(one["chat"] for one in system.received(account)) == sorted(account.chats)


def test_cancelled_half_way_nothing_more_begins(system: System) -> None:
    account = system.account(fans=40, rate=300)
    campaign = launch(system, account, "Half")
    eventually(lambda: len(system.received(account)) >= 3, "a few messages")

    answer = become(system, campaign, "cancelled")

    assert answer.status_code == 200, answer.text
    assert "queued" not in rows(system, campaign)
    eventually(
        lambda: not {"sending", "unknown"} & rows(system, campaign).keys(), "those in the air"
    )
    settled = rows(system, campaign)
    assert len(system.received(account)) == 40 - settled["cancelled"]
    assert become(system, campaign, "active").status_code == 409


def test_a_dead_login_pauses_the_account_and_loses_nothing(system: System) -> None:
    account = system.account(fans=10, rate=600)
    system.fault("dead_session", account, times=1)
    campaign = launch(system, account, "Later")

    def paused() -> bool:
        [row] = system.sql("SELECT state FROM platform_connections WHERE id = %s", account.id)
        return bool(row["state"] == "paused_auth")

    eventually(paused, "the paused account")
    assert seen(system, campaign)["status"] == "active"
    answer = system.api("POST", f"/api/connections/{account.id}/resume")
    assert answer.status_code == 200, answer.text
    ended(system, campaign)
    assert sorted(one["chat"] for one in system.received(account)) == sorted(account.chats)


@pytest.mark.fault
def test_twenty_pauses_and_kills_leave_each_recipient_exactly_once(
    fragile: System, request: pytest.FixtureRequest
) -> None:
    dice = random.Random(request.config.getoption("randomly_seed", 0))
    account = fragile.account(fans=100, rate=300)
    campaign = launch(fragile, account, "Through all of it")

    def kill_some() -> None:
        for name in dice.choices(KILLED, k=6):
            time.sleep(dice.uniform(0.1, 1.0))
            fragile.kill(name)

    with ThreadPoolExecutor(1) as killer:
        killing = killer.submit(kill_some)
        for _ in range(CYCLES):
            for status in ("paused", "active"):
                time.sleep(dice.uniform(0.05, 0.4))
                answer = become(fragile, campaign, status)
                assert answer.status_code in {200, 409}, answer.text
        killing.result()
    ended(fragile, campaign)

    received = fragile.received(account)
    assert sorted(one["chat"] for one in received) == sorted(account.chats)
    assert fragile.audit()[0] == "0 lost, 0 double, 0 over-limit"


def test_a_cap_holds_a_campaign_and_lets_it_go_on(system: System) -> None:
    account = system.account(fans=8, rate=600)
    limits = {"campaignLimits": {"perHour": 5}}
    path = f"/api/connections/{account.id}"
    assert system.api("PUT", path, limits).status_code == 200
    campaign = launch(system, account, "Hi")

    def held() -> bool:
        found = seen(system, campaign)
        return bool(found["holds"]) and found["progress"]["sent"] == 5

    eventually(held, "a campaign that its account's cap holds", lambda: seen(system, campaign))
    assert [one["reason"] for one in seen(system, campaign)["holds"]] == ["hour_cap"]
    # Whatever would be overdue meanwhile is left where it is.
    system.sql(
        "UPDATE messages SET wake_after = now() WHERE state = 'queued' AND connection_id = %s",
        account.id,
    )
    time.sleep(2)
    assert len(system.received(account)) == 5

    # An hour later.
    system.sql(
        "UPDATE message_attempts SET slot_at = slot_at - interval '1 hour'"
        " WHERE connection_id = %s",
        account.id,
    )
    system.sql(
        "UPDATE platform_connections SET bulk_held_until = now() WHERE id = %s",
        account.id,
    )
    ended(system, campaign)

    received = system.received(account)
    assert sorted(one["chat"] for one in received) == sorted(account.chats)
    assert over_limit([one["receivedMs"] for one in received]) == 0
