"""What an answer of the OFAPI gateway proves: pure functions of status, headers and body.

Order matters. Proof of a sent message comes first, then the codes that mean the same under any
status, then the status; whatever is left proves nothing. The details are our own words: the
platform's may quote the message.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from domain.messages import Outcome
from domain.ports import SendAnswer

RETRY_AFTER_MAX = timedelta(hours=1)

_BY_CODE: Mapping[str, Outcome] = {
    "ONLYFANS_COM_RATE_LIMIT_ERROR": Outcome.RATE_LIMITED,
    "ONLYFANS_SESSION_EXPIRED": Outcome.AUTH_LOST,
    "NO_SUBSCRIPTION": Outcome.QUOTA_EXHAUSTED,
    "IDEMPOTENCY_CONFLICT": Outcome.IN_PROGRESS,
    "IDEMPOTENCY_KEY_INVALID": Outcome.KEY_REJECTED,
    "IDEMPOTENCY_KEY_MISMATCH": Outcome.KEY_REJECTED,
}
_BY_STATUS: Mapping[int, Outcome] = {
    400: Outcome.REFUSED,
    401: Outcome.AUTH_LOST,
    402: Outcome.QUOTA_EXHAUSTED,
    403: Outcome.REFUSED,
    404: Outcome.REFUSED,
    422: Outcome.REFUSED,
    429: Outcome.RATE_LIMITED,
}
_DETAILS: Mapping[Outcome, str] = {
    Outcome.RATE_LIMITED: "The platform asks for a slower pace.",
    Outcome.NOT_SENT: "The gateway failed and confirms that nothing was sent.",
    Outcome.AUTH_LOST: "The account's session has ended. Connect the account again.",
    Outcome.QUOTA_EXHAUSTED: "The gateway's credits or subscription have run out. Top them up.",
    Outcome.IN_PROGRESS: "An earlier call for this message is still running.",
    Outcome.KEY_REJECTED: "The gateway disputes the message's idempotency key.",
    Outcome.UNCLEAR: "The answer does not say whether the message was sent.",
}
_REFUSALS: Mapping[int, str] = {
    400: "The platform does not accept this message. Check its text, price and media.",
    403: "The account may not write to this fan.",
    404: "The fan or the account is no longer there. Check that the fan still subscribes.",
    422: "The platform does not accept this message. Check its text, price and media.",
}
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,31}")
_TOO_FAST = re.compile(r"allow\s+3\s+seconds", re.IGNORECASE)


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> SendAnswer:
    """What this answer to a send proves. Header names are lower case; `now` is for a Retry-After
    that is a date. Never raises."""
    answer = parse(body)
    top = answer if isinstance(answer, dict) else {}
    code = _code(top)
    result = SendAnswer(
        Outcome.UNCLEAR,
        http_status=status,
        error_code=code or f"http_{status}",
        replayed=headers.get("idempotent-replayed", "").strip().lower() == "true",
    )
    message_id = _message_id(top)
    if 200 <= status < 300 and message_id and not _says_no(top):
        return replace(
            result, outcome=Outcome.SENT, platform_message_id=message_id, error_code=None
        )
    meant = _upstream_status(top) if code == "ONLYFANS_COM_ERROR" else None
    outcome = _outcome(meant or status, code, top, html=_is_html(headers, body))
    return replace(
        result,
        outcome=outcome,
        detail=_refusal(meant or status, top) if outcome is Outcome.REFUSED else _DETAILS[outcome],
        retry_after=_retry_after(headers, now) if outcome is Outcome.RATE_LIMITED else None,
    )


@dataclass(frozen=True)
class Refusal:
    """Why an answer is not what was asked for; `status` is the platform's own where it says so."""

    outcome: Outcome
    status: int
    detail: str
    retry_after: timedelta | None = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Refusal | None:
    """What speaks against this answer to anything but a send; None for a good one."""
    answer = parse(body)
    top = answer if isinstance(answer, dict) else {}
    complains = isinstance(top.get("error"), str) or _says_no(top)
    if 200 <= status < 300 and top and not complains:
        return None
    code = _code(top)
    meant = (_upstream_status(top) if code == "ONLYFANS_COM_ERROR" else None) or status
    outcome = _outcome(meant, code, top, html=_is_html(headers, body))
    detail = _DETAILS.get(outcome, "The platform refused this.")
    if outcome is Outcome.UNCLEAR:
        detail = "The gateway gave no usable answer."
    wait = _retry_after(headers, now) if outcome is Outcome.RATE_LIMITED else None
    return Refusal(outcome, meant, detail, wait)


def parse(body: bytes) -> Any:
    """The JSON of a body with exact decimals; None for what is no JSON."""
    try:
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):  # hostile nesting is no JSON of ours either
        return None


def _outcome(status: int, code: str | None, top: Mapping[str, Any], *, html: bool) -> Outcome:
    if code and code in _BY_CODE:
        return _BY_CODE[code]
    if code and code.endswith("CREDITS"):
        return Outcome.QUOTA_EXHAUSTED
    if any(_TOO_FAST.search(text) for text in _complaints(top)):
        return Outcome.RATE_LIMITED
    outcome = _BY_STATUS.get(status, Outcome.UNCLEAR)
    if outcome is Outcome.REFUSED and html:
        outcome = Outcome.UNCLEAR  # some machine in between, not the gateway
    success = 200 <= status < 300
    if success and _says_no(top):
        return Outcome.REFUSED
    if (success or 400 <= status < 500) and outcome is Outcome.UNCLEAR and _cannot_send(top):
        return Outcome.REFUSED
    if outcome is Outcome.UNCLEAR and _not_sent(top):
        return Outcome.NOT_SENT
    return outcome


def _records(top: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects of an answer that speak about the call: never the media or the text."""
    yield top
    for name in ("data", "error", "errors", "meta", "_meta"):
        if isinstance(part := top.get(name), dict):
            yield part
    data = top.get("data")
    if isinstance(data, dict):
        for name in ("error", "meta", "_meta"):
            if isinstance(part := data.get(name), dict):
                yield part
    upstream = top.get("onlyfans_response")
    if isinstance(upstream, dict):
        yield upstream
        if isinstance(body := upstream.get("body"), dict):
            yield body
            if isinstance(error := body.get("error"), dict):
                yield error


def _code(top: Mapping[str, Any]) -> str | None:
    for record in _records(top):
        for name in ("error", "code"):
            value = record.get(name)
            if isinstance(value, str) and _CODE.fullmatch(value):
                return value
    return None


def _complaints(top: Mapping[str, Any]) -> Iterator[str]:
    for record in _records(top):
        for name in ("error", "message", "description"):
            if isinstance(text := record.get(name), str):
                yield text


def _message_id(top: Mapping[str, Any]) -> str | None:
    data = top.get("data")
    value = data.get("id") if isinstance(data, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= 64 and value.isascii() and value.isalnum():
        return value
    return None


def _says_no(top: Mapping[str, Any]) -> bool:
    data = top.get("data")
    records = [top, data] if isinstance(data, dict) else [top]
    return any(r.get("hasError") is True or r.get("success") is False for r in records)


def _cannot_send(top: Mapping[str, Any]) -> bool:
    return any(record.get("canSendMessage") is False for record in _records(top))


def _not_sent(top: Mapping[str, Any]) -> bool:
    return any(record.get("request_outcome") == "not_sent" for record in _records(top))


def _upstream_status(top: Mapping[str, Any]) -> int | None:
    """The platform's own status inside the gateway's ONLYFANS_COM_ERROR."""
    upstream = top.get("onlyfans_response")
    status = upstream.get("status") if isinstance(upstream, dict) else None
    return status if isinstance(status, int) and 400 <= status < 600 else None


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"


def _refusal(status: int, top: Mapping[str, Any]) -> str:
    """A short reason with a remedy, of our own words, field names and listed banned words only."""
    if words := _banned_words(top):
        return "Remove the words the platform bans: " + ", ".join(words) + "."
    if _cannot_send(top):
        return "The platform does not let the account write to this fan."
    errors = top.get("errors")
    if isinstance(errors, dict):
        fields = [name for name in errors if _FIELD.fullmatch(name)][:5]
        if fields:
            return "The platform does not accept: " + ", ".join(fields) + "."
    return _REFUSALS.get(status, "The platform refused the message.")


def _banned_words(top: Mapping[str, Any]) -> list[str]:
    for record in _records(top):
        for name in ("bannedWords", "banned_words"):
            if isinstance(words := record.get(name), list):
                shown = [word for word in words if isinstance(word, str) and word.isprintable()]
                return [word[:40] for word in shown[:10]]
    return []


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        # Nine digits are beyond any cap and still no overflow.
        return min(timedelta(seconds=int(value[:9])), RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), RETRY_AFTER_MAX)
