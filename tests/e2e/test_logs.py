"""A whole run's lines: none quotes what people wrote or must stay secret, and each is one of ours."""

import json
import re
from typing import Any
from uuid import uuid4

import httpx2
from running import eventually
from system import System

# What a process writes, behind its name: the supervisor's own lines are for people.
LINE = re.compile(r"^(web|pacer|worker-\w+)\s+\| (\{.*)$")
KEYS = ["timestamp", "level", "service", "action", "messageId", "userId", "recipientId"]


def lines(system: System) -> list[dict[str, Any]]:
    text = system.log.read_text(encoding="utf-8", errors="replace")
    return [json.loads(found[2]) for one in text.splitlines() if (found := LINE.match(one))]


def test_nothing_that_people_wrote_or_keep_secret_is_in_a_line(system: System) -> None:
    planted = {name: f"planted-{name}-{uuid4().hex}" for name in ("text", "fan", "note", "cell")}
    account = system.account()
    message = system.send(account.fans[0], planted["text"])
    refused = system.send(account.fans[0], f"{planted['text']} again")
    system.api("POST", "/api/crm/fans", {"name": planted["fan"], "handle": planted["fan"][:40]})
    number = account.fans[0].removeprefix("fan_")
    system.api("PUT", f"/api/crm/fans/{number}", {"notes": planted["note"]})
    system.upload(f"Username,Email\n{planted['cell']},no address\n".encode())
    wrong = f"planted-password-{uuid4().hex}"
    login = {"email": "demo@huntaze.example", "password": wrong}
    httpx2.post(f"{system.address}/api/auth/login", json=login)
    made = system.api("POST", "/api/keys", {"name": "planted"}).json()
    httpx2.get(f"{system.address}/api/crm/fans?q={planted['fan']}")
    httpx2.post(f"{system.address}/api/webhooks/onlyfans", content=planted["text"].encode())
    eventually(
        lambda: (
            {system.message(one)["status"] for one in (message, refused)} <= {"sent", "delivered"}
        ),
        "both to be sent",
    )

    text = system.log.read_text(encoding="utf-8", errors="replace")
    environment = system.environment
    secrets = {
        *planted.values(),
        wrong,
        *(value for value in made.values() if isinstance(value, str) and len(value) > 30),
        *environment["JWT_SECRET"].split(","),
        *environment["ENCRYPTION_KEYS"].split(","),
        environment["ONLYFANS_API_KEY"],
        environment["ONLYFANS_WEBHOOK_SECRET"],
        system.login(),
    }
    assert len(secrets) >= 10
    assert [secret[:24] for secret in sorted(secrets) if secret in text] == []


def test_one_accepted_message_is_one_line_with_the_owners_eight_keys(system: System) -> None:
    account = system.account()
    message = system.send(account.fans[0], "Counted")
    [line] = [
        one
        for one in lines(system)
        if one.get("messageId") == message and one["action"] == "message_queued"
    ]
    kept = {name: line[name] for name in (*KEYS, "queueDepth")}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", kept["timestamp"])
    assert [type(kept[name]) for name in KEYS] == [str] * 7
    assert isinstance(kept["queueDepth"], int)
    assert kept["service"] == "onlyfans-rate-limiter"
    assert set(line) == set(kept)
    # From the request through the queue to the attempt, by one id.
    [request] = [
        one
        for one in lines(system)
        if one.get("messageId") == message and one["action"] == "http_request"
    ]
    named = request["correlationId"]
    eventually(
        lambda: any(
            one["action"] == "message_sent"
            and one.get("messageId") == message
            and one["correlationId"]
            for one in lines(system)
        ),
        "the line of its attempt",
    )
    tasks = [one for one in lines(system) if one.get("correlationId") == named]
    assert {"http_request", "task_finished"} <= {one["action"] for one in tasks}


def test_every_line_of_a_process_is_json(system: System) -> None:
    for _ in range(50):
        system.api("GET", "/api/onlyfans/messages/status")
    eventually(lambda: len(lines(system)) > 50, "fifty lines")
    told = lines(system)
    assert {
        name for one in told for name in ("timestamp", "level", "action") if name not in one
    } == set()
