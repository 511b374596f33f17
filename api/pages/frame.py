"""Logging in and out, the colours, the counts in the rail, and the style guide."""

from flask import Response, request
from flask_jwt_extended import set_access_cookies, unset_access_cookies
from werkzeug.exceptions import NotFound

from api import auth
from api.afterwards import afterwards
from api.context import now, services
from api.identity import refuse_foreign_origin
from api.pages.charts import bar_list, column_chart, line_chart
from api.pages.filters import money
from api.pages.routes import (
    THEME_COOKIE,
    THEMES,
    Form,
    Pages,
    back,
    form,
    live,
    own_path,
    page,
)
from domain.conversations import ConversationFilter
from domain.errors import TooMany

frame = Pages("frame")

YEAR_SECONDS = 31_536_000


@frame.get("/login")
def login_form() -> Response:
    asked = own_path(request.args.get("next"))
    return page("frame/login.html", form=Form({"email": ""}), asked=asked)


@frame.post("/login")
def login() -> Response:
    """The same limits and the same cookies as a login over the API."""
    refuse_foreign_origin()
    typed, password = form("email", "next"), request.form.get("password", "")
    asked = own_path(typed.values["next"])
    logins = services().logins
    email = typed.values["email"]
    try:
        granted = logins.login(email, password, request.remote_addr or "", now())
    except TooMany as refusal:
        told = Form(typed.values, error=refusal.message)
        return page("frame/login.html", 429, form=told, asked=asked)
    if granted is None:
        afterwards(lambda: logins.note_failure(email))
        told = Form(typed.values, error="No account has this email and password.")
        return page("frame/login.html", 401, form=told, asked=asked)
    response = back(asked)
    life = services().settings.access_token_seconds
    set_access_cookies(response, granted.token.text, max_age=life)
    return response


@frame.post("/logout")
def logout() -> Response:
    response = back("/login")
    unset_access_cookies(response)
    return response


@frame.post("/theme")
def choose_theme() -> Response:
    chosen = request.form.get("theme")
    response = back(own_path(request.form.get("next")))
    if chosen in THEMES:
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR_SECONDS, samesite="Lax")
    else:
        response.delete_cookie(THEME_COOKIE)
    return response


@frame.get("/badges")
def badges() -> Response:
    """The counts in the rail, swapped into their places."""
    asked = ConversationFilter(unread=True)
    found = services().conversations.list_conversations(auth.caller(), asked, 1, None, now())
    told = services().notifications.unseen(auth.caller())
    return live("frame/badges.html", unread=found.total, told=told)


@frame.get("/styleguide")
def style_guide() -> Response:
    if not services().settings.public_url.startswith("http://127.0.0.1"):
        raise NotFound
    days = [(f"{day} Nov", float(day * day % 37 * 1000)) for day in range(1, 31)]
    hours = [(f"{hour:02}", float(hour * hour % 23)) for hour in range(24)]
    fans = [("Jane Doe", 120_000.0), ("A name that is far too long to fit", 64_000.0)]
    return page(
        "frame/styleguide.html",
        form=Form({"name": "Jane", "tier": "whale"}, {"name": "use 1 to 100 characters"}),
        chart=line_chart(days, lambda cents: money(round(cents))),
        hours=column_chart(hours, lambda sent: f"{sent:,.0f}"),
        bars=bar_list(fans),
        texts=[money(round(value)) for _, value in fans],
    )
