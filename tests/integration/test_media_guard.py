"""The guard against addresses and hosts that mean harm: what it refuses, and that it comes back."""

import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.media import MediaFault, MediaHosts, MediaRefused, MediaUnavailable
from infra.media.guard import MediaGuard, is_public

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100
KIB = 1024
Script = Callable[[socket.socket], None]


@contextmanager
def host(script: bytes | Script) -> Iterator[tuple[str, list[bytes]]]:
    """An origin whose every answer is `script`, and the requests it got."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                got = b""
                while b"\r\n\r\n" not in got and (part := connection.recv(65536)):
                    got += part
                requests.append(got)
                if callable(script):
                    script(connection)
                else:
                    connection.sendall(script)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    Thread(target=answer, args=(connection,), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests


def http(
    body: bytes = PNG, content_type: str = "image/png", status: str = "200 OK", **headers: object
) -> bytes:
    lines = {"Content-Type": content_type, "Content-Length": len(body)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def guard(*entries: str, max_bytes: int = 64 * KIB, seconds: float = 5, **more) -> MediaGuard:
    return MediaGuard(
        MediaHosts.parse(entries),
        max_bytes=max_bytes,
        deadline=timedelta(seconds=seconds),
        **more,
    )


def fault_of(origin: str, **limits) -> MediaFault:
    with pytest.raises(MediaRefused) as refusal, guard(origin, **limits).fetch(f"{origin}/a.png"):
        pass
    return refusal.value.fault


def unavailable(origin: str, **limits) -> str:
    fetching = guard(origin, **limits).fetch(f"{origin}/a.png?signature=secret")
    with pytest.raises(MediaUnavailable) as failure, fetching:
        pass
    return str(failure.value)


def test_a_good_file_comes_whole_with_its_kind_size_and_hash() -> None:
    body = PNG + b"\x01" * 40_000
    with host(http(body)) as (origin, requests):
        with guard(origin).fetch(f"{origin}/a%20b/ä.png?X-Amz-Signature=s%2F1#part") as fetched:
            assert fetched.file.read() == body
        digest = hashlib.sha256(body).hexdigest()

    assert (fetched.kind, fetched.size, fetched.content_hash) == ("image", len(body), digest)
    assert fetched.name == f"{digest[:16]}.png"
    assert fetched.file.closed
    [request] = requests
    line, *headers = request.decode().split("\r\n")
    assert line == "GET /a%20b/%C3%A4.png?X-Amz-Signature=s%2F1 HTTP/1.1"
    names = {header.partition(":")[0] for header in headers if header}
    assert names == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}
    assert "Accept-Encoding: identity" in headers


def test_the_environments_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with host(http()) as (origin, _), guard(origin).fetch(f"{origin}/a.png") as fetched:
        assert fetched.size == len(PNG)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "not an address",
    ],
)
def test_no_address_but_a_public_one_is_connected_to(address: str) -> None:
    assert not is_public(address)
    asked: list[str] = []

    def resolve(name: str, port: int, seconds: float) -> list[str]:
        asked.append(f"{name}:{port}")
        return ["8.8.8.8", address]

    fetching = guard("*.amazonaws.com", resolve=resolve).fetch("https://b.s3.amazonaws.com/a.png")
    with pytest.raises(MediaRefused) as refusal, fetching:
        pass

    assert refusal.value.fault is MediaFault.ADDRESS
    assert asked == ["b.s3.amazonaws.com:443"]


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "52.216.0.1",
        "2600:1fa0::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


def test_the_name_is_resolved_once_and_only_what_was_checked_is_connected_to() -> None:
    asked: list[str] = []

    def resolve(name: str, _port: int, _seconds: float) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with host(http()) as (origin, requests):
        named = origin.replace("127.0.0.1", "media.invalid")
        with guard(named, resolve=resolve).fetch(f"{named}/a.png") as fetched:
            assert fetched.size == len(PNG)

    assert asked == ["media.invalid"]
    assert b"\r\nHost: media.invalid:" in requests[0]


def test_a_foreign_host_is_refused_before_anything_is_resolved() -> None:
    def resolve(*_: object) -> list[str]:
        raise AssertionError("resolved")

    for url in (
        "http://s3.amazonaws.com/a.png",
        "https://a.example/a.png",
        "https://s3.amazonaws.com:8443/a.png",
        "https://u:p@s3.amazonaws.com/a.png",
        "https://127.0.0.1/a.png",
        "file:///etc/passwd",
        "ftp://s3.amazonaws.com/a.png",
    ):
        fetching = guard("s3.amazonaws.com", resolve=resolve).fetch(url)
        with pytest.raises(MediaRefused) as refusal, fetching:
            pass
        assert refusal.value.fault is MediaFault.HOST


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 P"])
def test_no_redirect_is_followed(status: str) -> None:
    with host(http()) as (inner, inner_requests):
        answer = http(b"", status=status, Location=f"{inner}/secret.png")
        with host(answer) as (origin, _):
            assert fault_of(origin) is MediaFault.REDIRECTS

    assert inner_requests == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (http(status="403 Forbidden"), MediaFault.MISSING),
        (http(status="404 Not Found"), MediaFault.MISSING),
        (http(status="204 No Content"), MediaFault.MISSING),
        (http(status="206 Partial Content"), MediaFault.MISSING),
        (http(b""), MediaFault.EMPTY),
        (http(b"<html><script>", "image/png"), MediaFault.TYPE),
        (
            http(b"<svg xmlns='http://www.w3.org/2000/svg'>" + b" " * 99, "image/svg+xml"),
            MediaFault.TYPE,
        ),
        (http(PNG, "text/html"), MediaFault.DISAGREES),
        (http(PNG, "image/jpeg"), MediaFault.DISAGREES),
        (http(PNG, "video/mp4"), MediaFault.DISAGREES),
        (http(PNG, "application/octet-stream"), MediaFault.DISAGREES),
        (http(PNG, ""), MediaFault.DISAGREES),
        (http(PNG, Content_Encoding="gzip"), MediaFault.DISAGREES),
        (http(PNG * 1000), MediaFault.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + PNG * 1000, MediaFault.TOO_LARGE),
    ],
)
def test_a_wrong_answer_is_refused_for_good(answer: bytes, fault: MediaFault) -> None:
    with host(answer) as (origin, _):
        assert fault_of(origin) is fault


def test_a_declared_size_above_the_limit_is_refused_before_the_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 99999999999\r\n\r\n"
    with host(head) as (origin, _):
        assert fault_of(origin) is MediaFault.TOO_LARGE


def test_an_endless_body_ends_at_the_size_limit() -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = PNG.ljust(4096, b"\0")
        while True:
            connection.sendall(b"1000\r\n" + chunk + b"\r\n")

    with host(pour) as (origin, _):
        assert fault_of(origin, max_bytes=200 * KIB) is MediaFault.TOO_LARGE


def test_a_wrong_beginning_ends_the_reading() -> None:
    """An endless stream of the wrong kind is refused long before the size limit or the deadline."""

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + b"<html>" * 20)
        Event().wait(20)

    with host(pour) as (origin, _):
        assert fault_of(origin, seconds=30) is MediaFault.TYPE


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(status="500 Oops"), "its host answers 500"),
        (http(status="503 Slow Down"), "its host answers 503"),
        (http(status="429 Too Many"), "its host answers 429"),
        (http(PNG, Content_Length=len(PNG) + 1), "its host broke the answer off"),
        (b"", "its host broke the answer off"),
        (b"no http at all\r\n\r\n", "its host broke the answer off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "its host broke the answer off"),
    ],
)
def test_what_may_heal_is_temporary_and_its_words_hold_no_address(
    answer: bytes, words: str
) -> None:
    with host(answer) as (origin, _):
        assert unavailable(origin) == words


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_dripping_answer_ends_at_the_deadline(where: str) -> None:
    def drip(connection: socket.socket) -> None:
        whole = http(PNG * 10)
        start = 0 if where == "head" else whole.index(PNG) + 70
        connection.sendall(whole[:start])
        for place in range(start, len(whole)):
            connection.sendall(whole[place : place + 1])
            Event().wait(0.05)

    with host(drip) as (origin, _):
        started = monotonic()
        assert unavailable(origin, seconds=0.5) == "its host is too slow"

    assert monotonic() - started < 3


def test_a_host_that_refuses_connections_or_has_no_name_is_temporary() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
        origin = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert unavailable(origin) == "its host cannot be reached"
    assert unavailable("http://nowhere.invalid:80") == "its host cannot be reached"
    nobody = guard("s3.amazonaws.com", resolve=lambda *_: [])
    with pytest.raises(MediaUnavailable), nobody.fetch("https://s3.amazonaws.com/a.png"):
        pass


def test_tls_names_the_real_host_and_a_certificate_of_nobodys_is_not_believed(
    tmp_path: Path,
) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "media.invalid"))
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def shake(connection: socket.socket) -> None:
        with suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                shake(connection)

        Thread(target=accept, daemon=True).start()
        origin = f"https://media.invalid:{listening.getsockname()[1]}"
        fetching = guard(origin, resolve=lambda *_: ["127.0.0.1"]).fetch(f"{origin}/a.png")
        with pytest.raises(MediaUnavailable), fetching:
            pass

    assert names == ["media.invalid"]


def certificate(folder: Path, name: str) -> Path:
    """A key with a certificate that it signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - day)
        .not_valid_after(datetime.now(UTC) + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "host.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    return file
