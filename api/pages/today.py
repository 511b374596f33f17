"""Today: what waits, what went, and what needs a person."""

from datetime import datetime
from typing import Any

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.notifications import retry_name, retry_path
from api.pages.routes import Pages, is_htmx, live, page, zone
from domain.analytics import AnalyticsQuestion, Basis
from domain.connections import ConnectionState
from domain.messages import State
from domain.notifications import Kind
from domain.services.monitoring import LimiterLine
from domain.threads import MessageFilter
from domain.users import Caller, Permission

today = Pages("today")

# Of messages that need somebody.
SHOWN = 10
PAGE = 30


@today.get("/")
def show() -> Response:
    return page("today/page.html", **_values())


@today.get("/today")
def part() -> Response:
    """What changes by itself."""
    return live("today/live.html", **_values())


@today.get("/needs-you")
def show_all() -> Response:
    """All that failed, or that nobody could prove; Today shows the newest."""
    state = State.UNKNOWN if request.args.get("state") == State.UNKNOWN else State.FAILED
    bubbles, listed = services().threads.list_messages(
        caller(), MessageFilter(state=state), PAGE, request.args.get("cursor") or None, now()
    )
    template = "today/rows.html" if is_htmx() else "today/all.html"
    return page(template, bubbles=bubbles, listed=listed, state=state.value)


def _values() -> dict[str, Any]:
    who, moment = caller(), now()
    limiter = services().monitoring.limiter(who, moment)
    troubled = [
        services().threads.list_messages(who, MessageFilter(state=state), SHOWN, None, moment)
        for state in (State.FAILED, State.UNKNOWN)
    ]
    told = services().notifications.list_notifications(who, SHOWN, None, is_open=True)
    return {
        "earned": _earned(who, moment) if who.may(Permission.MONEY) else None,
        "many": [
            one
            for one in told.page.items
            if one.kind is Kind.MESSAGES_FAILED and one.open_count > 1 and not one.campaign
        ],
        "retry_path": retry_path,
        "retry_name": retry_name,
        "status": services().messages.get_queue_status(who, moment),
        "limiter": limiter,
        "stopped": [one for one in limiter if _is_stopped(one)],
        "failed": troubled[0],
        "unknown": troubled[1],
    }


def _earned(who: Caller, moment: datetime) -> int:
    """Net, since midnight of whoever looks."""
    day = moment.astimezone(zone()).date()
    asked = AnalyticsQuestion(first=day, last=day)
    days = services().analytics.days(who, asked, moment).value
    return sum(one.money.revenue_cents(Basis.NET) for one in days)


def _is_stopped(line: LimiterLine) -> bool:
    return line.connection.state is not ConnectionState.ACTIVE
