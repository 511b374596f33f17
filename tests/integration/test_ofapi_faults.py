"""The adapter against a network that fails: what it concludes, and that it always comes back."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import sleep

import pytest
from pydantic import SecretStr

from domain.messages import Outcome
from domain.ports import PlatformUnavailable, SendRequest
from infra.local.simulator import Simulator
from infra.platform.ofapi import OfapiPlatform

SHORT, LONG = timedelta(seconds=0.5), timedelta(seconds=20)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"data":{"id":7}}'


def a_request(send_key: str = "key-1", text: str = "Hello", key: str | None = "secret"):
    return SendRequest("acct_1", key, "42", text, None, (), send_key)


@contextmanager
def adapter(url: str, key: str = "", max_connections: int = 8) -> Iterator[OfapiPlatform]:
    platform = OfapiPlatform(url, SecretStr(key), max_connections)
    yield platform
    platform.close()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def platform(simulator: Simulator) -> Iterator[OfapiPlatform]:
    with adapter(simulator.api_url) as platform:
        yield platform


@contextmanager
def server(*scripts: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that treats its first connection by the first script, and so on, then is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            for script in scripts:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    script(connection)

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        thread.join()


def answer_with(raw: bytes, times: int = 1) -> Callable[[socket.socket], None]:
    """Read a whole request, then answer; so many times on one connection."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as incoming:
            for _ in range(times):
                headers = b"".join(iter(incoming.readline, b"\r\n"))
                length = re.search(rb"(?i)content-length: (\d+)", headers)
                incoming.read(int(length[1]) if length else 0)
                connection.sendall(raw)

    return script


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_drip_is_cut_at_the_deadline_though_every_byte_comes_in_time(simulator, platform, part):
    fault = simulator.state.faults.add({"kind": "drip_after", "every": 0.05, "dripFrom": part})

    answer = platform.send(a_request(), SHORT)

    assert answer.outcome is Outcome.UNCLEAR
    assert 0 < fault.dripped < 100  # of several hundred
    assert len(simulator.state.ledger.deliveries()) == 1


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_dripping_list_is_no_list(simulator, platform, part):
    fault = simulator.state.faults.add(
        {"kind": "drip_after", "every": 0.05, "dripFrom": part, "on": "read"}
    )

    with pytest.raises(PlatformUnavailable):
        platform.recent_messages("acct_1", None, "42", newer_than=LONG_AGO, deadline=SHORT)

    assert fault.dripped < 100


def test_a_flood_of_interim_answers_is_cut_at_the_deadline():
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with server(flood) as url, adapter(url) as platform:
        assert platform.send(a_request(), SHORT).outcome is Outcome.UNCLEAR


def test_a_server_that_reads_nothing_is_left_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        with adapter(url) as platform:
            answer = platform.send(a_request(text="x" * 20_000_000), SHORT)

    assert (answer.outcome, answer.error_code) == (Outcome.UNCLEAR, "write_timeout")


@pytest.mark.parametrize(("kind", "delivered"), [("hang_before", 0), ("hang_after", 1)])
def test_a_hang_ends_at_the_deadline_and_proves_nothing(simulator, platform, kind, delivered):
    simulator.state.faults.add({"kind": kind, "times": 1})

    answer = platform.send(a_request(), SHORT)

    assert (answer.outcome, answer.error_code) == (Outcome.UNCLEAR, "read_timeout")
    assert len(simulator.state.ledger.deliveries()) == delivered


def test_a_call_that_still_runs_at_the_gateway_is_in_progress(simulator, platform):
    simulator.state.faults.add({"kind": "hang_before", "times": 1})
    platform.send(a_request(), SHORT)

    assert platform.send(a_request(), LONG).outcome is Outcome.IN_PROGRESS


def test_a_port_nobody_listens_on_is_unreachable():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
        with adapter(f"http://127.0.0.1:{held.getsockname()[1]}/api") as platform:
            answer = platform.send(a_request(), LONG)

    assert (answer.outcome, answer.error_code) == (Outcome.UNREACHABLE, "connect_error")


def test_a_name_that_does_not_resolve_is_unreachable():
    with adapter("http://nowhere.invalid/api") as platform:
        assert platform.send(a_request(), SHORT).outcome is Outcome.UNREACHABLE


def test_a_name_server_that_never_answers_is_unreachable(monkeypatch):
    answered = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait() and [])

    with adapter("http://platform.example/api") as platform:
        answer = platform.send(a_request(), SHORT)
    answered.set()

    assert (answer.outcome, answer.error_code) == (Outcome.UNREACHABLE, "connect_timeout")


def test_a_dead_address_leaves_the_next_one_its_turn(simulator, monkeypatch):
    real = socket.getaddrinfo

    def two_addresses(host, *rest, **more):
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "platform.example" else [host]
        return [row for each in hosts for row in real(each, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    with adapter(simulator.api_url.replace("127.0.0.1", "platform.example")) as platform:
        assert platform.send(a_request(), LONG).outcome is Outcome.SENT


def test_a_url_without_a_scheme_is_unreachable():
    with adapter("app.example/api") as platform:
        assert platform.send(a_request(), SHORT).outcome is Outcome.UNREACHABLE


def test_a_tls_failure_is_unreachable(simulator):
    with adapter(simulator.api_url.replace("http:", "https:")) as platform:
        answer = platform.send(a_request(), LONG)

    assert answer.outcome is Outcome.UNREACHABLE
    assert list(simulator.state.ledger.deliveries()) == []


def test_a_tls_handshake_that_never_ends_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/api"
        with adapter(url) as platform:
            answer = platform.send(a_request(), SHORT)

    assert (answer.outcome, answer.error_code) == (Outcome.UNREACHABLE, "connect_timeout")


def test_a_reset_of_a_warm_connection_is_unclear_and_not_retried(simulator, platform):
    assert platform.send(a_request("key-1"), LONG).outcome is Outcome.SENT
    fault = simulator.state.faults.add({"kind": "drop_before"})

    answer = platform.send(a_request("key-2"), LONG)

    assert answer.outcome is Outcome.UNCLEAR
    assert fault.hits == 1


def test_messages_share_one_warm_connection():
    with server(answer_with(OK, times=3)) as url, adapter(url) as platform:
        outcomes = [platform.send(a_request(f"key-{n}"), LONG).outcome for n in range(3)]

    assert outcomes == [Outcome.SENT] * 3


def test_a_connection_closed_while_idle_is_replaced_before_anything_is_sent():
    with server(answer_with(OK), answer_with(OK)) as url, adapter(url) as platform:
        assert platform.send(a_request("key-1"), LONG).outcome is Outcome.SENT
        # The second connection is accepted once the first is closed; until the farewell has
        # arrived here a send could still go out on the old one.
        while any(not known.has_expired() for known in platform._http._pool.connections):
            sleep(0.01)
        assert platform.send(a_request("key-2"), LONG).outcome is Outcome.SENT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["closed", "cut", "redirect", "not http", "endless headers", "bad chunk"],
)
def test_an_answer_that_is_none_is_unclear(raw):
    with server(answer_with(raw)) as url, adapter(url) as platform:
        assert platform.send(a_request(), LONG).outcome is Outcome.UNCLEAR


def test_an_answer_beyond_a_mebibyte_is_not_read(simulator, platform):
    simulator.state.faults.add({"kind": "huge"})

    answer = platform.send(a_request(), LONG)

    assert (answer.outcome, answer.error_code) == (Outcome.UNCLEAR, "answer_too_large")


@pytest.mark.parametrize("key", ["two words", "line\r\nX-Evil: 1", "caf\u00e9", ""])
def test_an_unusable_key_is_not_sent_anywhere(simulator, platform, key):
    answer = platform.send(a_request(key=key), LONG)

    assert (answer.outcome, answer.error_code) == (Outcome.AUTH_LOST, "unusable_key")
    with pytest.raises(PlatformUnavailable):
        platform.recent_messages("acct_1", key, "42", newer_than=LONG_AGO, deadline=LONG)


def test_ids_cannot_leave_their_place_in_the_path(simulator, platform):
    request = SendRequest("a/../b?c#d", "k", "4/2", "Hello", None, (), "key-1")

    assert platform.send(request, LONG).outcome is Outcome.SENT
    [delivery] = simulator.state.ledger.deliveries()
    assert (delivery.account, delivery.chat) == ("a/../b?c#d", "4/2")


def test_calls_that_hang_do_not_hold_up_the_others(simulator):
    fault = simulator.state.faults.add({"kind": "hang_before", "account": "acct_bad"})
    outcomes = []

    with adapter(simulator.api_url, max_connections=4) as platform:

        def hang(send_key: str) -> None:
            request = SendRequest("acct_bad", "k", "1", "Hello", None, (), send_key)
            outcomes.append(platform.send(request, LONG).outcome)

        threads = [Thread(target=hang, args=(f"bad-{n}",)) for n in range(2)]
        for thread in threads:
            thread.start()
        while fault.hits < 2:
            sleep(0.01)
        good = [platform.send(a_request(f"key-{n}"), LONG).outcome for n in range(20)]
        still_hanging = [thread.is_alive() for thread in threads]
        simulator.state.faults.clear()
        for thread in threads:
            thread.join()

    assert good == [Outcome.SENT] * 20
    assert still_hanging == [True, True]
    assert outcomes == [Outcome.UNCLEAR] * 2


def test_a_long_chat_is_read_page_by_page_back_to_the_instant(simulator, platform):
    now = datetime.now(UTC).timestamp()
    for number in range(250):
        simulator.state.ledger.add_inbound("acct_1", "42", f"number {number}", now + number)

    everything = platform.recent_messages("acct_1", "k", "42", newer_than=LONG_AGO, deadline=LONG)
    newest = platform.recent_messages(
        "acct_1", "k", "42", newer_than=datetime.fromtimestamp(now + 248, UTC), deadline=LONG
    )

    assert [m.text for m in everything] == [f"number {n}" for n in reversed(range(250))]
    assert newest[0].text == "number 249"
    assert all(m.created_at > datetime.fromtimestamp(now + 248, UTC) for m in newest)


def test_a_chat_longer_than_ten_pages_is_not_taken_for_complete(simulator, platform):
    for number in range(1001):
        simulator.state.ledger.add_inbound("acct_1", "42", "hello", 1_700_000_000 + number)

    with pytest.raises(PlatformUnavailable):
        platform.recent_messages("acct_1", "k", "42", newer_than=LONG_AGO, deadline=LONG)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b'{"data": {}}',
        b'{"data": [{"id": 1}]}',
        b'{"data": [{"id": 1, "isSentByMe": true, "createdAt": "yesterday"}]}',
        b'{"data": [{"id": 1, "isSentByMe": true, "createdAt": "2026-01-01", "price": 0.001}]}',
        b'{"data": [{"id": 1, "isSentByMe": true, "createdAt": "2026-01-01", "price": true}]}',
        b'{"data": [null]}',
    ],
)
def test_a_list_that_cannot_be_read_is_no_list(body):
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    with (
        server(answer_with(raw)) as url,
        adapter(url, "k") as platform,
        pytest.raises(PlatformUnavailable),
    ):
        platform.recent_messages("acct_1", None, "42", newer_than=LONG_AGO, deadline=LONG)


def test_a_list_in_its_other_documented_shape_is_read_too():
    body = (
        b'{"data": {"list": [{"id": 9, "fromUser": {"id": 1}, "text": "<p>Hi</p>", "price": 6.97,'
        b' "media": [{"id": 1}], "createdAt": "2026-01-01T10:00:00+00:00"}], "hasMore": false}}'
    )
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    with server(answer_with(raw)) as url, adapter(url, "k") as platform:
        [message] = platform.recent_messages(
            "acct_1", None, "42", newer_than=LONG_AGO, deadline=LONG
        )

    assert (message.id, message.from_us, message.text) == ("9", True, "Hi")
    assert (message.price_cents, message.media_count) == (697, 1)


def test_a_list_whose_pages_go_round_in_circles_is_no_list():
    body = (
        b'{"data": [{"id": 9, "isSentByMe": true, "text": "", "createdAt": "2026-01-01T10:00:00Z"'
        b'}], "_pagination": {"next_page": "again"}}'
    )
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    with (
        server(answer_with(raw, times=2)) as url,
        adapter(url, "k") as platform,
        pytest.raises(PlatformUnavailable, match="do not lead on"),
    ):
        platform.recent_messages("acct_1", None, "42", newer_than=LONG_AGO, deadline=LONG)


def test_every_send_asks_the_gateway_to_refuse_banned_words_in_the_same_bytes():
    bodies: list[bytes] = []

    def keep(connection: socket.socket) -> None:
        with connection.makefile("rb") as incoming:
            headers = b"".join(iter(incoming.readline, b"\r\n"))
            length = re.search(rb"(?i)content-length: (\d+)", headers)
            bodies.append(incoming.read(int(length[1])))
            connection.sendall(OK)

    request = SendRequest("acct_1", "secret", "42", "Hi", 697, ("11", "ofapi_media_x"), "key-1")
    for _ in range(2):
        with server(keep) as url, adapter(url) as platform:
            assert platform.send(request, LONG).outcome is Outcome.SENT

    body = b'{"text":"Hi","blockBannedWords":"strict_ban","price":6.97,'
    assert bodies == [body + b'"mediaFiles":[11,"ofapi_media_x"]}'] * 2
