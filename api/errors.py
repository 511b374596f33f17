"""Every refusal as one JSON shape. Only here are HTTP statuses of domain errors known.

What is unexpected is logged under its request id and says nothing about itself to the outside.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask, Response, current_app, g, json, request
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException

from api.context import services
from domain.errors import (
    Conflict,
    DomainError,
    FieldProblem,
    Forbidden,
    IllegalTransition,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
)

STATUS: Mapping[type[DomainError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    IllegalTransition: 409,
    Forbidden: 403,
    TooMany: 429,
    Unavailable: 503,
}
# Where a code says more about the request than its class does.
STATUS_OF_CODE: Mapping[str, int] = {"idempotency_key_reused": 422, "malformed_json": 400}

RefusalPage = Callable[[int, str, str, Mapping[str, object]], Response | None]

RETRY_AFTER_SECONDS = 5
DETAILS_MAX, NAME_MAX = 20, 64

PLAIN_WORDS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be understood"),
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This address does not take that method"),
    413: ("body_too_large", "The body is too large"),
    415: ("unsupported_media_type", "Send JSON with Content-Type: application/json"),
}

FIELD_WORDS: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "use a string",
    "int_type": "use a whole number",
    "int_parsing": "use a whole number",
    "int_from_float": "use a whole number",
    "list_type": "use a list",
    "dict_type": "use an object",
    "model_type": "use a JSON object",
    "model_attributes_type": "use a JSON object",
}


class Refusal(Exception):
    """A request that never reached a service."""

    def __init__(
        self, status: int, code: str, error: str, problems: Sequence[FieldProblem] = ()
    ) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.error = error
        self.problems = problems


def not_authenticated() -> Refusal:
    """The one answer to every kind of missing or bad login: it teaches an attacker nothing."""
    return Refusal(401, "not_authenticated", "Not authenticated")


def field_problems(errors: Sequence[ErrorDetails]) -> tuple[FieldProblem, ...]:
    """Validation errors in our words, bounded, since names of unknown fields come from outside."""
    return tuple(
        FieldProblem(
            ".".join(str(part)[:NAME_MAX] for part in error["loc"]) or "body",
            FIELD_WORDS.get(error["type"], error["msg"]),
        )
        for error in errors[:DETAILS_MAX]
    )


def problem(
    status: int, code: str, error: str, problems: Sequence[FieldProblem] = (), **more: object
) -> Response:
    """The error shape as a response; a page to whoever asked for one."""
    as_page: RefusalPage | None = current_app.extensions.get("refusal_page")
    if as_page is not None and (shown := as_page(status, code, error, more)) is not None:
        return shown
    body: dict[str, Any] = {
        "error": error,
        "code": code,
        "details": [{"field": one.field, "message": one.message} for one in problems],
        "requestId": g.get("request_id", ""),
        **more,
    }
    response = Response(json.dumps(body) + "\n", status, content_type="application/json")
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if (seconds := more.get("retryAfterSec")) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def register(app: Flask) -> None:
    """Answer every exception of `app` in the one shape."""
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _domain_error(error: DomainError) -> Response:
    status = STATUS_OF_CODE.get(error.code) or next(
        (status for kind, status in STATUS.items() if isinstance(error, kind)), 500
    )
    problems = error.problems if isinstance(error, Invalid | Conflict) else ()
    if isinstance(error, TooMany):
        return problem(
            status,
            error.code,
            error.message,
            retryAfterSec=max(1, math.ceil(error.retry_after.total_seconds())),
            reason=error.reason,
            limit=error.limit,
        )
    if status == 503:
        return problem(
            status,
            error.code,
            error.message,
            retryAfterSec=RETRY_AFTER_SECONDS,
            reason=error.code,
            limit=None,
        )
    return problem(status, error.code, error.message, problems)


def _refusal(refusal: Refusal) -> Response:
    return problem(refusal.status, refusal.code, refusal.error, refusal.problems)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_response().response, status, dict(error.get_headers()))
    code, words = PLAIN_WORDS.get(status, (re.sub(r"\W+", "_", error.name.lower()), error.name))
    response = problem(status, code, words)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    services().journal.alert(
        "http_request_failed",
        route=str(request.url_rule or "none"),
        method=request.method,
        exc_info=error,
    )
    return problem(500, "internal", "Something went wrong on our side; the request id names it")
