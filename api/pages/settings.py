"""Settings: one's own profile, and what a team keeps for all."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Response, request
from flask_jwt_extended import unset_access_cookies

from api import auth
from api.auth import caller
from api.context import now, services
from api.pages.routes import (
    Flash,
    Form,
    Pages,
    back,
    form,
    form_once,
    is_htmx,
    page,
    zone,
)
from domain.bulk_limits import BulkLimits, Hours, read_hours
from domain.connections import Connection, ConnectionId, LimitsDraft
from domain.errors import Conflict, FieldProblem, Invalid
from domain.keys import ApiKeyId
from domain.paging import Page
from domain.services.team import MemberChange, NewMember
from domain.snippets import Snippet, SnippetDraft, SnippetId
from domain.users import Permission, Role, UserId

settings = Pages("settings")

N = TypeVar("N", int, float)

ROWS = 50
SECTIONS = (
    ("Profile", "/settings", Permission.READ),
    ("Snippets", "/settings/snippets", Permission.SEND),
    ("Banned words", "/settings/words", Permission.READ),
    ("Accounts", "/settings/accounts", Permission.MANAGE),
    ("Team", "/settings/team", Permission.TEAM),
    ("API keys", "/settings/keys", Permission.KEYS),
    ("Audit log", "/settings/audit", Permission.AUDIT),
)
ROLES = [(one.value, one.value.capitalize()) for one in Role if one is not Role.OWNER]
SNIPPET = ("title", "shortcut", "category", "text")
ACCOUNTS = "/settings/accounts"
NUMBERS = ("rate", "burst", "per_hour", "per_day", "per_fan")
LIMITS = ("name", *NUMBERS, "opens", "closes", "zone", "warm_up")
# What the service calls the fields of the form.
LIMIT_NAMES = {
    "ratePerMinute": "rate",
    "campaignLimits.perHour": "per_hour",
    "campaignLimits.perDay": "per_day",
    "campaignLimits.perFanPerDay": "per_fan",
    "hours.from": "opens",
    "hours.to": "closes",
    "hours.timeZone": "zone",
}


def _page(template: str, code: int = 200, /, **values: Any) -> Response:
    who = caller()
    tabs = [(name, path, None) for name, path, needed in SECTIONS if who.may(needed)]
    return page(f"settings/{template}", code, tabs=tabs, **values)


# Oneself


@settings.get("/settings")
def profile() -> Response:
    return _page("profile.html", form=Form())


@settings.post("/settings/password")
def change_password() -> Response:
    """Ends all one's logins, this one too."""
    current, new = request.form.get("current", ""), request.form.get("new", "")
    if new != request.form.get("again", ""):
        told = Form({"again": ""}, {"again": "is not the same as the new password"})
        return _page("profile.html", 422, form=told)
    try:
        services().logins.change_password(auth.user(), caller(), current, new, now())
    except Invalid as refusal:
        told = Form({"current": "", "new": ""}).refused(refusal)
        return _page("profile.html", 422, form=told)
    return _logged_out("Your password is changed. Log in with the new one.")


@settings.post("/settings/logins/end")
def end_logins() -> Response:
    services().users.end_logins(caller(), now())
    return _logged_out("You are logged out everywhere.")


def _logged_out(told: str) -> Response:
    response = back("/login", told)
    unset_access_cookies(response)
    return response


# Snippets


@settings.get("/settings/snippets")
def list_snippets() -> Response:
    found = _snippets()
    if is_htmx() and request.args.get("cursor"):
        return page("settings/snippet_rows.html", found=found)
    return _page("snippets.html", found=found, q=request.args.get("q", ""))


def _snippets() -> Page[Snippet]:
    asked = request.args
    return services().snippets.list_snippets(
        caller(), ROWS, asked.get("cursor"), q=asked.get("q"), category=asked.get("category")
    )


@settings.get("/settings/snippets/new")
def new_snippet() -> Response:
    caller().require(Permission.MANAGE)
    return _page("snippet.html", form=Form(dict.fromkeys(SNIPPET, "")), snippet=None)


@settings.post("/settings/snippets/new")
def create_snippet() -> Response:
    typed = form(*SNIPPET)
    try:
        services().snippets.create(caller(), SnippetDraft(**typed.values), form_once())
    except (Invalid, Conflict) as refusal:
        return _page("snippet.html", 422, form=typed.refused(refusal), snippet=None)
    return back("/settings/snippets", "Added.")


@settings.get("/settings/snippets/<int:snippet_id>")
def edit_snippet(snippet_id: int) -> Response:
    caller().require(Permission.MANAGE)
    found = services().snippets.get(caller(), SnippetId(snippet_id))
    typed = {name: getattr(found.draft, name) or "" for name in SNIPPET}
    return _page("snippet.html", form=Form(typed), snippet=snippet_id)


@settings.post("/settings/snippets/<int:snippet_id>")
def change_snippet(snippet_id: int) -> Response:
    typed = form(*SNIPPET)
    try:
        services().snippets.change(caller(), SnippetId(snippet_id), typed.values)
    except (Invalid, Conflict) as refusal:
        return _page("snippet.html", 422, form=typed.refused(refusal), snippet=snippet_id)
    return back("/settings/snippets", "Saved.")


@settings.post("/settings/snippets/<int:snippet_id>/delete")
def remove_snippet(snippet_id: int) -> Response:
    services().snippets.remove(caller(), SnippetId(snippet_id))
    return back("/settings/snippets", "Deleted. What was sent with it stays.")


# Banned words


@settings.get("/settings/words")
def words() -> Response:
    found = services().screening.banned_words(caller())
    return _page("words.html", found=found, form=Form({"words": "\n".join(found.words)}))


@settings.post("/settings/words")
def change_words() -> Response:
    typed = form("words")
    given = [line for line in typed.values["words"].splitlines() if line.strip()]
    try:
        services().screening.change_banned_words(caller(), given)
    except Invalid as refusal:
        found = services().screening.banned_words(caller())
        return _page("words.html", 422, found=found, form=typed.refused(refusal))
    return back("/settings/words", "Saved. It holds for the next message.")


# Accounts: their pace, and the limits of their campaigns


@settings.get(ACCOUNTS)
def accounts() -> Response:
    caller().require(Permission.MANAGE)
    return _page("accounts.html", lines=services().monitoring.limiter(caller(), now()))


@settings.get(f"{ACCOUNTS}/<int:connection_id>")
def edit_account(connection_id: int) -> Response:
    account = _account(connection_id)
    limits = account.bulk_limits
    hours = limits.hours[0].record() if limits.hours else {}
    typed = {
        "name": account.name,
        "rate": "" if account.rate_per_minute is None else f"{account.rate_per_minute:g}",
        "burst": account.burst or "",
        "per_hour": limits.per_hour or "",
        "per_day": limits.per_day or "",
        "per_fan": limits.per_fan or "",
        "opens": hours.get("from", ""),
        "closes": hours.get("to", ""),
        "zone": hours.get("timeZone", zone().key),
        "warm_up": limits.warm_up_since is not None,
    }
    return _limits_page(account, Form(typed))


@settings.post(f"{ACCOUNTS}/<int:connection_id>")
def change_account(connection_id: int) -> Response:
    account, typed = _account(connection_id), form(*LIMITS)
    try:
        services().connections.change_limits(caller(), account.id, _limits(typed.values))
    except (Invalid, Conflict) as refusal:
        return _limits_page(account, typed.refused(refusal, **LIMIT_NAMES), 422)
    return back(ACCOUNTS, "Saved. It holds from the next message on.")


def _account(connection_id: int) -> Connection:
    caller().require(Permission.MANAGE)
    return services().connections.look(caller(), ConnectionId(connection_id)).connection


def _limits_page(account: Connection, typed: Form, code: int = 200) -> Response:
    rate = services().settings.rate_limit_per_minute
    return _page("account.html", code, account=account, form=typed, rate=rate)


def _limits(typed: Mapping[str, str]) -> LimitsDraft:
    """What the form asks for; what is empty is the default, or no limit. Raises Invalid."""
    problems: list[FieldProblem] = []

    def number(name: str, read: Callable[[str], N]) -> N | None:
        try:
            return read(typed[name]) if typed[name] else None
        except ValueError:
            problems.append(FieldProblem(name, "use a number, or leave it empty"))
            return None

    hours: tuple[Hours, ...] = ()
    if typed["opens"] or typed["closes"]:
        record = {"from": typed["opens"], "to": typed["closes"], "timeZone": typed["zone"]}
        try:
            hours = (read_hours(record),)
        except Invalid as refusal:
            problems += refusal.problems
    limits = BulkLimits(
        per_hour=number("per_hour", int),
        per_day=number("per_day", int),
        per_fan=number("per_fan", int),
        hours=hours,
        warm_up_since=now() if typed["warm_up"] else None,
    )
    draft = LimitsDraft(
        given=frozenset({"name", "rate_per_minute", "burst", "campaign_limits"}),
        name=typed["name"],
        rate_per_minute=number("rate", float),
        burst=number("burst", int),
        campaign_limits=None if limits == BulkLimits() else limits,
    )
    if problems:
        raise Invalid(*problems)
    return draft


# Team


@settings.get("/settings/team")
def team() -> Response:
    return _team(Form({"email": "", "role": Role.CHATTER.value, "time_zone": "UTC"}))


def _team(typed: Form, code: int = 200) -> Response:
    members = [
        (one, Form({"role": one.role.value, "time_zone": one.time_zone}))
        for one in services().team.list_members(caller())
    ]
    return _page("team.html", code, members=members, roles=ROLES, form=typed)


@settings.post("/settings/team")
def add_member() -> Response:
    typed = form("email", "role", "time_zone")
    values: Mapping[str, str] = typed.values
    new = NewMember(
        values["email"],
        _role(values["role"]),
        request.form.get("password", ""),
        values["time_zone"] or "UTC",
    )
    try:
        services().team.add(caller(), new, form_once())
    except (Invalid, Conflict) as refusal:
        shown = Form({**values, "password": ""})
        return _team(shown.refused(refusal, timeZone="time_zone"), 422)
    return back("/settings/team", "Added. Hand over the password in person.")


@settings.post("/settings/team/<int:user_id>")
def change_member(user_id: int) -> Response:
    """What is left empty stays."""
    role, zone_name = request.form.get("role"), request.form.get("time_zone", "").strip()
    password = request.form.get("password") or None
    change = MemberChange(_role(role) if role else None, zone_name or None, password)
    try:
        services().team.change(caller(), UserId(user_id), change, now())
    except Invalid as refusal:
        return back("/settings/team", Flash(f"Nothing was changed: {_words(refusal)}", "bad"))
    return back("/settings/team", "Saved. It holds within five seconds.")


@settings.post("/settings/team/<int:user_id>/remove")
def remove_member(user_id: int) -> Response:
    services().team.remove(caller(), UserId(user_id))
    return back("/settings/team", "Removed, with all logins and keys.")


def _words(refusal: Invalid) -> str:
    return "; ".join(f"{one.field}: {one.message}" for one in refusal.problems)


def _role(text: str) -> Role:
    """Whatever is no role is refused as the owner's is."""
    return next((one for one in Role if one.value == text), Role.OWNER)


# API keys


@settings.get("/settings/keys")
def keys() -> Response:
    return _keys(Form({"name": ""}))


def _keys(typed: Form, code: int = 200, secret: str | None = None) -> Response:
    found = services().keys.list_keys(caller())
    return _page("keys.html", code, keys=found, form=typed, secret=secret)


@settings.post("/settings/keys")
def make_key() -> Response:
    """The secret stands in this answer and nowhere else; sent twice, it is not told again."""
    typed = form("name")
    try:
        made = services().keys.make(caller(), typed.values["name"], form_once())
    except (Invalid, Conflict) as refusal:
        return _keys(typed.refused(refusal), 422)
    if made.secret is None:
        return back("/settings/keys", Flash("This key was made, and shown, before.", "bad"))
    return _keys(Form({"name": ""}), secret=made.secret)


@settings.post("/settings/keys/<int:key_id>/revoke")
def revoke_key(key_id: int) -> Response:
    services().keys.revoke(caller(), ApiKeyId(key_id))
    return back("/settings/keys", "Revoked. It is refused within five seconds.")


# Audit log


@settings.get("/settings/audit")
def audit() -> Response:
    found = services().audit_log.list_lines(caller(), ROWS, request.args.get("cursor"))
    values = {"found": found, "names": services().team.names(caller())}
    if is_htmx() and request.args.get("cursor"):
        return page("settings/audit_rows.html", **values)
    return _page("audit.html", **values)
