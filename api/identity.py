"""Logging in and out, with a token for programs or a cookie for pages."""

from urllib.parse import urlsplit

from flask import Response, jsonify, request
from flask_jwt_extended import get_csrf_token, set_access_cookies, unset_access_cookies

from api import auth
from api.afterwards import afterwards
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.errors import Refusal, not_authenticated
from api.examples import identity as examples
from api.schemas import identity as schemas
from api.views import identity as views
from domain.services.users import Login

identity = Routes("identity", __name__, url_prefix="/api/auth", tag="Identity")

LIMITS = (
    "Ten failures of one email, or fifty of one client address, within a quarter of an hour are"
    " enough: 429, whatever the password."
)


@identity.post("/login")
@identity.input(schemas.LoginRequest, arg_name="body", example=examples.LOGIN)
@identity.output(
    schemas.LoginReply,
    example=examples.LOGGED_IN,
    description="A token for the header Authorization: Bearer",
)
@identity.doc(
    summary="Log in",
    description=LIMITS,
    responses=problems(400, 401, 403, 413, 415, 422, 429),
)
def login(body: schemas.LoginRequest) -> schemas.LoginReply:
    granted = _log_in(body)
    return schemas.LoginReply(
        token=granted.token.text,
        expires_at=granted.token.expires_at,
        user=views.user(granted.user),
    )


@identity.post("/session")
@identity.input(schemas.LoginRequest, arg_name="body", example=examples.LOGIN)
@identity.output(
    schemas.SessionReply,
    example=examples.SESSION,
    description="Two cookies: the login, which scripts cannot read, and the CSRF token",
)
@identity.doc(
    summary="Log in with a cookie",
    description="For pages. A request that changes something repeats csrfToken, or the cookie"
    f" {auth.CSRF_COOKIE}, in the header {auth.CSRF_HEADER}; without it: 403 csrf_missing."
    f" {LIMITS}",
    responses=problems(400, 401, 403, 413, 415, 422, 429),
)
def begin_session(body: schemas.LoginRequest) -> Response:
    granted = _log_in(body)
    reply = schemas.SessionReply(
        expires_at=granted.token.expires_at,
        csrf_token=get_csrf_token(granted.token.text),
        user=views.user(granted.user),
    )
    response = jsonify(reply.model_dump(by_alias=True))
    life = services().settings.access_token_seconds
    set_access_cookies(response, granted.token.text, max_age=life)
    return response


@identity.delete("/session")
@identity.input(schemas.EndSessionQuery, location="query", arg_name="query")
@identity.output({}, 204)
@identity.doc(
    summary="Log out",
    description="Clears both cookies; there need be none. With everywhere=true all one's logins"
    " end within five seconds, tokens too, which takes a login; API keys go on.",
    responses=problems(401, 403, 422),
)
def end_session(query: schemas.EndSessionQuery) -> Response:
    refuse_foreign_origin()
    if query.everywhere:
        auth.identify()
        services().users.end_logins(auth.caller(), now())
    return _logged_out()


@identity.put("/password")
@identity.input(schemas.PasswordRequest, arg_name="body", example=examples.PASSWORD)
@identity.output({}, 204)
@identity.doc(
    summary="Change one's own password",
    description="Ends all one's logins within five seconds, this one too: log in again. API keys go"
    " on, and cannot ask for this. Guessing the current password is limited as logging in is.",
    responses=problems(400, 403, 413, 415, 422, 429),
)
def change_password(body: schemas.PasswordRequest) -> Response:
    services().logins.change_password(auth.user(), auth.caller(), body.current, body.new, now())
    return _logged_out()


def _logged_out() -> Response:
    response = Response(status=204)
    unset_access_cookies(response)
    return response


@identity.get("/me")
@identity.output(schemas.MeReply, example=examples.ME)
@identity.doc(summary="Who asks, and what the role allows")
def me() -> schemas.MeReply:
    return views.me(auth.user(), auth.caller())


def _log_in(body: schemas.LoginRequest) -> Login:
    refuse_foreign_origin()
    logins = services().logins
    granted = logins.login(body.email, body.password, request.remote_addr or "", now())
    if granted is None:
        afterwards(lambda: logins.note_failure(body.email))
        raise not_authenticated()
    return granted


def refuse_foreign_origin() -> None:
    """Raise Refusal 403 when a page of another site makes a browser ask: it could log its visitor
    in as somebody else. Programs send no Origin."""
    origin = request.headers.get("Origin")
    if origin is None:
        return
    ours = urlsplit(services().settings.public_url)
    # Of the address that was asked only the host counts: behind a balancer we see no HTTPS.
    if origin == f"{ours.scheme}://{ours.netloc}" or origin.partition("://")[2] == request.host:
        return
    raise Refusal(403, "origin_refused", "Log in from our own pages")
