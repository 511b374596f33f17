"""The faults the simulated platform can be told to have: what each does to a call, and which are
switched on. Kinds ending in `_after` accept the message first, as the worst outages do."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from threading import Event, Lock

Json = Mapping[str, object]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer before it goes out."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def json_reply(status: int, content: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(content).encode(), headers or {})


def error_reply(status: int, code: str, message: str | None = None) -> Reply:
    return json_reply(status, {"error": code, "message": message or code})


@dataclass
class Fault:
    """A fault that is switched on. `seconds` is how long a hang or a delay lasts, `every` the
    pause between the bytes of a drip, `times` how many calls it hits (None: until removed)."""

    kind: str
    account: str | None = None
    chat: str | None = None
    on: str = "send"  # or "read"
    times: int | None = None
    retry_after: int | None = None
    seconds: float = 30
    every: float = 1
    drip_from: str = "headers"  # or "body"
    status: int = 503
    id: int = 0
    hits: int = 0
    dripped: int = 0
    over: Event = field(default_factory=Event)

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, attribute) for name, attribute in FIELDS.items()}


FIELDS = {
    "id": "id",
    "kind": "kind",
    "account": "account",
    "chat": "chat",
    "on": "on",
    "times": "times",
    "retryAfter": "retry_after",
    "seconds": "seconds",
    "every": "every",
    "dripFrom": "drip_from",
    "status": "status",
    "hits": "hits",
    "dripped": "dripped",
}


class How(Enum):
    """The way an answer goes out, or does not."""

    ANSWER = auto()
    HANG = auto()
    DROP = auto()
    DRIP = auto()


@dataclass(frozen=True)
class Kind:
    """What a fault does; without a `reply` the answer is the usual one."""

    reply: Callable[[Fault], Reply] | None = None
    accepts: bool = False
    how: How = How.ANSWER
    delays: bool = False


_HTML_502 = Reply(
    502,
    b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>",
    content_type="text/html; charset=UTF-8",
)


def _server_error(fault: Fault) -> Reply:
    return json_reply(fault.status, {"error": "SERVER_ERROR", "message": "Something went wrong."})


def _rate_limit(fault: Fault) -> Reply:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return json_reply(429, too_fast(), headers)


def too_fast() -> Json:
    """The platform's own complaint about the pace."""
    return {
        "error": "ONLYFANS_COM_RATE_LIMIT_ERROR",
        "message": "Please allow 3 seconds between messages",
    }


def _constant(status: int, content: Json) -> Callable[[Fault], Reply]:
    return lambda _: json_reply(status, content)


KINDS: Mapping[str, Kind] = {
    "rate_limit": Kind(_rate_limit),
    "server_error": Kind(_server_error),
    "html_502_before": Kind(lambda _: _HTML_502),
    "html_502_after": Kind(lambda _: _HTML_502, accepts=True),
    "hang_before": Kind(how=How.HANG),
    "hang_after": Kind(how=How.HANG, accepts=True),
    "drop_before": Kind(how=How.DROP),
    "drop_after": Kind(how=How.DROP, accepts=True),
    "drip_before": Kind(_server_error, how=How.DRIP),
    "drip_after": Kind(accepts=True, how=How.DRIP),
    "slow": Kind(accepts=True, delays=True),
    "huge": Kind(lambda _: json_reply(200, {"data": {"pad": "x" * 2**21}}), accepts=True),
    "no_id": Kind(_constant(200, {"data": {"queued": True}}), accepts=True),
    "has_error": Kind(_constant(200, {"data": {"hasError": True}})),
    "not_sent": Kind(
        _constant(500, {"error": "GATEWAY_ERROR", "request_outcome": "not_sent"}),
    ),
    "dead_session": Kind(
        _constant(401, {"error": "ONLYFANS_SESSION_EXPIRED", "message": "Please sign in again."}),
    ),
    "payment_required": Kind(
        _constant(402, {"error": "INSUFFICIENT_CREDITS", "message": "No credits left."}),
    ),
    "refuse_422": Kind(
        _constant(
            422,
            {
                "error": "VALIDATION_ERROR",
                "message": "The given data was invalid.",
                "errors": {"text": ["The text field is invalid."]},
            },
        ),
    ),
    "banned_words": Kind(
        _constant(
            422,
            {
                "error": "VALIDATION_ERROR",
                "message": "The text contains banned words.",
                "bannedWords": ["meet", "escort"],
            },
        ),
    ),
}


class BadFault(Exception):
    """The request for a fault names something unknown."""


class Faults:
    """The faults that are switched on; the oldest that fits a call hits it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._on: list[Fault] = []
        self._numbers = count(1)

    def add(self, content: Json) -> Fault:
        """Switch a fault on; raises BadFault."""
        unknown = set(content) - (set(FIELDS) - {"id", "hits", "dripped"})
        if unknown or content.get("kind") not in KINDS:
            raise BadFault(f"unknown: {', '.join(sorted(unknown)) or content.get('kind')}")
        for name in ("times", "retryAfter", "seconds", "every", "status"):
            if not isinstance(content.get(name), int | float | None):
                raise BadFault(f"{name} is a number")
        fault = Fault(kind=str(content["kind"]), id=next(self._numbers))
        for name, value in content.items():
            setattr(fault, FIELDS[name], value)
        with self._lock:
            self._on.append(fault)
        return fault

    def take(self, account: str, chat: str | None, on: str) -> Fault | None:
        """The fault that hits this call, if any."""
        with self._lock:
            for fault in self._on:
                if (
                    fault.on == on
                    and fault.hits != fault.times
                    and fault.account in (None, account)
                    and fault.chat in (None, chat)
                ):
                    fault.hits += 1
                    return fault
        return None

    def listed(self) -> Sequence[Fault]:
        """All since the last clear, those that have hit their calls included."""
        with self._lock:
            return list(self._on)

    def clear(self) -> None:
        """Switch all off; calls that hang or drip go on at once."""
        with self._lock:
            over, self._on = self._on, []
        for fault in over:
            fault.over.set()
