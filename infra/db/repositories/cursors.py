"""Places in lists: opaque to clients, so that nobody computes with them, and trusted by nobody.

A cursor holds the name of the order it belongs to and the sort key of the last row shown."""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.errors import FieldProblem, Invalid

LONGEST = 2000
BIGINT_MAX = 2**63 - 1


def write_cursor(order: str, *values: int | str | datetime | None) -> str:
    """The cursor behind the row whose sort key these values are."""
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in values]
    text = json.dumps([order, *plain], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: str, *kinds: Callable[[Any], Any]) -> list[Any]:
    """The values of a cursor of ours for this order, each read by its kind (`whole`, `words`,
    `instant`); raises Invalid."""
    try:
        return [kind(value) for kind, value in zip(kinds, _values(cursor, order), strict=True)]
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise Invalid(FieldProblem("cursor", "use the nextCursor of the page before")) from None


def _values(cursor: str, order: str) -> list[Any]:
    if len(cursor) > LONGEST:
        raise ValueError(len(cursor))
    padded = cursor + "=" * (-len(cursor) % 4)
    match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
        case [given, *values] if given == order:
            return values
    raise ValueError(order)


def whole(value: Any) -> int:
    """A number that a bigint column can hold."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > BIGINT_MAX:
        raise ValueError(type(value))
    return value


def words(value: Any) -> str:
    """A text that PostgreSQL can hold."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError(type(value))
    value.encode()  # half a surrogate pair raises a ValueError
    return value


def instant(value: Any) -> datetime:
    """An aware moment."""
    moment = datetime.fromisoformat(words(value))
    if moment.tzinfo is None:
        raise ValueError(value)
    return moment
