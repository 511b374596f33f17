"""The simulated platform beyond sends: webhooks, what fans do, media, and what survives a kill."""

import hashlib
import hmac
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

import pytest
from test_simulator import SEND, ask, launch

from infra.local.simulator import Simulator

SECRET = "whsec-test"
FAN = {"account": "acct_1", "chat": "42"}


class Receiver:
    """A webhook endpoint that keeps what it got and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self._changed = Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._changed:
                    receiver.got.append((dict(self.headers), body))
                    status = receiver.statuses.pop(0) if receiver.statuses else 204
                    receiver._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"
        Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def wait_for(self, count: int) -> list[dict]:
        """The bodies of the first `count` deliveries."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= count, timeout=10), self.got
            return [json.loads(body) for _, body in self.got[:count]]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def simulator(receiver: Receiver) -> Iterator[Simulator]:
    simulator = Simulator(webhook_url=receiver.url, webhook_secret=SECRET)
    simulator.start()
    yield simulator
    simulator.stop()


def post(simulator: Simulator, path: str, content: object):
    status, _, answer = ask(simulator.port, "POST", path, content)
    assert status < 300, answer
    return answer


def events(bodies: list[dict]) -> Counter[str]:
    return Counter(body["event"] for body in bodies)


def settled(simulator: Simulator, event: str) -> dict:
    """The log's line of an event, when its delivery has ended."""
    for sent in simulator.state.webhooks._log:
        if sent.event == event:
            assert sent.over.wait(10)
            return sent.as_json()
    raise AssertionError(f"no {event}")


def test_a_fans_message_is_told_signed_with_a_key_and_in_the_captured_shape(simulator, receiver):
    post(simulator, "/_admin/inbound", {**FAN, "text": "Hi <b> é 🎉"})

    [body] = receiver.wait_for(1)
    headers, raw = receiver.got[0]
    assert headers["Signature"] == hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["X-OFAPI-Idempotency-Key"].startswith("evt_")
    assert headers["User-Agent"] == "OnlyFansAPI.com/Webhook-Client"
    assert (body["event"], body["account_id"]) == ("messages.received", "acct_1")
    assert body["payload"]["fromUser"]["id"] == 42
    assert body["payload"]["text"] == "<p>Hi &lt;b&gt; é 🎉</p>"
    assert body["payload"]["fanData"]["spending"]["total"] == 0


def test_an_accepted_message_is_told_and_a_replay_is_not(simulator, receiver):
    sent = [ask(simulator.port, "POST", SEND, {"text": "one"}, key="k")[2] for _ in range(2)]
    post(simulator, "/_admin/presence", {**FAN, "what": "typing"})

    first, second = receiver.wait_for(2)
    assert (first["event"], second["event"]) == ("messages.sent", "users.typing")
    assert first["payload"]["id"] == sent[0]["data"]["id"] == sent[1]["data"]["id"]
    assert first["payload"]["toUser"]["id"] == 42
    assert "fromUser" not in first["payload"]


def test_a_send_can_be_told_before_its_own_answer(simulator, receiver):
    post(simulator, "/_admin/settings", {"sentWebhook": "before"})

    ask(simulator.port, "POST", SEND, {"text": "one"})

    assert events(receiver.wait_for(1)) == {"messages.sent": 1}


def test_a_purchase_is_told_twice_and_paid_once(simulator, receiver):
    file = simulator.state.world.keep_media("acct_1", "photo", 9, is_vault=True).id
    post(simulator, SEND, {"text": "set", "price": 12, "mediaFiles": [int(file)]})

    bought = post(simulator, "/_admin/purchases", FAN)
    again = ask(simulator.port, "POST", "/_admin/purchases", FAN)[0]

    bodies = {body["event"]: body["payload"] for body in receiver.wait_for(3)}
    unlocked, money = bodies["messages.ppv.unlocked"], bodies["transactions.new"]
    assert again == 404
    assert (unlocked["user_id"], unlocked["user"]["id"]) == ("1", 42)
    assert unlocked["replacePairs"]["{AMOUNT}"] == "$12.00"
    assert unlocked["user"]["subscribedOn"] is False
    assert (money["id"], money["amount"], money["net_amount"]) == (bought["transaction"], 12, 9.6)
    assert (money["fan"]["id"], money["status"], len(money["created_at"])) == ("42", "loading", 19)


def test_a_refund_is_the_same_transaction_with_another_status(simulator, receiver):
    tip = post(simulator, "/_admin/tips", {**FAN, "amount": 8})
    change = {"account": "acct_1", "id": tip["transaction"], "status": "undo"}
    post(simulator, "/_admin/transactions", change)

    bodies = receiver.wait_for(3)
    told = [b["payload"] for b in bodies if b["event"] == "transactions.new"]
    assert events(bodies) == {"tips.received": 1, "transactions.new": 2}
    assert {one["id"] for one in told} == {tip["transaction"]}
    assert [one["status"] for one in told] == ["loading", "undo"]


def test_a_subscription_that_ran_out_shows_in_the_lists(simulator, receiver):
    post(simulator, "/_admin/subscriptions", {**FAN, "how": "new", "username": "alex1"})
    post(simulator, "/_admin/subscriptions", {**FAN, "how": "expired"})

    lists = {
        which: ask(simulator.port, "GET", f"/api/acct_1/fans/{which}")[2]["data"]
        for which in ("all", "active", "expired")
    }
    assert [len(lists[which]) for which in ("all", "active", "expired")] == [1, 0, 1]
    assert lists["expired"][0]["username"] == "alex1"
    assert events(receiver.wait_for(3)) == {
        "subscriptions.new": 1,
        "transactions.new": 1,
        "subscriptions.expired": 1,
    }


def test_an_ended_session_refuses_every_call_until_it_is_restored(simulator, receiver):
    post(simulator, "/_admin/sessions/end", {"account": "acct_1"})
    ended = ask(simulator.port, "POST", SEND, {"text": "x"})
    other = ask(simulator.port, "POST", SEND.replace("acct_1", "acct_2"), {"text": "x"})[0]
    post(simulator, "/_admin/sessions/restore", {"account": "acct_1"})

    assert (ended[0], ended[2]["error"], other) == (401, "ONLYFANS_SESSION_EXPIRED", 200)
    assert ask(simulator.port, "GET", "/api/acct_1/me")[0] == 200
    assert events(receiver.wait_for(3))["accounts.reconnected"] == 1


def test_a_deleted_message_leaves_the_chat_and_is_told(simulator, receiver):
    sent = post(simulator, SEND, {"text": "oops"})["data"]["id"]

    post(simulator, "/_admin/deleted", {"account": "acct_1", "id": str(sent)})

    bodies = receiver.wait_for(2)
    assert bodies[1]["payload"] == {"id": str(sent)}
    assert ask(simulator.port, "GET", SEND)[2]["data"] == []


def test_an_opened_message_shows_it_and_nobody_is_told(simulator, receiver):
    post(simulator, SEND, {"text": "hello"})

    post(simulator, "/_admin/opened", FAN)

    [message] = ask(simulator.port, "GET", SEND)[2]["data"]
    assert message["isOpened"] is True
    assert events(receiver.wait_for(1)) == {"messages.sent": 1}


def test_an_ephemeral_event_has_no_key(simulator, receiver):
    post(simulator, "/_admin/presence", {**FAN, "what": "online"})

    assert receiver.wait_for(1)[0]["payload"] == {"id": 42}
    assert "X-OFAPI-Idempotency-Key" not in receiver.got[0][0]


def test_a_failing_receiver_gets_three_tries_under_one_key(simulator, receiver):
    receiver.statuses = [500, 302, 503]
    post(simulator, "/_admin/webhooks", {"backoffSeconds": 0.01})

    post(simulator, "/_admin/inbound", {**FAN, "text": "hello"})

    receiver.wait_for(3)
    line = settled(simulator, "messages.received")
    assert (line["attempts"], line["statuses"]) == (3, [500, 302, 503])
    assert len({headers["X-OFAPI-Idempotency-Key"] for headers, _ in receiver.got}) == 1


def test_deliveries_go_wrong_as_asked(simulator, receiver):
    post(simulator, "/_admin/webhooks", {"drop": 1, "duplicate": 1, "badSignature": 1})
    for text in ("dropped", "badly signed", "well signed"):
        post(simulator, "/_admin/inbound", {**FAN, "text": text})

    bodies = receiver.wait_for(4)
    signatures = [headers["Signature"] for headers, _ in receiver.got]
    assert [body["payload"]["text"][3:-4] for body in bodies] == ["badly signed"] * 2 + [
        "well signed"
    ] * 2
    assert [one == "0" * 64 for one in signatures] == [True, True, False, False]
    assert settled(simulator, "messages.received")["status"] == "dropped"


def test_shuffled_deliveries_all_arrive(simulator, receiver):
    post(simulator, "/_admin/webhooks", {"shuffleSeconds": 0.3})
    for number in range(20):
        post(simulator, "/_admin/inbound", {**FAN, "text": f"n{number}"})

    texts = [body["payload"]["text"][3:-4] for body in receiver.wait_for(20)]

    assert sorted(texts) == sorted(f"n{number}" for number in range(20))
    assert texts != [f"n{number}" for number in range(20)]


@pytest.mark.parametrize("content", [{"typo": 1}, {"drop": "3"}, {"drop": -1}, {"url": 5}])
def test_an_unknown_rule_of_deliveries_is_refused(simulator, content):
    assert ask(simulator.port, "POST", "/_admin/webhooks", content)[0] == 422


def test_media_that_nobody_uploaded_is_refused_and_an_upload_goes_once(simulator):
    world = simulator.state.world
    once = world.keep_media("acct_1", "photo", 9, is_vault=False).id
    vault = int(world.keep_media("acct_1", "photo", 9, is_vault=True).id)

    def send(*files: object) -> int:
        return ask(simulator.port, "POST", SEND, {"text": "x", "mediaFiles": list(files)})[0]

    assert [send(5), send(once, 5), send(once, vault), send(once), send(vault)] == [
        422,
        422,
        200,
        422,
        200,
    ]


@pytest.mark.parametrize(
    ("strictness", "words"),
    [("strict_ban", ["meet", "paypal"]), ("risky", ["paypal"]), (None, None)],
)
def test_banned_words_are_listed_when_they_are_asked_for(simulator, strictness, words):
    content = {"text": "Let us MEET, paypal is fine", "blockBannedWords": strictness}

    status, _, answer = ask(simulator.port, "POST", SEND, content)

    assert (status, answer.get("bannedWords")) == (422 if words else 200, words)


@pytest.mark.parametrize(
    ("name", "status", "kind", "start"),
    [
        ("photo.jpg", 200, "image/jpeg", b"\xff\xd8\xff"),
        ("photo.png", 200, "image/png", b"\x89PNG"),
        ("clip.mp4", 200, "video/mp4", b"\x00\x00\x00"),
        ("song.mp3", 200, "audio/mpeg", b"\xff\xfb"),
        ("page.jpg", 200, "image/jpeg", b"<!doctype"),
        ("inside.jpg", 302, "application/json", b""),
        ("none.jpg", 404, "application/json", b"{"),
    ],
)
def test_files_are_served_good_and_hostile(simulator, name, status, kind, start):
    connection = HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    connection.request("GET", f"/files/{name}")
    response = connection.getresponse()
    content = response.read()
    connection.close()

    assert (response.status, response.headers["Content-Type"]) == (status, kind)
    assert content.startswith(start)


def test_a_killed_simulator_remembers_fans_money_media_and_sessions(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    process, port = launch(ledger)
    ask(port, "POST", "/_admin/subscriptions", {**FAN, "how": "new", "username": "alex1"})
    ask(port, "POST", "/_admin/inbound", {**FAN, "text": "hello"})
    ask(port, "POST", "/api/acct_1/chats/42/mark-as-read")
    ask(port, "POST", "/_admin/sessions/end", {"account": "acct_2"})
    process.send_signal(signal.SIGKILL)
    process.communicate()

    process, port = launch(ledger)
    try:
        [fan] = ask(port, "GET", "/api/acct_1/fans/active")[2]["data"]
        [chat] = ask(port, "GET", "/api/acct_1/chats")[2]["data"]
        money = ask(port, "GET", "/api/acct_1/transactions")[2]["data"]
        ended = ask(port, "GET", "/api/acct_2/me")[0]
    finally:
        process.kill()
        process.communicate()

    assert (fan["username"], chat["unreadMessagesCount"], ended) == ("alex1", 0, 401)
    assert ([one["amount"] for one in money["list"]], money["hasMore"]) == ([9.99], False)


def test_the_demo_platform_knows_the_demo_fans_also_those_to_be_linked():
    simulator = Simulator(has_demo=True)
    simulator.start()
    try:
        found = ask(simulator.port, "GET", "/api/acct_luna/fans/all?limit=50")[2]
        counts = {a: len(simulator.state.world.fans(f"acct_{a}")) for a in ("luna", "mila", "nova")}
        unlinked = [
            f.username for f in simulator.state.world.fans("acct_luna") if int(f.id) > 500_360
        ]
    finally:
        simulator.stop()

    assert counts == {"luna": 122, "mila": 122, "nova": 122}
    assert (len(found["data"]), bool(found["_pagination"]["next_page"])) == (20, True)
    assert len(unlinked) == 2


def test_fans_write_back_when_they_are_told_to(simulator, receiver):
    began = time.monotonic()
    simulator.state.fans_answer = True
    simulator.state.dice.random = lambda: 0.0
    simulator.state.dice.uniform = lambda _a, _b: 0.05

    post(simulator, SEND, {"text": "hello"})

    assert events(receiver.wait_for(2)) == {"messages.sent": 1, "messages.received": 1}
    assert time.monotonic() - began < 5
