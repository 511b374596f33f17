"""Media that a message carries: which addresses may be fetched, and what may be wrong with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NewType, Self
from urllib.parse import SplitResult, urlsplit

MediaId = NewType("MediaId", int)

URL_MAX = 2048
PORTS = {"https": 443, "http": 80}
# How long an address is believed to hold what it held when it was fetched.
SOURCE_KEPT = timedelta(minutes=15)
# After a failure that may heal; the one after the last is final.
BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 180, 600))


class MediaFault(StrEnum):
    """Why a file is refused for good, in the words that people read."""

    HOST = "media are not taken from this host"
    ADDRESS = "its host leads to an address that is not public"
    REDIRECTS = "the address leads on to another one"
    MISSING = "its host says that there is no such file, or that we may not read it"
    TOO_LARGE = "the file is too large"
    EMPTY = "the file is empty"
    TYPE = "the file is no image, video or audio that we know"
    DISAGREES = "the file is not what its content type says"


# What to do about each, for people.
REMEDIES: dict[MediaFault, str] = {
    MediaFault.HOST: "put the file on an allowed host, then write the message anew",
    MediaFault.ADDRESS: "put the file on a public host, then write the message anew",
    MediaFault.REDIRECTS: "use the file's final address in a new message",
    MediaFault.MISSING: "check that the address opens without a login and has not expired, then"
    " retry, or write the message anew with a fresh address",
    MediaFault.TOO_LARGE: "make the file smaller, then retry",
    MediaFault.EMPTY: "upload the file again, then retry",
    MediaFault.TYPE: "use JPEG, PNG, GIF, WebP, MP4, MOV, WebM, MP3, M4A, WAV or OGG, then retry",
    MediaFault.DISAGREES: "store the file with its own content type, as in image/jpeg, then retry",
}
UNKNOWN_REMEDY = "use another file in a new message"


class MediaRefused(Exception):
    """The file will never do; `fault` says why."""

    def __init__(self, fault: MediaFault) -> None:
        super().__init__(fault)
        self.fault = fault


class MediaUnavailable(Exception):
    """The file could not be fetched this time. The text is short, ours, and names no address."""


def remedy_of(detail: str | None) -> str:
    """What to do about a stored refusal, which reads `file 2: <fault>`."""
    fault = (detail or "").partition(": ")[2]
    return REMEDIES[MediaFault(fault)] if fault in set(MediaFault) else UNKNOWN_REMEDY


@dataclass(frozen=True)
class MediaHosts:
    """Where media may come from.

    `names` and what ends in one of `suffixes` (`.amazonaws.com`) are reached by https on port 443
    at public addresses only. An origin names one scheme, host and port that an operator trusts."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    origins: frozenset[tuple[str, str, int]] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read `host`, `*.domain` and `scheme://host:port`; raises ValueError for what is none."""
        names, suffixes, origins = set(), [], set()
        for entry in (one.strip().lower() for one in entries):
            if "://" in entry:
                origins.add(_origin_entry(entry))
            elif entry.startswith("*.") and _is_name(entry[2:]):
                suffixes.append(entry[1:])
            elif _is_name(entry):
                names.add(entry)
            else:
                raise ValueError(f"{entry} is no host name, *.domain or scheme://host:port")
        return cls(frozenset(names), tuple(suffixes), frozenset(origins))

    def permits(self, url: str) -> bool:
        """Whether this address may be fetched, as far as it can be told without resolving it."""
        return self.trusts(url) or self._listed(_split(url))

    def trusts(self, url: str) -> bool:
        """Whether it is at an origin that an operator trusts, wherever that leads."""
        parts = _split(url)
        return parts is not None and _origin(parts) in self.origins

    def _listed(self, parts: SplitResult | None) -> bool:
        if parts is None:
            return False
        scheme, host, port = _origin(parts)
        known = host in self.names or host.endswith(self.suffixes)
        return (scheme, port) == ("https", 443) and known

    def __str__(self) -> str:
        origins = (f"{scheme}://{host}:{port}" for scheme, host, port in sorted(self.origins))
        return ", ".join([*sorted(self.names), *(f"*{one}" for one in self.suffixes), *origins])


def host_of(url: str) -> str:
    """What may be logged of an address: a signed one is a secret."""
    parts = _split(url)
    return _origin(parts)[1] if parts else ""


def _is_name(name: str) -> bool:
    """A DNS name of two labels or more: no address, whatever its notation, looks like one."""
    labels = name.split(".")
    letters = all(
        label.replace("-", "").isalnum() and label[0] != "-" and label[-1] != "-"
        for label in labels
    )
    return len(labels) > 1 and name.isascii() and letters and labels[-1][0].isalpha()


def _origin_entry(entry: str) -> tuple[str, str, int]:
    parts = _split(entry)
    bare = parts is not None and not parts.path.strip("/") and not parts.query
    if parts is None or not bare or parts.scheme not in PORTS:
        raise ValueError(f"{entry} is no origin: use scheme://host:port")
    return _origin(parts)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def _split(url: str) -> SplitResult | None:
    """The parts of a plain address; None for one that two readers could understand differently."""
    if len(url) > URL_MAX or any(char <= " " or char in '\x7f\\"<>' for char in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = parts.hostname and parts.netloc.isascii() and "@" not in parts.netloc
    return parts if plain and port != 0 and "%" not in parts.netloc else None
