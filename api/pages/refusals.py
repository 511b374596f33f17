"""Refusals as pages: what happened, whether anything was lost, and what to do now."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from flask import Flask, Response, current_app, redirect, request
from werkzeug.exceptions import HTTPException

from api.pages.routes import Pages, dressed, is_htmx, own_path, page

# Heading and what to do, by status; the error itself stands between them.
WORDS: Mapping[int, tuple[str, str]] = {
    400: ("That did not arrive whole", "Nothing was changed. Go back and try again."),
    403: ("Not allowed", "Nothing was changed. Ask the owner of your team if you need this."),
    404: ("There is nothing here", "It was deleted, or the address is mistyped."),
    405: ("There is nothing here", "Go back and try again."),
    409: (
        "That no longer fits",
        "Nothing was changed. Look at it again: it has changed meanwhile.",
    ),
    413: ("That is too large", "Nothing was stored. Send less at once."),
    422: ("That cannot be done", "Nothing was changed. Go back, mend it and try again."),
    429: ("Too much at once", "Nothing was changed. Wait a little and try again."),
    503: (
        "Temporarily unavailable",
        "Nothing was lost: whatever is queued goes on by itself. Try again in a moment.",
    ),
}
LOGGED_OUT = {
    "code": 401,
    "heading": "You are logged out",
    "error": "This page is no longer refreshed.",
    "remedy": "Log in in another tab, then go on here: what you typed is still there.",
}
# A form repeats what its login said; another login since, in another tab, says something else.
OLD_FORM = {
    "heading": "This page is older than your login",
    "error": "Somebody has logged in again in this browser since the page was opened,"
    " so what it sent was not done",
    "remedy": "Nothing was changed: open the page again and send it once more.",
}
STILL_THERE = (
    "Nothing was changed, and what you typed is still here: copy it, and open the page again."
)
# The fields in which somebody may have written a lot.
WRITTEN = ("text", "content", "notes", "words")
OTHERWISE = (
    "Something went wrong on our side",
    "What was queued is safe. If it happens again, tell us the number below.",
)


def register(app: Flask) -> None:
    """Let the application ask here first how to answer a refusal."""
    app.extensions["refusal_page"] = refusal_page


def refusal_page(status: int, code: str, error: str, more: Mapping[str, Any]) -> Response | None:
    """The page for a refusal; None for a request that did not ask for one."""
    if not _is_page():
        return None
    if status == 401:
        path = request.full_path.rstrip("?") if request.method == "GET" else "/"
        login = f"/login?next={quote(path, safe='/')}" if path != "/" else "/login"
        if is_htmx():
            shown = urlsplit(request.headers.get("HX-Current-URL", ""))
            path = own_path(urlunsplit(("", "", shown.path, shown.query, "")))
            if request.method == "GET":  # Whatever is typed stays where it is.
                return page("refusals/toast.html", 401, **LOGGED_OUT)
            headers = {"HX-Redirect": f"/login?next={quote(path, safe='/')}"}
            return dressed(Response(status=204, headers=headers))
        return dressed(current_app.make_response(redirect(login, 303)))
    title, remedy = WORDS.get(status, OTHERWISE)
    values = {"code": status, "heading": title, "error": error, "remedy": remedy}
    if code == "csrf_missing":
        values |= OLD_FORM | {"written": _written(), "again": _asked_from()}
        if is_htmx():
            values["remedy"] = STILL_THERE
    if is_htmx():
        response = page("refusals/toast.html", status, **values)
        response.headers["HX-Retarget"] = "#toasts"
        response.headers["HX-Reswap"] = "beforeend"
    else:
        response = page("refusals/page.html", status, **values)
    if (seconds := more.get("retryAfterSec")) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _written() -> list[str]:
    """What stood in the form, to be copied; to send it again from here would be done for anybody's
    page."""
    return [text for name in WRITTEN if (text := request.form.get(name, "").strip())]


def _asked_from() -> str | None:
    """The page that the form stands on, as far as the browser says. None where none can be asked
    for: a form that was refused stands on an address that only takes forms."""
    came = urlsplit(request.referrer or "")
    if came.netloc != request.host:
        return None
    try:
        current_app.url_map.bind(request.host).match(came.path, method="GET")
    except HTTPException:
        return None
    return own_path(urlunsplit(("", "", came.path, came.query, "")))


def _is_page() -> bool:
    area = current_app.blueprints.get(request.blueprint or "")
    if area is not None:
        return isinstance(area, Pages)
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return wants_page == "text/html" and not request.path.startswith("/api/")
