"""Who asks. Every route needs a login unless its rule stands in PUBLIC: forgetting is safe.

A token or an API key says who; what that user may do, and whether it still exists, comes from its
row. A token travels in the Authorization header, or in a cookie: then a request that changes
something must repeat the token's `csrf` claim in a header, which no foreign page can.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from flask import Flask, current_app, g, request
from flask_jwt_extended import (
    JWTManager,
    decode_token,
    get_current_user,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import CSRFError, JWTExtendedException
from jwt import InvalidTokenError, PyJWTError
from werkzeug.exceptions import NotFound

from api.afterwards import afterwards
from api.bodies import PAGE_UPLOADS
from api.context import now, services
from api.errors import Refusal, not_authenticated
from domain.errors import Unavailable
from domain.keys import PREFIX, ApiKey, ApiKeyId
from domain.users import Caller, Permission, User, UserId
from infra.wiring import Services

# Reachable without a login. The first lines also while ONLYFANS_CRM_ENABLED is off.
ALWAYS = frozenset(
    {
        "/api/auth/login",
        "/api/auth/session",
        "/api/webhooks/onlyfans",
        "/health",
        "/ready",
        "/metrics",
    },
)
PUBLIC = ALWAYS | {"/openapi.json", "/docs", "/docs.css", "/login", "/static/<name>"}

# Forms that hold a file, and what sending them takes.
LONG_FORMS = {PAGE_UPLOADS: Permission.IMPORT}

# A removed user, a changed role, ended logins or a revoked key: noticed after this long at most.
ROW_SECONDS = 5.0
ROWS_KEPT = 10_000
# When a key was last used is known to the minute.
USED_SECONDS = 60.0
# Between the clocks of two web machines.
CLOCK_SKEW_SECONDS = 10
# __Host-: the browser takes such a cookie only from this very host, over HTTPS.
LOGIN_COOKIE, SECURE_LOGIN_COOKIE = "huntaze_login", "__Host-huntaze_login"
CSRF_COOKIE, CSRF_HEADER = "huntaze_csrf", "X-CSRF-TOKEN"

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def caller() -> Caller:
    """Who asks; only after `require_login` has let the request in."""
    return cast("Caller", g.caller)


def user() -> User:
    """The account of who asks."""
    return cast("User", g.user)


def known_caller() -> Caller | None:
    """Who asks, if anybody has proved it: for log lines."""
    return cast("Caller | None", g.get("caller"))


def require_login() -> None:
    """Before every request: 404 while the product is off, 401 without a good login."""
    rule = request.url_rule.rule if request.url_rule else None
    if rule not in ALWAYS and not services().settings.onlyfans_crm_enabled:
        raise NotFound
    # An unknown address becomes 404 or 405 by itself; OPTIONS is answered without any handler.
    if rule is None or rule in PUBLIC or request.method == "OPTIONS":
        return
    if rule in LONG_FORMS and request.method == "POST":
        _refuse_unread(LONG_FORMS[rule])
    identify()


def identify() -> None:
    """Find out who asks; raises Refusal 401 or 403."""
    logins: Logins = current_app.extensions["logins"]
    secret = _api_key()
    found, key_id = logins.by_key(secret) if secret else (_by_token(), None)
    g.user, g.caller = found, found.caller(key_id)


def _api_key() -> str | None:
    """The API key of the Authorization header, or None where it holds something else."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text.startswith(PREFIX) else None


def _by_token() -> User:
    try:
        verify_jwt_in_request()
    except CSRFError:
        raise Refusal(
            403, "csrf_missing", f"Repeat the cookie {CSRF_COOKIE} in the header {CSRF_HEADER}"
        ) from None
    except (JWTExtendedException, PyJWTError, RecursionError, TypeError, ValueError):
        # Hostile tokens hold anything, also JSON nested deeper than Python's stack.
        raise not_authenticated() from None
    return cast("User", get_current_user())


def _refuse_unread(needed: Permission) -> None:
    """Refuse whoever may not send a long form before it is read for its CSRF field. Raises Refusal
    401, and Forbidden."""
    text = request.cookies.get(current_app.config["JWT_ACCESS_COOKIE_NAME"])
    if text is None or "Authorization" in request.headers:
        return  # Then nothing is read to find out who asks.
    try:
        claims = decode_token(text)
    except (JWTExtendedException, PyJWTError, RecursionError, TypeError, ValueError):
        raise not_authenticated() from None
    logins: Logins = current_app.extensions["logins"]
    found = logins.user(UserId(int(claims["sub"])))
    if found is not None:
        found.caller(None).require(needed)


def _is_over(found: User, issued_at: object) -> bool:
    """Whether a token is from before the user ended all logins, as a new password does."""
    if found.tokens_after is None:
        return False
    return not isinstance(issued_at, int | float) or issued_at < found.tokens_after.timestamp()


@dataclass(frozen=True)
class Remembered(Generic[V]):
    """What was found, and until when it is believed."""

    value: V
    until: float


class Lately(Generic[K, V]):
    """Rows seen lately, so that a busy user costs one query in ROW_SECONDS."""

    def __init__(self, look: Callable[[K], V | None]) -> None:
        self._look = look
        self._rows: dict[K, Remembered[V]] = {}

    def get(self, key: K) -> V | None:
        """The row, or None where there is none. While PostgreSQL is away the last known row
        stands: nobody can have changed it."""
        moment = now().timestamp()
        known = self._rows.get(key)
        if known and moment < known.until:
            return known.value
        try:
            found = self._look(key)
        except Unavailable:
            if known is None:
                raise
            return known.value
        if found is None:
            # Not remembered: whoever makes keys up must not push out those in use.
            self._rows.pop(key, None)
            return None
        if len(self._rows) >= ROWS_KEPT:
            self._rows.clear()
        self._rows[key] = Remembered(found, moment + ROW_SECONDS)
        return found


class Logins:
    """Users and keys as their rows say."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._users: Lately[UserId, User] = Lately(services.users.get)
        self._keys: Lately[str, ApiKey] = Lately(services.keys.find)
        self._used: dict[ApiKeyId, float] = {}

    def user(self, user_id: UserId) -> User | None:
        """The account, or None once it is removed."""
        return self._users.get(user_id)

    def by_key(self, secret: str) -> tuple[User, ApiKeyId]:
        """The member whom a key stands for; raises Refusal 401."""
        key = self._keys.get(secret)
        member = self._users.get(key.member_id) if key else None
        if key is None or member is None:
            raise not_authenticated()
        self._note_use(key.id)
        return member, key.id

    def _note_use(self, key_id: ApiKeyId) -> None:
        moment = now().timestamp()
        if moment - self._used.get(key_id, 0) < USED_SECONDS:
            return
        if len(self._used) >= ROWS_KEPT:
            self._used.clear()
        self._used[key_id] = moment
        afterwards(lambda: self._services.keys.used(key_id))


def register(app: Flask, services: Services) -> None:
    """Verify tokens as `services.tokens` signs them."""
    issuer = services.tokens
    app.extensions["logins"] = logins = Logins(services)
    secure = services.settings.public_url.startswith("https://")
    app.config.update(
        JWT_TOKEN_LOCATION=["headers", "cookies"],
        JWT_ALGORITHM=issuer.algorithm,
        JWT_DECODE_ALGORITHMS=[issuer.algorithm],
        JWT_DECODE_ISSUER=issuer.issuer,
        JWT_DECODE_AUDIENCE=issuer.audience,
        JWT_DECODE_LEEWAY=CLOCK_SKEW_SECONDS,
        JWT_COOKIE_CSRF_PROTECT=True,
        JWT_CSRF_CHECK_FORM=True,  # forms repeat it in a field, without any script
        JWT_COOKIE_SAMESITE="Lax",
        JWT_COOKIE_SECURE=secure,
        JWT_ACCESS_COOKIE_NAME=SECURE_LOGIN_COOKIE if secure else LOGIN_COOKIE,
        JWT_ACCESS_CSRF_COOKIE_NAME=CSRF_COOKIE,
        JWT_ACCESS_CSRF_HEADER_NAME=CSRF_HEADER,
    )
    manager = JWTManager(app)

    @manager.decode_key_loader
    def key_of(header: Mapping[str, Any], _: Mapping[str, Any]) -> str:
        key = issuer.key(header.get("kid"))
        if key is None:
            raise InvalidTokenError("signed with none of our keys")
        return key

    @manager.token_verification_loader
    def is_whole(_: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
        return isinstance(claims.get("exp"), int)

    @manager.user_lookup_loader
    def user_of(_: Mapping[str, Any], claims: Mapping[str, Any]) -> User | None:
        found = logins.user(UserId(int(claims["sub"])))
        return None if found is None or _is_over(found, claims.get("iat")) else found

    app.before_request(require_login)
