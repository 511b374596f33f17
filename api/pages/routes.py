"""What every page is made with: its blueprint, its frame, its forms and its messages.

Pages ask the same services as the JSON API, as the same caller. They work without scripts; htmx
swaps parts where that is nicer. Their requests are counted apart from those of programs, since an
open inbox asks every five seconds.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote
from uuid import uuid4
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, g, make_response, redirect, render_template, request
from flask_jwt_extended import get_jwt

from api import auth
from api.context import now, services
from api.limits import PAGES
from domain.errors import Conflict, DomainError, FieldProblem, Invalid
from domain.repositories import Once
from domain.users import Permission

THEME_COOKIE, FLASH_COOKIE = "huntaze_theme", "huntaze_flash"
FLASH_SECONDS = 60
AMOUNT = re.compile(r"(\d{1,9})(?:[.,](\d{1,2}))?")
# A comma before three digits is none of cents.
THOUSANDS = re.compile(r",(?=\d{3}(?:\D|$))")
FORM_KEY = re.compile("[0-9a-f]{32}")
THEMES = ("light", "dark")
# Avatars and media come from the platform's own addresses.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:;"
    " media-src https:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)


class Pages(APIBlueprint):
    """A group of pages; none of them is part of the API's description."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{PAGES}{name}", __name__, template_folder="templates", enable_openapi=False
        )
        self.before_request(_refuse_nul)


def _refuse_nul() -> None:
    """PostgreSQL stores no NUL, and nobody types one."""
    if "\0" in unquote(request.query_string.decode("latin-1")):
        raise Invalid(FieldProblem("address", "remove the NUL: it is no text"))


@dataclass(frozen=True)
class Place:
    """An entry of the main navigation."""

    name: str
    path: str
    icon: str
    permission: Permission = Permission.READ


# The rail, from top to bottom; the first four stand in the bar of a phone, the rest under More.
PLACES = (
    Place("Today", "/", "today"),
    Place("Inbox", "/messages/onlyfans", "inbox"),
    Place("Fans", "/fans", "fans"),
    Place("Campaigns", "/messages/bulk", "campaigns"),
    Place("Import", "/platforms/connect/onlyfans", "import"),
    Place("Analytics", "/platforms/onlyfans/analytics", "analytics", Permission.MONEY),
    Place("Monitoring", "/monitoring", "monitoring"),
    Place("Settings", "/settings", "settings"),
)


@dataclass(frozen=True)
class Flash:
    """What a page says once, after a deed."""

    text: str
    kind: Literal["good", "bad"] = "good"


@dataclass(frozen=True)
class Form:
    """What somebody typed, and what is wrong with it, by the names of the fields. `error` belongs
    to none of them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    def refused(self, refusal: DomainError, **names: str) -> "Form":
        """The form with a service's refusal; `names` tells which field a problem belongs to, where
        the form calls it otherwise."""
        if isinstance(refusal, Conflict):  # Of the whole, whatever fields it points at.
            return Form(self.values, {}, refusal.message)
        problems = refusal.problems if isinstance(refusal, Invalid) else ()
        known: dict[str, str] = {}
        rest = []
        for one in problems:
            first = one.field.split(".")[0]  # A list's problem belongs to the list.
            name = names.get(one.field) or names.get(first, first)
            if name in self.values:
                known[name] = f"{known[name]}; {one.message}" if name in known else one.message
            else:
                rest.append(f"{one.field}: {one.message}")
        error = "; ".join(rest) or (None if known else refusal.message)
        return Form(self.values, known, error)


def form(*names: str) -> Form:
    """What the request's form holds under these names."""
    return Form({name: request.form.get(name, "").replace("\0", "").strip() for name in names})


def number_of(text: str) -> int | None:
    """An id as an address or a form holds it; None for what is none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if is_number else None


def cents_of(field: str, text: str) -> int | None:
    """Cents of an amount as people write it: 12, $12.50, 12,50 or 1,250.00; None for nothing.
    Raises Invalid."""
    plain = text.strip().removeprefix("$").strip()
    if not plain:
        return None
    found = AMOUNT.fullmatch(THOUSANDS.sub("", plain))
    if found is None:
        raise Invalid(FieldProblem(field, "use dollars and cents, as in 12.50"))
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def one_time_key() -> str:
    """What a form carries so that sending it twice does its deed once."""
    return uuid4().hex


def form_once(said: str = "", only: Collection[str] | None = None) -> Once | None:
    """The form's one-time key, bound to its address, its fields (or those of `only`), and what
    else it said."""
    key = request.form.get("key", "")
    if not FORM_KEY.fullmatch(key):
        return None
    sent = sorted(request.form.items(multi=True))
    fields = [*(one for one in sent if only is None or one[0] in only), said]
    fingerprint = hashlib.sha256(json.dumps(fields).encode()).hexdigest()
    return Once(key, f"{request.method} {request.path.lower()}", fingerprint)


def is_htmx() -> bool:
    """Whether a script of the page asks for a part of it."""
    return request.headers.get("HX-Request") == "true"


def zone() -> ZoneInfo:
    """The time zone of whoever looks."""
    user = g.get("user")
    return ZoneInfo(user.time_zone if user else "UTC")


def page(template: str, code: int = 200, /, **values: Any) -> Response:
    """A whole page, or what stands in its template."""
    flash = _flash()
    frame = {
        "places": [one for one in PLACES if _may(one)],
        "theme": _theme(),
        "csrf": csrf(),
        "user": g.get("user"),
        "me": auth.known_caller(),
        "now": now(),
        "zone": zone(),
        "flash": flash,
        "request_id": g.get("request_id", ""),
        "key": one_time_key(),
    }
    response = make_response(render_template(template, **(frame | values)), code)
    if flash is not None:
        response.delete_cookie(FLASH_COOKIE)
    return dressed(response)


def live(template: str, /, **values: Any) -> Response:
    """A part that asks for itself again: 204 while it is what the browser shows already, by the
    `seen` mark that the answer carries. `key` is a new one-time key for a form in it."""
    values |= {"csrf": csrf(), "now": now(), "zone": zone(), "me": auth.known_caller()}
    text = render_template(template, seen="", key="", **values)
    seen = hashlib.blake2b(text.encode(), digest_size=9).hexdigest()
    if request.args.get("seen") == seen:
        return dressed(Response(status=204))
    text = render_template(template, seen=seen, key=one_time_key(), **values)
    return dressed(make_response(text))


def dressed(response: Response) -> Response:
    """The response with what every page's answer has."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"
    # With no referrer at all a browser would not say where a form comes from: a login needs that.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def back(path: str, told: str | Flash | None = None) -> Response:
    """After a deed: to a page, which says this once."""
    if is_htmx():
        response = Response(status=204, headers={"HX-Redirect": path})
    else:
        response = make_response(redirect(path, 303))
    if told is not None:
        flash = Flash(told) if isinstance(told, str) else told
        said = json.dumps([flash.kind, flash.text[:500]])
        text = base64.urlsafe_b64encode(said.encode()).decode()
        response.set_cookie(
            FLASH_COOKIE,
            text,
            max_age=FLASH_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=services().settings.public_url.startswith("https://"),
        )
    return dressed(response)


def csrf() -> str:
    """What a form repeats so that no foreign page can send it; empty without a login by cookie."""
    return str(get_jwt().get("csrf", "")) if g.get("_jwt_extended_jwt") else ""


def login_mark() -> str | None:
    """What tells this login from every other; None for who comes without one."""
    return str(get_jwt().get("jti")) if g.get("_jwt_extended_jwt") else None


def own_path(path: str | None, otherwise: str = "/") -> str:
    """A path on this very site: whatever could lead elsewhere becomes `otherwise`."""
    is_ours = path is not None and path.startswith("/") and not path.startswith(("//", "/\\"))
    if path is None or not is_ours or any(ord(letter) < 33 or letter == "\\" for letter in path):
        return otherwise
    return path


def _may(place: Place) -> bool:
    caller = auth.known_caller()
    return caller is not None and caller.may(place.permission)


def _theme() -> str | None:
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else None


def _flash() -> Flash | None:
    given = request.cookies.get(FLASH_COOKIE)
    if not given or is_htmx():
        return None
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(given))
    except (ValueError, TypeError, binascii.Error):
        return None
    return Flash(str(text), "bad" if kind == "bad" else "good")


def initials(name: str) -> str:
    """At most two letters that stand for a name."""
    words = [word for word in name.split() if any(letter.isalnum() for letter in word)]
    letters = [next(letter for letter in word if letter.isalnum()) for word in words[:2]]
    return "".join(letters).upper() or "?"
