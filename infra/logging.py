"""JSON lines on stdout, ours and the libraries' alike.

Python names become camelCase keys. Text of messages and secrets never appear: callers do not pass
them, values under telling keys are replaced, and an exception shows where it came from but not what
it says, since many quote the data they choked on.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import structlog

SERVICE = "onlyfans-rate-limiter"
REDACTED = "[redacted]"
# A key whose last word is one of these holds what nobody may read in a log.
TELLING = frozenset(
    {"authorization", "body", "caption", "content", "cookie", "credentials"}
    | {"jwt", "password", "secret", "text", "token"}
)
# These print the arguments of tasks into their lines: of theirs only the template is shown.
TALKATIVE = ("celery", "kombu")
FRAMES = 5
# Who reads these lines knows exactly their keys: they are not tied to a request or a task.
EXACT = frozenset({"message_queued"})

Line = MutableMapping[str, Any]


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Log as JSON lines to `stream` (stdout unless told). Libraries only from WARNING up."""
    stream = stream or sys.stdout
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LibraryLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # Says only what our own line about the task says better.
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)
    logging.captureWarnings(True)


def get_logger(**facts: object) -> Any:
    """A logger whose lines all carry `facts`: `log.info("message_queued", message_id=...)`.

    The action is a static name; `event` and `exc_info` are no names for facts."""
    return structlog.get_logger(**facts)


def correlation_id() -> str:
    """What ties this request or task to what caused it; empty outside of both."""
    return str(structlog.contextvars.get_contextvars().get("correlation_id", ""))


def failure(problem: BaseException) -> dict[str, Any]:
    """What may be logged of an exception: the types it and its causes have, and the last frames."""
    kinds: list[str] = []
    cause: BaseException | None = problem
    while cause is not None and len(kinds) < FRAMES:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(problem.__traceback__)[-FRAMES:]
    return {
        "error": " from ".join(kinds),
        "at": [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames],
    }


def render(_logger: object, level: str, facts: Line) -> str:
    """Structlog's last step: the line."""
    action = facts.pop("event")
    if action in EXACT:
        facts.pop("correlation_id", None)
    problem = facts.pop("exc_info", None)
    if problem:
        problem = sys.exc_info()[1] if problem is True else problem
        facts.update(failure(problem) if isinstance(problem, BaseException) else {})
    return line(level, str(action), facts)


def line(level: str, action: str, facts: Mapping[str, Any]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"timestamp": now, "level": level, "service": SERVICE, "action": action}
    told = {camel(name): shown(name, value) for name, value in facts.items()}
    return json.dumps({**head, **told, **head}, ensure_ascii=False, default=plain)


def shown(name: str, value: Any) -> Any:
    """The value, or its replacement where the key says that it is secret."""
    if words(name)[-1:] and words(name)[-1] in TELLING:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): shown(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown("", one) for one in value]
    return value


def words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def camel(name: str) -> str:
    """`message_id` becomes `messageId`; a name in camelCase stays."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def plain(value: object) -> str:
    """JSON for other types; an unknown one shows only its name, for its repr may quote anything."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    return f"<{type(value).__name__}>"


class LibraryLines(logging.Formatter):
    """The same lines for what libraries log through the standard library."""

    def format(self, record: logging.LogRecord) -> str:
        talkative = record.name.split(".", 1)[0] in TALKATIVE
        facts: dict[str, Any] = {
            "logger": record.name,
            "message": str(record.msg) if talkative else record.getMessage(),
        }
        if record.exc_info and record.exc_info[1]:
            facts |= failure(record.exc_info[1])
        return line(record.levelname.lower(), "library_spoke", facts)
