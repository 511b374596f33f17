"""What surrounds every request: errors, ids, headers, log lines, counters, and the documents."""

import re
from io import BytesIO

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import bodies, errors
from api.auth import ALWAYS
from api.limits import PAGES
from domain.errors import (
    Conflict,
    Forbidden,
    IllegalTransition,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
)
from tests.unit.api.conftest import World

STATUS_PATH = "/api/onlyfans/messages/status"


def answers_with(world: World, problem: Exception):
    """The answer of a route whose service raises this."""

    def raises(*_: object) -> None:
        raise problem

    services = world.client.application.extensions["huntaze"][0]
    services.messages.get_queue_status = raises
    return world.get(STATUS_PATH)


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        (Invalid(), 422, "invalid"),
        (NotFound("no such message"), 404, "not_found"),
        (Conflict("it is sent", code="not_queued"), 409, "not_queued"),
        (Conflict("used", code="idempotency_key_reused"), 422, "idempotency_key_reused"),
        (Conflict("runs", code="idempotency_in_progress"), 409, "idempotency_in_progress"),
        (IllegalTransition("no"), 409, "illegal_transition"),
        (Forbidden("your role may not"), 403, "forbidden"),
        (Unavailable("away"), 503, "unavailable"),
        (RuntimeError("secret text of a user"), 500, "internal"),
        (RecursionError(), 500, "internal"),
    ],
)
def test_every_error_has_one_shape(
    world: World, problem: Exception, status: int, code: str
) -> None:
    answer = answers_with(world, problem)

    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert list(body)[:4] == ["error", "code", "details", "requestId"]
    assert body["requestId"] == answer.headers["X-Request-Id"]
    assert "secret" not in answer.text


def test_an_outage_says_when_to_come_back(world: World) -> None:
    answer = answers_with(world, Unavailable("the database does not answer"))

    assert answer.headers["Retry-After"] == "5"
    assert answer.get_json() == {
        "error": "the database does not answer",
        "code": "unavailable",
        "details": [],
        "requestId": answer.headers["X-Request-Id"],
        "retryAfterSec": 5,
        "reason": "unavailable",
        "limit": None,
    }


def test_what_is_unexpected_is_an_alert_under_its_request_id(world: World) -> None:
    problem = RuntimeError("boom")

    answer = answers_with(world, problem)

    [alert] = world.journal.of("http_request_failed")
    assert alert == {"route": STATUS_PATH, "method": "GET", "exc_info": problem}
    assert answer.get_json()["requestId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/onlyfans/messages/send", 405, "method_not_allowed"),
        ("PUT", "/api/crm/fans", 405, "method_not_allowed"),
        ("TRACE", "/health", 405, "method_not_allowed"),
    ],
)
def test_wrong_addresses_and_methods_are_answered_in_the_shape(
    world: World, method: str, path: str, status: int, code: str
) -> None:
    answer = world.client.open(path, method=method)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/onlyfans/messages/send"])
def test_a_body_over_the_limit_is_refused_before_it_is_read(world: World, path: str) -> None:
    answer = world.client.post(
        path, data=b"x" * (bodies.BODY_MAX + 1), content_type="application/json"
    )

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("length", "status"), [(bodies.BODY_MAX, 400), (bodies.BODY_MAX + 1, 413), (200_000, 413)]
)
def test_a_body_of_unknown_length_is_cut_off_at_the_limit(
    world: World, length: int, status: int
) -> None:
    answer = world.post(
        "/api/onlyfans/messages/send",
        input_stream=BytesIO(b"x" * length),
        environ_overrides={"wsgi.input_terminated": True},
        content_type="application/json",
    )

    assert answer.status_code == status


def test_a_sane_request_id_is_kept_and_any_other_replaced(world: World) -> None:
    kept = world.client.get("/health", headers={"X-Request-Id": "req-2026.11_23"})
    made = world.client.get("/health", headers={"X-Request-Id": "x y <script>"})

    assert kept.headers["X-Request-Id"] == "req-2026.11_23"
    assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-Id"])


def test_every_answer_carries_the_secure_headers(world: World) -> None:
    for answer in (world.client.get("/health"), world.get(STATUS_PATH), world.get("/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "camera=()" in answer.headers["Permissions-Policy"].split(", ")
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Strict-Transport-Security" not in answer.headers
    assert world.get(STATUS_PATH).headers["Cache-Control"] == "no-store"


def test_behind_https_browsers_are_told_to_stay_there(make_world) -> None:
    world = make_world(public_url="https://huntaze.example")

    assert "max-age" in world.client.get("/health").headers["Strict-Transport-Security"]


def test_a_request_is_one_line_without_what_was_asked(world: World) -> None:
    answer = world.get("/api/crm/fans?cursor=hello")

    [line] = world.journal.of("http_request")
    assert line.pop("durationMs") >= 0
    assert line == {
        "method": "GET",
        "route": "/api/crm/fans",
        "status": 422,
        "userId": str(world.user.id),
        "requestId": answer.headers["X-Request-Id"],
    }


def test_a_stranger_has_no_id_in_the_line(world: World) -> None:
    world.client.get(STATUS_PATH)

    assert [line["userId"] for line in world.journal.of("http_request")] == [None]


def test_probes_leave_no_lines(world: World) -> None:
    for path in ("/health", "/ready", "/metrics"):
        world.client.get(path)

    assert world.journal.lines == []


def test_counters_carry_routes_and_never_addresses(world: World) -> None:
    world.get("/api/onlyfans/messages/3f1c2a9e-6f0b-4f5e-9d3a-0a9f4c2b7d11")
    world.client.open("/nothing/at/all", method="INVENTED")

    text = world.client.get("/metrics").text

    line = 'huntaze_http_requests_total{method="GET",route="/api/onlyfans/messages/<uuid:message_id>",status="404"}'
    assert line in text
    assert 'route="unknown"' in text
    assert "INVENTED" not in text
    assert "3f1c2a9e" not in text


# The documents


def spec(world: World) -> dict:
    return world.client.get("/openapi.json").get_json()


def test_the_openapi_document_is_valid(world: World) -> None:
    document = spec(world)

    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_the_openapi_document_lists_every_route(world: World) -> None:
    listed = {
        (method.upper(), path)
        for path, operations in spec(world)["paths"].items()
        for method in operations
    }
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in world.client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule not in {"/openapi.json", "/docs", "/docs.css", "/static/<name>"}
        and not rule.endpoint.startswith(PAGES)
    }

    assert listed == routes


def operations(world: World):
    for path, methods in spec(world)["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_operation_is_described_with_examples_and_errors(world: World) -> None:
    for name, operation in operations(world):
        assert operation["summary"], name
        assert operation["operationId"], name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            for content_type, content in answer.get("content", {}).items():
                if content_type == "application/json":
                    assert "example" in content, (name, status)
        public = name.split(" ")[1] in ALWAYS
        assert ("security" in operation, "503" in operation["responses"]) == (
            not public,
            not public or name in {"get /ready", "post /api/webhooks/onlyfans"},
        )


def test_every_example_fits_its_schema(world: World) -> None:
    document = spec(world)
    for name, operation in operations(world):
        bodies_ = [answer.get("content", {}) for answer in operation["responses"].values()]
        if "requestBody" in operation:
            bodies_.append(operation["requestBody"]["content"])
        for content in bodies_:
            if "application/json" in content:
                one = content["application/json"]
                schema = {"components": document["components"], **one["schema"]}
                assert list(Draft202012Validator(schema).iter_errors(one["example"])) == [], name


def test_every_operation_with_a_login_documents_its_quota(world: World) -> None:
    for name, operation in operations(world):
        if "security" not in operation:
            continue
        refused = operation["responses"]["429"]
        assert refused["content"]["application/json"]["example"]["retryAfterSec"] == 12, name
        for status, answer in operation["responses"].items():
            told = {one for one in answer.get("headers", {}) if one.startswith("X-RateLimit-")}
            assert len(told) == (0 if status == "401" else 3), (name, status)


def test_idempotent_operations_document_the_header(world: World) -> None:
    documented = {
        name
        for name, operation in operations(world)
        if any(one["name"] == "Idempotency-Key" for one in operation["parameters"])
    }

    assert documented == {
        "post /api/connections",
        "post /api/crm/fans",
        "post /api/crm/fans/tags",
        "post /api/crm/fans/{fan_id}/merge",
        "post /api/crm/fans/{fan_id}/restore",
        "post /api/crm/merges/{merge_id}/undo",
        "post /api/crm/segments",
        "post /api/snippets",
        "post /api/onlyfans/messages/send",
        "post /api/onlyfans/messages/{message_id}/cancel",
        "post /api/onlyfans/messages/{message_id}/retry",
        "post /api/onlyfans/messages/{message_id}/confirm",
        "post /api/messages/bulk",
        "post /api/messages/bulk/test",
        "post /api/messages/bulk/{campaign_id}/retry",
        "post /api/onlyfans/import/csv",
        "post /api/onlyfans/import/csv/{import_id}/confirm",
        "post /api/onlyfans/import/csv/{import_id}/cancel",
        "post /api/onlyfans/import/csv/{import_id}/undo",
        "post /api/keys",
        "post /api/team",
        "post /api/crm/events/{event_id}/replay",
        "post /api/crm/transactions",
        "post /api/crm/transactions/{transaction_id}/reverse",
        "post /api/onlyfans/messages/{message_id}/unsend",
        "post /api/crm/conversations/{conversation_id}/messages",
        "post /api/crm/views",
    }


def test_the_rendered_document_needs_nobody_else(world: World) -> None:
    answer = world.client.get("/docs")

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "/api/onlyfans/messages/{message_id}/evidence" in answer.text
    assert "<script" not in answer.text
    assert set(re.findall(r'(?:href|src)="([^"#]+)"', answer.text)) == {
        "/docs.css",
        "/openapi.json",
    }
    assert world.client.get("/docs.css").mimetype == "text/css"


def test_the_table_of_statuses_is_whole() -> None:
    known = {Invalid, NotFound, Conflict, IllegalTransition, Forbidden, TooMany, Unavailable}

    assert set(errors.STATUS) == known
