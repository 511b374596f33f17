"""Today: what waits, what went, and what needs a person."""

from typing import Any

from flask import Response

from api.auth import caller
from api.context import now, services
from api.pages.routes import Pages, live, page
from domain.connections import ConnectionState
from domain.messages import State
from domain.services.monitoring import LimiterLine
from domain.threads import MessageFilter

today = Pages("today")

# Of messages that need somebody.
SHOWN = 10


@today.get("/")
def show() -> Response:
    return page("today/page.html", **_values())


@today.get("/today")
def part() -> Response:
    """What changes by itself."""
    return live("today/live.html", **_values())


def _values() -> dict[str, Any]:
    who, moment = caller(), now()
    limiter = services().monitoring.limiter(who, moment)
    troubled = [
        services().threads.list_messages(who, MessageFilter(state=state), SHOWN, None, moment)
        for state in (State.FAILED, State.UNKNOWN)
    ]
    return {
        "status": services().messages.get_queue_status(who, moment),
        "limiter": limiter,
        "stopped": [one for one in limiter if _is_stopped(one)],
        "failed": troubled[0],
        "unknown": troubled[1],
    }


def _is_stopped(line: LimiterLine) -> bool:
    return line.connection.state is not ConnectionState.ACTIVE
