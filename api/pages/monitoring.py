"""Monitoring: whether messages go, how fast and why, what was given up, and which alarms fire."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.filters import count, duration, percent
from api.pages.routes import Flash, Pages, back, live, page
from domain.alarms import Alarm
from domain.errors import Conflict, NotFound

monitoring = Pages("monitoring")

PATH = "/monitoring"
# Dead letters on the page: what one click redrives or discards.
SHOWN = 25


@monitoring.get(PATH)
def show() -> Response:
    return page("monitoring/page.html", **_values(), **_dead())


@monitoring.get(f"{PATH}/live")
def part() -> Response:
    return live("monitoring/live.html", **_values())


@monitoring.get(f"{PATH}/dead-letters")
def dead_part() -> Response:
    return live("monitoring/dead.html", **_dead())


@monitoring.post(f"{PATH}/redrive")
def redrive() -> Response:
    """Those that the form names. Twice is harmless: what is dead no more is left as it is."""
    who = caller()

    def deed(one: UUID) -> object:
        return services().dead_letters.redrive_message(who, one, now())

    return _each(deed, "redriven")


@monitoring.post(f"{PATH}/discard")
def discard() -> Response:
    who = caller()
    return _each(lambda one: services().dead_letters.discard_message(who, one), "discarded")


def reading(alarm: Alarm, value: float | None) -> str:
    """A number of this alarm, as people write it."""
    if value is None:
        return count(None)
    if alarm.unit == "share":
        return percent(value)
    return duration(value) if alarm.unit == "s" else count(round(value))


def _each(deed: Callable[[UUID], object], done: str) -> Response:
    ids = list(dict.fromkeys(request.form.getlist("id")))[:SHOWN]
    left: list[str] = []
    for one in ids:
        try:
            deed(UUID(one))
        except (Conflict, NotFound) as refusal:
            left.append(refusal.message)
        except ValueError:
            left.append("no such dead letter")
    told = f"{len(ids) - len(left)} {done}."
    if left:
        return back(PATH, Flash(f"{told} {len(left)} left as they are: {left[0]}.", "bad"))
    return back(PATH, told)


def _values() -> dict[str, Any]:
    overview = services().monitoring.overview(caller(), now())
    order = sorted(overview.alarms, key=lambda one: not one.firing)
    return {"overview": overview, "alarms": order, "reading": reading, "on": _is_on()}


def _dead() -> dict[str, Any]:
    return {"dead": services().dead_letters.list_messages(caller(), SHOWN, None)}


def _is_on() -> bool:
    return services().monitoring.enabled
