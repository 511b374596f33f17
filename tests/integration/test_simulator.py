"""The simulator as its users see it: over HTTP, and killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from infra.local.simulator import Simulator

PROGRAM = "from cli.simulator import simulator; simulator()"
SEND = "/api/acct_1/chats/42/messages"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    simulator.start()
    yield simulator
    simulator.stop()


def ask(port, method, path, content=None, *, key=None, bearer="Bearer any"):
    """Status, headers and the JSON (or text) of one call."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Authorization": bearer} | ({"Idempotency-Key": key} if key else {})
    body = None if content is None else json.dumps(content)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status, response.headers, json.loads(text) if is_json else text


def test_a_call_without_a_bearer_key_is_unauthorized(simulator):
    status, _, answer = ask(simulator.port, "POST", SEND, {"text": "Hello"}, bearer="")

    assert (status, answer["error"][:13]) == (401, "Unauthorized.")
    assert list(simulator.state.ledger.deliveries()) == []


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({}, ["text"]),
        ({"text": " "}, ["text"]),
        ({"text": 5}, ["text"]),
        ([], ["text"]),
        ({"text": "x", "price": 2, "mediaFiles": [1]}, ["price"]),
        ({"text": "x", "price": "5"}, ["price"]),
        ({"text": "x", "price": 5}, ["mediaFiles"]),
        ({"text": "x", "mediaFiles": 7}, ["mediaFiles"]),
    ],
)
def test_a_bad_message_is_refused_by_field(simulator, content, fields):
    status, _, answer = ask(simulator.port, "POST", SEND, content)

    assert (status, answer["error"], list(answer["errors"])) == (422, "VALIDATION_ERROR", fields)


def test_a_key_of_strange_characters_is_invalid(simulator):
    status, _, answer = ask(simulator.port, "POST", SEND, {"text": "Hello"}, key="x" * 256)

    assert (status, answer["error"]) == (400, "IDEMPOTENCY_KEY_INVALID")


def test_the_three_second_rule_holds_per_account(simulator):
    ask(simulator.port, "POST", "/_admin/settings", {"threeSecondRule": True})

    first = ask(simulator.port, "POST", SEND, {"text": "one"})
    second = ask(simulator.port, "POST", SEND, {"text": "two"})
    other = ask(simulator.port, "POST", SEND.replace("acct_1", "acct_2"), {"text": "three"})

    assert (first[0], second[0], other[0]) == (200, 429, 200)
    assert second[2]["error"] == "ONLYFANS_COM_RATE_LIMIT_ERROR"


def test_messages_are_listed_found_and_unsent(simulator):
    for text in ("one", "two", "three"):
        ask(simulator.port, "POST", SEND, {"text": text})

    _, _, page = ask(simulator.port, "GET", f"{SEND}?limit=2&order=desc")
    _, _, rest = ask(simulator.port, "GET", page["_pagination"]["next_page"])
    newest = page["data"][0]
    found = ask(simulator.port, "GET", f"{SEND}/{newest['id']}")
    unsent = ask(simulator.port, "DELETE", f"{SEND}/{newest['id']}")
    again = ask(simulator.port, "DELETE", f"{SEND}/{newest['id']}")

    assert [m["text"] for m in page["data"]] == ["<p>three</p>", "<p>two</p>"]
    assert [m["text"] for m in rest["data"]] == ["<p>one</p>"]
    assert rest["_pagination"]["next_page"] is None
    assert found[2]["data"] == newest
    assert (unsent[0], again[0]) == (200, 404)
    [chat] = ask(simulator.port, "GET", "/api/acct_1/chats")[2]["data"]
    assert chat["fan"]["id"] == 42
    [fan] = ask(simulator.port, "GET", "/api/acct_1/fans/active")[2]["data"]
    assert fan["id"] == 42


def test_a_fault_hits_as_often_as_asked_and_only_its_account(simulator):
    ask(
        simulator.port,
        "POST",
        "/_admin/faults",
        {"kind": "server_error", "account": "acct_1", "times": 2, "status": 520},
    )

    other = ask(simulator.port, "POST", SEND.replace("acct_1", "acct_2"), {"text": "x"})[0]
    mine = [ask(simulator.port, "POST", SEND, {"text": "x"})[0] for _ in range(3)]

    assert (other, mine) == (200, [520, 520, 200])
    [fault] = ask(simulator.port, "GET", "/_admin/faults")[2]
    assert (fault["kind"], fault["hits"]) == ("server_error", 2)
    assert ask(simulator.port, "DELETE", "/_admin/faults")[2] == []


@pytest.mark.parametrize(
    "content",
    [{"kind": "nonsense"}, {}, {"kind": "slow", "typo": 1}, {"kind": "slow", "seconds": "5"}],
)
def test_an_unknown_fault_is_refused(simulator, content):
    assert ask(simulator.port, "POST", "/_admin/faults", content)[0] == 422


def test_the_page_shows_what_arrived_and_runs_none_of_it(simulator):
    ask(simulator.port, "POST", SEND, {"text": "<script>alert(1)</script>"})

    status, headers, page = ask(simulator.port, "GET", "/")

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


def test_the_connecting_page_leads_back_only_to_this_machine(simulator):
    home = "http%3A%2F%2F127.0.0.1%3A1%2Freturn"
    status, _, page = ask(simulator.port, "GET", f"/connect?state=%3Cb%3E&return_to={home}")
    assert (status, "&lt;b&gt;" in page, "<b>" in page) == (200, True, False)
    for foreign in ("https%3A%2F%2Fexample.com", "javascript%3Aalert(1)", ""):
        status, _, _ = ask(simulator.port, "GET", f"/connect?state=1&return_to={foreign}")
        assert status == 422


def test_the_ledger_tells_arrival_key_and_replays(simulator):
    for _ in range(3):
        ask(simulator.port, "POST", SEND, {"text": "Hello"}, key="key-1")

    [entry] = ask(simulator.port, "GET", "/_admin/ledger?account=acct_1")[2]

    assert (entry["account"], entry["chat"], entry["text"]) == ("acct_1", "42", "Hello")
    assert (entry["key"], entry["replays"]) == ("key-1", 2)
    assert ask(simulator.port, "GET", "/_admin/ledger?account=acct_2")[2] == []


def test_a_killed_simulator_forgets_nothing_it_answered(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    process, port = launch(ledger)
    sent = [ask(port, "POST", SEND, {"text": f"n{n}"}, key=f"key-{n}")[2] for n in range(5)]
    ask(port, "POST", SEND, {"text": "n0"}, key="key-0")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with ledger.open("a") as file:
        file.write('{"message": {"id": 4')  # as a kill in the middle of a line leaves it

    process, port = launch(ledger)
    try:
        status, headers, again = ask(port, "POST", SEND, {"text": "n3"}, key="key-3")
        new = ask(port, "POST", SEND, {"text": "new"}, key="key-new")[2]
        entries = ask(port, "GET", "/_admin/ledger")[2]
    finally:
        process.kill()
        process.communicate()

    assert (status, headers["Idempotent-Replayed"], again) == (200, "true", sent[3])
    assert new["data"]["id"] > sent[4]["data"]["id"]
    assert [(e["text"], e["replays"]) for e in entries] == [
        ("n0", 1),
        ("n1", 0),
        ("n2", 0),
        ("n3", 1),
        ("n4", 0),
        ("new", 0),
    ]


def launch(ledger: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--ledger", str(ledger)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, int(line.split(":")[2].split("/")[0])
