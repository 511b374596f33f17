"""The guard: fetches what strangers' addresses lead to, and trusts nothing that it meets.

A name is resolved once, every address it has must be public, and the connection goes to one of
those very addresses: a name that changes its mind in between (DNS rebinding) changes nothing.
"""

import contextlib
import hashlib
import ipaddress
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from time import monotonic
from typing import BinaryIO
from urllib.parse import quote

import httpcore2

from domain.media import MediaFault, MediaHosts, MediaRefused, MediaUnavailable
from domain.ports import FetchedMedia
from infra.media.kinds import HEAD_BYTES, checked_kind
from infra.platform.deadline import NO_ANSWER, DeadlineBackend, Resolve, addresses_of, instants

# Answers that another try may change; every other one but 200 is final.
MAY_HEAL = frozenset({408, 425, 429})
HEADERS = (
    ("Accept", "image/*, video/*, audio/*"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "huntaze"),
    ("Connection", "close"),
)
# IPv6 addresses that stand for an IPv4 one, with the place of its lowest bit.
EMBEDDED = (
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
# Protocol assignments, relays (6to4, Teredo), documentation: `is_global` lets some of it pass.
NOT_PUBLIC_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
NOT_PUBLIC_6 = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))
GLOBAL_UNICAST = IPv6Network("2000::/3")


class MediaGuard:
    """MediaSource over https; one per process, for all its threads."""

    def __init__(
        self,
        hosts: MediaHosts,
        *,
        max_bytes: int,
        deadline: timedelta,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._hosts = hosts
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._resolve = resolve
        self._tls = httpcore2.default_ssl_context()

    @contextlib.contextmanager
    def fetch(self, url: str) -> Iterator[FetchedMedia]:
        """Fetch a file and keep it until the block ends."""
        if not self._hosts.permits(url):
            raise MediaRefused(MediaFault.HOST)
        with tempfile.TemporaryFile(prefix="huntaze-media-") as file:
            yield self._download(url, file)

    def _download(self, url: str, file: BinaryIO) -> FetchedMedia:
        ends_at = monotonic() + self._deadline.total_seconds()
        resolve = self._resolve if self._hosts.trusts(url) else self._public_addresses
        # A pool of its own: no connection is ever used for a second address.
        pool = httpcore2.ConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=DeadlineBackend(resolve),
        )
        try:
            with (
                pool,
                pool.stream(
                    "GET",
                    _on_the_wire(url),
                    headers=HEADERS,
                    extensions={"timeout": instants(ends_at)},
                ) as response,
            ):
                return self._receive(response, file)
        except NO_ANSWER as problem:
            # Its text might quote the address.
            raise MediaUnavailable(_in_our_words(problem)) from None

    def _receive(self, response: httpcore2.Response, file: BinaryIO) -> FetchedMedia:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        _check_status(response.status)
        if headers.get(b"content-encoding", "identity").strip().lower() != "identity":
            raise MediaRefused(MediaFault.DISAGREES)
        if _length(headers.get(b"content-length", "")) > self._max_bytes:
            raise MediaRefused(MediaFault.TOO_LARGE)
        digest, size, head = hashlib.sha256(), 0, b""
        for part in response.iter_stream():
            size += len(part)
            if size > self._max_bytes:
                raise MediaRefused(MediaFault.TOO_LARGE)
            if len(head) < HEAD_BYTES:
                head = (head + part)[:HEAD_BYTES]
                if len(head) == HEAD_BYTES:
                    checked_kind(headers.get(b"content-type", ""), head)  # before reading on
            digest.update(part)
            file.write(part)
        if not size:
            raise MediaRefused(MediaFault.EMPTY)
        kind, ending = checked_kind(headers.get(b"content-type", ""), head)
        file.seek(0)
        name = f"{digest.hexdigest()[:16]}.{ending}"
        return FetchedMedia(file, name, kind, size, digest.hexdigest())

    def _public_addresses(self, host: str, port: int, seconds: float) -> list[str]:
        """The name's addresses; raises MediaRefused unless every one of them is public."""
        addresses = self._resolve(host, port, seconds)
        if not all(is_public(address) for address in addresses):
            raise MediaRefused(MediaFault.ADDRESS)
        return addresses


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, whatever its notation hides."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # with a zone, for example
        return False
    return _is_public(found)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and not any(address in network for network in NOT_PUBLIC_4)
        )
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    for network, shift in EMBEDDED:
        if address in network:
            return _is_public(IPv4Address(int(address) >> shift & 0xFFFFFFFF))
    return (
        address in GLOBAL_UNICAST
        and address.is_global
        and not any(address in network for network in NOT_PUBLIC_6)
    )


def _on_the_wire(url: str) -> str:
    """The address in ASCII and without its fragment; what is encoded already stays as it is."""
    return quote(url.partition("#")[0], safe="!$%&'()*+,/:;=?@[]~")


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in MAY_HEAL or status >= 500:
        raise MediaUnavailable(f"its host answers {status}")
    raise MediaRefused(MediaFault.REDIRECTS if 300 <= status < 400 else MediaFault.MISSING)


def _length(header: str) -> int:
    return int(header) if header.isascii() and header.isdigit() and len(header) < 20 else 0


def _in_our_words(problem: Exception) -> str:
    if isinstance(problem, httpcore2.ConnectError | httpcore2.ConnectTimeout):
        return "its host cannot be reached"
    if isinstance(problem, httpcore2.TimeoutException):
        return "its host is too slow"
    return "its host broke the answer off"
