"""Webhooks through every real part: the signed route, SQS, the worker, the rows."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import httpx2
from running import eventually
from system import Account, System


def tell(system: System, account: Account, event: str, payload: dict[str, Any]) -> None:
    body = json.dumps(
        {"event": event, "account_id": account.account_id, "payload": payload}
    ).encode()
    secret = system.environment["ONLYFANS_WEBHOOK_SECRET"].encode()
    answer = httpx2.post(
        f"{system.address}/api/webhooks/onlyfans",
        content=body,
        headers={"Signature": hmac.new(secret, body, hashlib.sha256).hexdigest()},
    )
    assert (answer.status_code, answer.json()) == (200, {"received": True})


def message(number: int, text: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"id": number, "text": f"<p>{text}</p>", "price": 0, "media": [], "createdAt": now}


def rows(system: System, account: Account) -> list[tuple[str, str | None, str]]:
    found = system.sql(
        "SELECT direction, state, text FROM messages WHERE connection_id = %s ORDER BY id",
        account.id,
    )
    return [(row["direction"], row["state"], row["text"]) for row in found]


def test_a_fans_message_arrives(system: System) -> None:
    account = system.account()
    who = {"id": 4711, "name": "New fan", "username": f"new{account.id}"}

    tell(system, account, "messages.received", message(1, "Hello!") | {"fromUser": who})

    eventually(lambda: rows(system, account) == [("in", None, "Hello!")], "the message")
    [fan] = system.sql("SELECT name FROM fans WHERE platform_user_id = '4711'")
    assert fan["name"] == "New fan"


def test_an_event_before_the_answer_to_its_send_ends_as_one_delivered_row(system: System) -> None:
    account = system.account()
    system.fault("hang_after", account)
    message_id = system.send(account.fans[0], "Only once")
    [got] = eventually(lambda: system.received(account), "the platform to accept it")

    to_user = {"toUser": {"id": int(account.chats[0])}}
    tell(system, account, "messages.sent", message(got["id"], "Only once") | to_user)

    assert system.message(message_id)["status"] in {"sending", "unknown"}
    system.until(message_id, "delivered")
    assert rows(system, account) == [("out", "delivered", "Only once")]
