"""The OpenAPI document and its rendering: one page of our own, without scripts or foreign hosts."""

import json
from typing import Any, cast

from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, render_template

from api.schemas.base import ErrorReply

documents = APIBlueprint("documents", __name__, enable_openapi=False)

Responses = dict[int | str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
EXAMPLES: dict[int, tuple[str, str, str]] = {
    400: ("malformed_json", "The body cannot be read: it is not JSON in UTF-8", "Not understood"),
    401: ("not_authenticated", "Not authenticated", "No login, or not a valid one"),
    403: ("forbidden", "your role analyst may not send", "The role does not allow it"),
    404: ("not_found", "There is nothing here", "Missing, or somebody else's"),
    409: ("conflict", "it is sent and cannot be cancelled", "Its present state does not allow it"),
    413: ("body_too_large", "The body is too large", "More than 64 KiB"),
    415: (
        "unsupported_media_type",
        "Send JSON with Content-Type: application/json",
        "Not application/json",
    ),
    422: ("invalid", "The request is not valid", "Fields break a rule; nothing was stored"),
    429: ("rate_limited", "60 requests a minute are the limit: wait a little", "Too many requests"),
    503: ("unavailable", "the database does not answer; nothing was changed", "Try again later"),
}
# On every answer to a login: what is left of the requests of this minute.
QUOTA_HEADERS = {
    "X-RateLimit-Limit": "requests a minute of one user, all logins and keys together; an answer"
    " 304 counts half",
    "X-RateLimit-Remaining": "how many are left",
    "X-RateLimit-Reset": "seconds until the oldest counted request counts no more",
}
# Marks an operation that takes an Idempotency-Key.
IDEMPOTENT = {"x-idempotent": True}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key with the same body brings back the first answer for 24 hours,"
    " with the header Idempotent-Replayed: true; with another body it is refused (422).",
}

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 32},
    "description": "The ETag that was read: refused (409 version_conflict) if it changed since.",
}
# Marks an operation whose answer is written while it is read.
FILE = {"x-file": True}
ETAG = {"description": "the version, quoted; for If-Match", "schema": {"type": "string"}}
# Lists and rows, which clients look at again and again.
TAGGED = ("/api/crm/", "/api/notifications")
TAG = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of an earlier answer: 304 while nothing changed.",
}


def problems(*statuses: int) -> Responses:
    """The error responses of an operation, for its documentation."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    code, error, description = EXAMPLES[status]
    example: dict[str, Any] = {
        "error": error,
        "code": code,
        "details": [],
        "requestId": "0d5a6a1f6f6b4d0c",
    }
    if status == 422:
        example["details"] = [{"field": "priority", "message": "use 1 (most urgent) to 10"}]
    if status == 503:
        example |= {"retryAfterSec": 5, "reason": code, "limit": None}
    if status == 429:
        example |= {"retryAfterSec": 12, "reason": "user_requests_per_minute", "limit": 60}
    reply: dict[str, Any] = {
        "description": description,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorReply"},
                "example": example,
            }
        },
    }
    if status in {429, 503}:
        reply["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return reply


def register(app: APIFlask, public: frozenset[str]) -> None:
    """Serve /openapi.json and /docs; every operation not in `public` asks for a login."""
    app.config["SECURITY_SCHEMES"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "a token of /api/auth/login, or an API key",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "huntaze_login",
            "description": "of /api/auth/session; over HTTPS it is called __Host-huntaze_login. A"
            " request that changes something also needs the header X-CSRF-TOKEN",
        },
    }
    app.config["OPENAPI_VERSION"] = "3.1.0"
    app.config["AUTO_VALIDATION_ERROR_RESPONSE"] = False
    app.config["AUTO_AUTH_ERROR_RESPONSE"] = False
    app.config["AUTO_404_RESPONSE"] = False
    app.config["AUTO_SERVERS"] = False
    app.config["AUTO_OPERATION_ID"] = True

    @app.spec_processor
    def complete(document: dict[Any, Any] | str) -> dict[Any, Any] | str:
        spec = cast("dict[str, Any]", document)
        schemas = spec["components"]["schemas"]
        error = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= error.pop("$defs")
        schemas["ErrorReply"] = error
        for path, operations in spec["paths"].items():
            for method, operation in operations.items():
                if method == "get" and path.startswith(TAGGED):
                    _tag(operation)
                _complete(operation, is_public=path in public)
        return spec

    app.register_blueprint(documents)


def _complete(operation: dict[str, Any], *, is_public: bool) -> None:
    """What holds for every operation need not be repeated at each."""
    responses = operation["responses"]
    if not is_public:
        operation["security"] = [{"bearer": []}, {"cookie": []}]
        responses |= {str(status): _problem(status) for status in (401, 429, 503)}
    operation["responses"] = dict(sorted(responses.items()))
    if operation.pop("x-if-match", False):
        operation["parameters"].append(IF_MATCH)
    if operation.pop("x-etag", False):
        for status, reply in operation["responses"].items():
            if status.startswith("2"):
                reply.setdefault("headers", {})["ETag"] = ETAG
    if prefer := operation.pop("x-prefer", None):
        operation["parameters"].append(prefer)
    if multipart := operation.pop("x-multipart", None):
        operation["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": multipart},
        }
    if operation.pop("x-idempotent", False):
        operation["parameters"].append(IDEMPOTENCY)
        replayed = {
            "description": "true when an Idempotency-Key brought back an earlier answer",
            "schema": {"type": "string", "enum": ["true"]},
        }
        for status, reply in operation["responses"].items():
            if status.startswith("2"):
                reply.setdefault("headers", {})["Idempotent-Replayed"] = replayed
    if not is_public:
        for status, reply in operation["responses"].items():
            if status != "401":
                reply.setdefault("headers", {}).update(
                    {
                        name: {"description": told, "schema": {"type": "integer"}}
                        for name, told in QUOTA_HEADERS.items()
                    }
                )


def _tag(operation: dict[str, Any]) -> None:
    """Answers carry an ETag, and are not repeated to who names it; except where the ETag is a
    version, or the answer a file."""
    content = operation["responses"]["200"].get("content", {})
    is_file = operation.pop("x-file", False)
    if is_file or "x-etag" in operation or "application/json" not in content:
        return
    operation["parameters"].append(TAG)
    tag = {"ETag": {"schema": {"type": "string"}}}
    operation["responses"]["200"].setdefault("headers", {}).update(tag)
    operation["responses"]["304"] = {"description": "As the answer with this ETag"}


@documents.get("/docs")
def docs() -> str:
    spec = cast("APIFlask", current_app).spec
    assert isinstance(spec, dict)
    return render_template("docs.html", spec=spec, operations=_operations(spec), pretty=_pretty)


@documents.get("/docs.css")
def style() -> Response:
    return Response(render_template("docs.css"), content_type="text/css; charset=utf-8")


def _operations(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Tag -> its operations, each with its method, path and whether it needs a login."""
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, operations in spec["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                tag = (operation.get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append({**operation, "method": method, "path": path})
    return by_tag


def _pretty(example: object) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)
