"""Reading what a request carries: strictly, bounded, and never into a 500.

APIFlask's decorators call these through a schema adapter, so that handlers and the OpenAPI document
speak of the same pydantic models.
"""

import hashlib
import json
import math
import re
from typing import Any, NoReturn

from apiflask import APIBlueprint
from apiflask.schema_adapters.pydantic import PydanticAdapter
from apiflask.schema_adapters.registry import registry
from flask import Request, g, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from api.context import services
from api.errors import Refusal, field_problems
from api.uploads import too_large
from domain.errors import FieldProblem
from domain.repositories import Once

BODY_MAX = 64 * 1024
WEBHOOK_MAX = 1024 * 1024
WEBHOOKS, UPLOADS = "/api/webhooks/onlyfans", "/api/onlyfans/import/csv"
PAGE_UPLOADS = "/platforms/connect/onlyfans/imports"
# Deeper than any body of ours, and far below Python's recursion limit.
DEPTH_MAX = 32
IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


class StrictAdapter(PydanticAdapter):
    """Makes APIFlask validate with our readers and refuse in our shape."""

    def validate_input(self, request: Request, location: str, **_: Any) -> BaseModel:
        document = self._document(request) if location == "json" else read_query(request)
        _check_texts(document)
        try:
            model: BaseModel = self.model_class.model_validate(document)
        except ValidationError as error:
            raise Refusal(
                422, "invalid", "The request is not valid", field_problems(error.errors())
            ) from None
        return model

    def _document(self, request: Request) -> Any:
        """The body; none at all will do where every field may be left out."""
        fields = self.model_class.model_fields.values()
        is_optional = not any(field.is_required() for field in fields)
        if is_optional and not request.content_type and not request.get_data():
            return {}
        return read_json(request)


# APIFlask picks an adapter while a handler is decorated, hence before any route is defined.
registry.register("pydantic", StrictAdapter)


class Routes(APIBlueprint):
    """A group of routes that read requests with StrictAdapter."""


def read_query(request: Request) -> dict[str, str | list[str]]:
    """The query string; a name that is repeated has a list, which only some fields take."""
    return {
        name: values[0] if len(values) == 1 else values
        for name, values in request.args.to_dict(flat=False).items()
    }


def bound(request: Request) -> None:
    """Refuse a body beyond its address's limit before it is read; raises 413."""
    rule = request.url_rule.rule if request.url_rule else ""
    if rule in {UPLOADS, PAGE_UPLOADS} and request.method == "POST":
        largest = services().settings.csv_max_bytes
        # And what surrounds the file: boundaries, heads, and the other fields.
        limit = largest + BODY_MAX
        refusal: Exception = too_large(largest)
    else:
        limit = WEBHOOK_MAX if rule == WEBHOOKS else BODY_MAX
        refusal = RequestEntityTooLarge()
    # One byte more: a chunked body is cut off there, and found to be too long.
    request.max_content_length = limit + 1
    if (request.content_length or 0) > limit:
        raise refusal


def read_json(request: Request) -> Any:
    """The body as parsed JSON; raises Refusal 400, 413 or 415."""
    if not request.is_json:
        raise Refusal(
            415, "unsupported_media_type", "Send JSON with Content-Type: application/json"
        )
    body = request.get_data()
    if len(body) > BODY_MAX:  # A chunked body has no length before it is read.
        raise RequestEntityTooLarge
    try:
        document = json.loads(body.decode(), parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except ValueError:  # not UTF-8, not JSON, or a number beyond all bounds
        raise _malformed("it is not JSON in UTF-8") from None
    if _too_deep(document):
        raise _malformed("it is nested too deeply")
    g.json_document = document
    return document


def once(document: Any = None) -> Once | None:
    """The request's Idempotency-Key, bound to its address and body (the JSON that was read, unless
    another `document` stands for it); raises Refusal 400."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise Refusal(
            400, "idempotency_key_invalid", "Idempotency-Key: use 1 to 255 printable ASCII"
        )
    said = g.get("json_document") if document is None else document
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    fingerprint = hashlib.sha256(canonical.encode()).hexdigest()
    return Once(key, f"{request.method} {request.path.lower()}", fingerprint)


def replay_mark(*, replayed: bool) -> dict[str, str]:
    """The header of an answer that an Idempotency-Key brought back."""
    return {"Idempotent-Replayed": "true"} if replayed else {}


def _malformed(why: str) -> Refusal:
    return Refusal(400, "malformed_json", f"The body cannot be read: {why}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def _too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _check_texts(document: Any, place: str = "") -> None:
    """PostgreSQL stores neither NUL nor half a surrogate pair: say so by name, names included."""
    if isinstance(document, str) and NOT_TEXT.search(document):
        problem = FieldProblem(place or "body", "remove the NUL or lone surrogate: it is no text")
        raise Refusal(422, "invalid", "The request is not valid", [problem])
    if isinstance(document, dict):
        for name, value in document.items():
            _check_texts(name, place)
            _check_texts(value, f"{place}.{name[:64]}".lstrip("."))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            _check_texts(value, f"{place}.{number}".lstrip("."))
