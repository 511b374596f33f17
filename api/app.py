"""The web process: routes, and what surrounds every request (id, log line, headers, errors)."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import uuid4

from apiflask import APIFlask
from flask import Response, g, request
from flask.json.provider import DefaultJSONProvider
from structlog.contextvars import bind_contextvars, clear_contextvars
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from api import auth, bodies, context, documents, errors, limits, lines, metrics, pages
from api.analytics import analytics
from api.audit import audit
from api.campaigns import campaigns
from api.closing import ENDS, closing, leaves_body
from api.connections import connections
from api.conversations import conversations
from api.dead_letters import dead_letters
from api.events import events
from api.fans import fans
from api.health import health
from api.identity import identity
from api.imports import imports
from api.keys import keys
from api.linking import linking
from api.merges import merges
from api.messages import messages
from api.monitoring import monitoring
from api.notifications import notifications
from api.saved_views import saved_views
from api.screening import screening
from api.segments import segments
from api.snippets import snippets
from api.team import team
from api.threads import threads
from api.transactions import transactions
from api.webhooks import webhooks
from infra import tracing
from infra.logging import configure_logging
from infra.settings import load_settings_or_exit
from infra.wiring import Services, build

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# None of our pages asks for any of it.
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
        *("magnetometer", "microphone", "midi", "payment", "usb"),
    )
)
QUIET = frozenset({"/health", "/ready", "/metrics"})


class ContractJson(DefaultJSONProvider):
    """Keys in the order of the contract, which is for people."""

    sort_keys = False


class Api(APIFlask):
    """The application class. It describes itself when it is first asked to, and once: that takes
    half a second, and few ask."""

    json_provider_class = ContractJson

    def __init__(self, *args: Any, **options: Any) -> None:
        self._describing = Lock()
        super().__init__(*args, **options)

    def full_dispatch_request(self) -> Response:
        """Around everything that a request does, its errors included."""
        if request.path in QUIET:
            return super().full_dispatch_request()
        with tracing.span("http_request", kind="SERVER"):
            return super().full_dispatch_request()

    def _get_spec(self, *args: Any, **options: Any) -> dict[Any, Any] | str:
        with self._describing:
            return super()._get_spec(*args, **options)

    @property
    def spec(self) -> dict[Any, Any] | str:
        return self._get_spec()


class ShortInteger(IntegerConverter):
    """Ids in addresses: a number no table could hold is an unknown address, not an error."""

    regex = r"\d{1,18}"


def utc_now() -> datetime:
    """The present, aware and UTC."""
    return datetime.now(UTC)


def create_app(
    services: Services | None = None, clock: Callable[[], datetime] = utc_now
) -> APIFlask:
    """The WSGI application; without services it builds them from the environment's settings."""
    if services is None:
        settings = load_settings_or_exit()
        configure_logging(settings.log_level)
        services = build(settings)
    app = Api(
        __name__,
        title="Huntaze",
        version="1",
        docs_path=None,
        json_errors=False,
        static_folder=None,  # api/pages/assets.py
    )
    app.config["MAX_CONTENT_LENGTH"] = bodies.BODY_MAX + 1
    app.url_map.converters["int"] = ShortInteger
    context.attach(app, services, clock)
    app.before_request(_begin)
    errors.register(app)
    auth.register(app, services)
    limits.register(app)
    app.after_request(_finish)
    for blueprint in (
        identity,
        messages,
        fans,
        linking,
        segments,
        merges,
        transactions,
        analytics,
        connections,
        events,
        webhooks,
        monitoring,
        imports,
        campaigns,
        screening,
        team,
        keys,
        audit,
        conversations,
        threads,
        saved_views,
        notifications,
        snippets,
        dead_letters,
        health,
    ):
        app.register_blueprint(blueprint)
    pages.register(app)
    documents.register(app, auth.PUBLIC)
    if proxies := services.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]  # Flask's documented way
    app.wsgi_app = closing(app.wsgi_app)  # type: ignore[assignment, method-assign]  # as above
    return app


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
    clear_contextvars()
    bind_contextvars(correlation_id=g.request_id)
    bodies.bound(request)


def _finish(response: Response) -> Response:
    """The same headers, one log line and one count for every answer."""
    _answer_conditionally(response)
    _secure(response)
    response.headers["X-Request-Id"] = g.request_id
    if leaves_body(request, response.status_code):
        response.headers.set(*ENDS)
    seconds = time.perf_counter() - g.started
    rule = request.url_rule
    route = rule.rule if rule else "unknown"
    metrics.count(request.method if rule else "any", route, response.status_code, seconds)
    if route not in QUIET:
        _trace(route, response.status_code)
        lines.http_request(route, response.status_code, seconds)
    clear_contextvars()
    return response


def _trace(route: str, status: int) -> None:
    method = request.method if request.url_rule else "any"
    facts = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "huntaze.correlation_id": g.request_id,
    }
    failed = {"error.type": str(status)} if status >= 500 else {}
    tracing.tell({**facts, **failed}, name=f"{method} {route}")


def _answer_conditionally(response: Response) -> None:
    """What a client has already, by its ETag, is not sent again: 304. Polling costs little so."""
    is_asked = request.method == "GET" and request.path.startswith(documents.TAGGED)
    is_list = response.status_code == 200 and response.is_json and not response.is_streamed
    # An answer with an ETag of its own says by it which version may be changed; and what is written
    # while it is read would have to be held in memory as a whole.
    if is_asked and is_list and not response.get_etag()[0]:
        response.add_etag()
        response.make_conditional(request)


def _secure(response: Response) -> None:
    headers = response.headers
    headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'",
    )
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers["Permissions-Policy"] = PERMISSIONS_POLICY
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if context.services().settings.public_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if request.path.startswith("/api/"):
        headers["Cache-Control"] = "no-store"
