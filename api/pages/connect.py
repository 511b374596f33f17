"""Connected accounts: connected by their key or at the gateway's own page, paused, resumed."""

import hashlib
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Response, make_response, redirect, request

from api.auth import caller
from api.context import now, services
from api.pages.routes import (
    Flash,
    Form,
    Pages,
    back,
    dressed,
    form,
    form_once,
    login_mark,
    page,
)
from domain.connections import Connection, ConnectionDraft, ConnectionId, ConnectionState
from domain.errors import Conflict, Invalid, NotFound, Unavailable
from domain.repositories import Once
from domain.users import Permission

connect = Pages("connect")

PLACE = "/platforms/connect/onlyfans"
RETURN = f"{PLACE}/return"
SHOWN = 50
# What a login that set out for the gateway carries, and how long it may take there.
PURPOSE, AWAY = "connect", timedelta(minutes=15)
FIELDS = {"accountId": "account_id", "accessKey": "access_key", "name": "name"}


@connect.get(PLACE)
def show() -> Response:
    return place()


@connect.post(PLACE)
def connect_by_key() -> Response:
    """With the id and the key that the gateway gave; the key is never shown again."""
    caller().require(Permission.MANAGE)
    typed = form("account_id", "name")
    key = request.form.get("access_key", "").strip() or None
    draft = ConnectionDraft(
        "onlyfans", typed.values["account_id"], typed.values["name"] or None, key
    )
    shown = Form(dict(typed.values) | {"access_key": ""})
    try:
        made = services().connections.connect(caller(), draft, form_once())
    except (Invalid, Conflict) as refusal:
        return place(422, account=shown.refused(refusal, **FIELDS))
    except Unavailable as refusal:
        return place(503, account=Form(shown.values, error=f"{refusal}. Try again in a moment."))
    return _connected(made.connection)


@connect.get(f"{PLACE}/gateway")
def leave() -> Response:
    """Off to the gateway's own page, with a word that proves on the way back who set out."""
    caller().require(Permission.MANAGE)
    settings, holder = services().settings, login_mark()
    if settings.onlyfans_connect_url is None or holder is None:
        raise NotFound("accounts are connected by their key here")
    state = services().tokens.seal(PURPOSE, holder, now() + AWAY)
    told = {"return_to": settings.public_url.rstrip("/") + RETURN, "state": state}
    target = urlsplit(settings.onlyfans_connect_url)
    query = urlencode([*parse_qsl(target.query), *told.items()])
    return dressed(make_response(redirect(target._replace(query=query).geturl(), 303)))


@connect.get(RETURN)
def come_back() -> Response:
    """Back from the gateway with an account. Only the login that set out may connect it: whoever
    follows somebody else's link connects nothing."""
    caller().require(Permission.MANAGE)
    state, holder = request.args.get("state", ""), login_mark()
    if holder is None or not services().tokens.is_sealed(state, PURPOSE, holder, now()):
        told = "This way back is not yours, or too old. Nothing was connected: begin again."
        return place(403, account=Form(error=told))
    account_id = request.args.get("account_id", "")
    if "error" in request.args or not account_id:
        return back(PLACE, Flash("No account was connected at the gateway.", "bad"))
    # Coming back twice, as a reload does, connects once.
    word, said = (hashlib.sha256(text.encode()).hexdigest() for text in (state, account_id))
    once = Once(word[:32], f"GET {RETURN}", said)
    try:
        made = services().connections.connect(
            caller(), ConnectionDraft("onlyfans", account_id), once
        )
    except Conflict as refusal:
        known = _known(account_id) if refusal.code == "connection_exists" else None
        if known is None:
            return back(PLACE, Flash(f"Nothing was connected: {refusal.message}.", "bad"))
        return _connected_again(known)
    except (Invalid, Unavailable) as refusal:
        return back(PLACE, Flash(f"Nothing was connected: {refusal}.", "bad"))
    return _connected(made.connection)


@connect.post(f"{PLACE}/<int:connection_id>/<any(pause, resume, disconnect):deed>")
def change(connection_id: int, deed: str) -> Response:
    accounts, one = services().connections, ConnectionId(connection_id)
    {"pause": accounts.pause, "resume": accounts.resume, "disconnect": accounts.disconnect}[deed](
        caller(), one
    )
    told = {"pause": "Paused.", "resume": "It sends again.", "disconnect": "Disconnected."}
    return back(PLACE, told[deed])


def place(code: int = 200, *, account: Form | None = None, file: Form | None = None) -> Response:
    """The page, with what somebody typed in one of its forms."""
    who, settings = caller(), services().settings
    may_import = who.may(Permission.IMPORT)
    return page(
        "connect/page.html",
        code,
        account=account or Form(),
        file=file or Form({"policy": "fillBlanks"}),
        lines=services().monitoring.limiter(who, now()),
        imports=services().imports.page(who, SHOWN, None).items if may_import else (),
        largest=settings.csv_max_bytes // 1024 // 1024,
        at_gateway=settings.onlyfans_connect_url is not None and login_mark() is not None,
    )


def _known(account_id: str) -> Connection | None:
    paces = services().connections.list_paces(caller())
    return next((one.connection for one in paces if one.connection.account_id == account_id), None)


def _connected(one: Connection) -> Response:
    told = f"{one.name} is connected. Its fans and chats are read in the next minutes."
    return back(PLACE, told)


def _connected_again(one: Connection) -> Response:
    """An account that was here all the time: if its session had ended, it has a new one now."""
    told = f"{one.name} was connected already."
    if one.state is ConnectionState.PAUSED_AUTH:
        services().connections.resume(caller(), one.id)
        told = f"{one.name} is logged in again, and sends."
    return back(PLACE, told)
