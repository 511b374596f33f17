"""Who asks. Every route needs a login unless its rule stands in PUBLIC: forgetting is safe.

A token says who; what that user may do, and whether it still exists, comes from its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, g, request
from flask_jwt_extended import JWTManager, get_current_user, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import InvalidTokenError, PyJWTError
from werkzeug.exceptions import NotFound

from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.errors import not_authenticated
from api.examples import identity as examples
from api.schemas import identity as schemas
from domain.errors import Unavailable
from domain.users import Caller, User, UserId
from infra.wiring import Services

# Reachable without a login. The first line also while ONLYFANS_CRM_ENABLED is off.
ALWAYS = frozenset({"/api/auth/login", "/health", "/ready", "/metrics"})
PUBLIC = ALWAYS | {"/openapi.json", "/docs", "/docs.css"}

# A removed user, or a changed role, is noticed after this long at most.
ROW_SECONDS = 5.0
ROWS_KEPT = 10_000
# Between the clocks of two web machines.
CLOCK_SKEW_SECONDS = 10

auth = Routes("auth", __name__, url_prefix="/api/auth", tag="Identity")


@auth.post("/login")
@auth.input(schemas.LoginRequest, arg_name="body", example=examples.LOGIN)
@auth.output(
    schemas.LoginReply,
    example=examples.LOGGED_IN,
    description="A token for the header Authorization: Bearer",
)
@auth.doc(summary="Log in", responses=problems(400, 401, 413, 415, 422))
def login(body: schemas.LoginRequest) -> schemas.LoginReply:
    granted = services().users.login(body.email, body.password, now())
    if granted is None:
        raise not_authenticated()
    user = granted.user
    return schemas.LoginReply(
        token=granted.token.text,
        expires_at=granted.token.expires_at,
        user=schemas.UserView(id=user.id, email=user.email, role=user.role),
    )


def caller() -> Caller:
    """Who asks; only after `require_login` has let the request in."""
    user = cast("User", get_current_user())
    return Caller(user.id, user.owner_id, user.role)


def known_caller() -> Caller | None:
    """Who asks, if anybody has proved it: for log lines."""
    return caller() if g.get("logged_in") else None


def require_login() -> None:
    """Before every request: 404 while the product is off, 401 without a good login."""
    rule = request.url_rule
    if rule is None or rule.rule in ALWAYS:
        return  # An unknown address becomes 404 or 405 by itself.
    if not services().settings.onlyfans_crm_enabled:
        raise NotFound
    if rule.rule in PUBLIC:
        return
    try:
        verify_jwt_in_request()
    except (JWTExtendedException, PyJWTError, RecursionError, ValueError):
        # Hostile tokens hold anything, also JSON nested deeper than Python's stack.
        raise not_authenticated() from None
    g.logged_in = True


@dataclass(frozen=True)
class Remembered:
    """A user's row, and until when it is believed."""

    user: User | None
    until: float


class Users:
    """The rows of users seen lately, so that a busy user costs one query in ROW_SECONDS."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rows: dict[UserId, Remembered] = {}

    def get(self, user_id: UserId) -> User | None:
        """The user, or None once removed. While PostgreSQL is away the last known row stands:
        nobody can have changed it."""
        moment = now().timestamp()
        known = self._rows.get(user_id)
        if known and moment < known.until:
            return known.user
        try:
            user = self._services.users.get(user_id)
        except Unavailable:
            if known is None:
                raise
            return known.user
        if len(self._rows) >= ROWS_KEPT:
            self._rows.clear()
        self._rows[user_id] = Remembered(user, moment + ROW_SECONDS)
        return user


def register(app: Flask, services: Services) -> None:
    """Verify tokens as `services.tokens` signs them."""
    issuer, users = services.tokens, Users(services)
    app.config.update(
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ALGORITHM=issuer.algorithm,
        JWT_DECODE_ALGORITHMS=[issuer.algorithm],
        JWT_DECODE_ISSUER=issuer.issuer,
        JWT_DECODE_AUDIENCE=issuer.audience,
        JWT_DECODE_LEEWAY=CLOCK_SKEW_SECONDS,
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
        return users.get(UserId(int(claims["sub"])))

    app.before_request(require_login)
