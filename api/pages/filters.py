"""How pages write numbers, money and times."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, g
from markupsafe import Markup, escape

from api.context import now
from api.pages.assets import asset
from api.pages.routes import initials, zone
from domain.connections import Connection, ConnectionState

DASH = "–"  # noqa: RUF001  # what stands for the unknown
# What an account does now, in the words and the signal of every page.
ACCOUNT_STATES: Mapping[ConnectionState, tuple[str, str]] = {
    ConnectionState.ACTIVE: ("sends", "good"),
    ConnectionState.PAUSED: ("paused", "wait"),
    ConnectionState.PAUSED_AUTH: ("needs login", "bad"),
    ConnectionState.PAUSED_QUOTA: ("out of credits", "bad"),
    ConnectionState.DISCONNECTED: ("disconnected", "plain"),
}


def money(cents: int | None) -> str:
    """As in $1,234.50; what is unknown is a dash."""
    if cents is None:
        return DASH
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def count(number: float | None) -> str:
    """As in 12,345."""
    return DASH if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """A share of one, as in 2.7 %."""
    return DASH if share is None else f"{share * 100:.1f} %"


def clock(instant: datetime | None) -> str:
    """The time of day in the viewer's zone, with the day where it is another one."""
    if instant is None:
        return DASH
    local, today = instant.astimezone(zone()), now().astimezone(zone()).date()
    if local.date() == today:
        return f"{local:%H:%M:%S}"
    return f"{local:%-d %b %H:%M}" if local.year == today.year else f"{local:%-d %b %Y %H:%M}"


def exact(instant: datetime) -> str:
    """With the zone, for titles."""
    return f"{instant.astimezone(zone()):%Y-%m-%d %H:%M:%S %Z}"


def since(instant: datetime) -> str:
    """As in 2 min ago; a day and more is a date."""
    passed = now() - instant
    if passed < timedelta(minutes=1):
        return "just now" if passed > -timedelta(seconds=5) else clock(instant)
    if passed < timedelta(hours=1):
        return f"{passed // timedelta(minutes=1)} min ago"
    if passed < timedelta(days=1):
        return f"{passed // timedelta(hours=1)} h ago"
    local, today = instant.astimezone(zone()), now().astimezone(zone())
    return f"{local:%-d %b}" if local.year == today.year else f"{local:%-d %b %Y}"


def ago(instant: datetime | None) -> Markup | str:
    """`since`, with the exact time in its title."""
    if instant is None:
        return DASH
    return _time(instant, since(instant))


def at(instant: datetime | None) -> Markup | str:
    """`clock`, with the exact time in its title."""
    if instant is None:
        return DASH
    return _time(instant, clock(instant))


def time_of_day(instant: datetime) -> Markup:
    """Hours and minutes, where the day stands above them."""
    return _time(instant, f"{instant.astimezone(zone()):%H:%M}")


def _time(instant: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        instant.isoformat(), exact(instant), text
    )


def lines(text: str) -> Markup:
    """A text with its line breaks, and nothing else of it taken for markup."""
    return Markup("<br>").join(escape(text).splitlines())


def duration(length: timedelta | float | None) -> str:
    """As in 6 s, 3 min, 2 h 5 min."""
    if length is None:
        return DASH
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def account_state(account: Connection) -> tuple[str, str]:
    """The word for what an account does now, and the kind of its badge."""
    return ACCOUNT_STATES[account.state]


def register(app: Flask) -> None:
    """Make them known to templates."""
    app.jinja_env.filters.update(
        money=money,
        count=count,
        percent=percent,
        clock=clock,
        ago=ago,
        at=at,
        time_of_day=time_of_day,
        lines=lines,
        duration=duration,
        initials=initials,
        account_state=account_state,
    )
    app.jinja_env.globals.update(asset=asset, user_zone=_zone_name)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _zone_name() -> str:
    user: Any = g.get("user")
    return str(user.time_zone) if user else str(ZoneInfo("UTC"))
