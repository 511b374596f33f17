"""Logging in with a cookie: who may use it, and how one is out again."""

from datetime import UTC, datetime

import jwt
import pytest
from werkzeug.test import TestResponse

from domain.users import Role
from tests.fakes.bus import FakeBus
from tests.fakes.unit_of_work import FakeDatabase
from tests.unit.api.conftest import PASSWORD, World

SESSION = "/api/auth/session"
STATUS = "/api/onlyfans/messages/status"


def begin(world: World, **headers: str) -> TestResponse:
    body = {"email": "ann@example.com", "password": PASSWORD}
    return world.client.post(SESSION, json=body, headers=headers)


def send(world: World, **headers: str) -> TestResponse:
    return world.client.post(
        "/api/onlyfans/messages/send",
        json={"recipientId": f"fan_{world.fan}", "content": "Hi"},
        headers=headers,
    )


@pytest.fixture
def data(bus: FakeBus) -> FakeDatabase:
    """Its clock stands still at the present: a cookie's token is read by the real clock."""
    moment = datetime.now(UTC)
    return FakeDatabase(bus, lambda: moment)


def test_a_session_is_two_cookies_of_which_scripts_read_one(world: World) -> None:
    answer = begin(world)

    login, csrf = sorted(answer.headers.getlist("Set-Cookie"), reverse=True)
    assert answer.get_json() == {
        "expiresAt": answer.get_json()["expiresAt"],
        "csrfToken": csrf.split("=", 1)[1].split(";")[0],
        "user": {"id": world.user.id, "email": "ann@example.com", "role": "owner"},
    }
    assert login.startswith("huntaze_login=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=43200"} <= set(login.split("; "))
    assert "HttpOnly" not in csrf
    assert "Secure" not in login + csrf


def test_behind_https_the_cookies_are_for_this_host_and_https_only(make_world) -> None:
    world = make_world(public_url="https://huntaze.example")

    cookies = begin(world).headers.getlist("Set-Cookie")

    assert {one.split("=")[0] for one in cookies} == {"__Host-huntaze_login", "huntaze_csrf"}
    assert all("Secure" in one.split("; ") for one in cookies)


def test_the_cookie_reads_without_and_writes_only_with_the_csrf_header(world: World) -> None:
    csrf = begin(world).get_json()["csrfToken"]

    assert world.client.get(STATUS).status_code == 200
    for wrong in ({}, {"X-CSRF-TOKEN": ""}, {"X-CSRF-TOKEN": "0" * 32}):
        refused = send(world, **wrong)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "csrf_missing")
    assert world.data.messages() == []
    assert send(world, **{"X-CSRF-TOKEN": csrf}).status_code == 202


def test_a_hostile_csrf_header_is_no_error_of_ours(world: World) -> None:
    begin(world)

    assert send(world, **{"X-CSRF-TOKEN": "é" * 32}).status_code in {401, 403}


def test_a_bearer_token_needs_no_csrf_header(world: World) -> None:
    assert world.send().status_code == 202


def test_a_bad_bearer_token_is_not_saved_by_a_good_cookie(world: World) -> None:
    begin(world)

    answer = world.client.get(STATUS, headers={"Authorization": "Bearer nonsense"})

    assert answer.status_code == 401


def test_a_cookie_that_is_no_token_is_no_login(world: World) -> None:
    world.client.set_cookie("huntaze_login", "nonsense")

    assert world.client.get(STATUS).status_code == 401


def test_logging_out_clears_both_cookies_and_needs_none(world: World) -> None:
    assert world.client.delete(SESSION).status_code == 204
    begin(world)

    answer = world.client.delete(SESSION)

    assert (answer.status_code, answer.data) == (204, b"")
    assert world.client.get_cookie("huntaze_login") is None
    assert world.client.get_cookie("huntaze_csrf") is None
    assert world.client.get(STATUS).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost:81",
        "http://[",
        "",
    ],
)
def test_no_foreign_page_logs_anybody_in_or_out(world: World, origin: str) -> None:
    body = {"email": "ann@example.com", "password": PASSWORD}
    answers = [
        begin(world, Origin=origin),
        world.client.post("/api/auth/login", json=body, headers={"Origin": origin}),
        world.client.delete(SESSION, headers={"Origin": origin}),
    ]

    assert [(one.status_code, one.get_json()["code"]) for one in answers] == [
        (403, "origin_refused")
    ] * 3
    assert not any(one.headers.getlist("Set-Cookie") for one in answers)


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8000", "http://localhost", "https://localhost"]
)
def test_our_own_pages_log_in(world: World, origin: str) -> None:
    assert begin(world, Origin=origin).status_code == 200


def test_a_bad_session_login_is_the_one_401_without_cookies(world: World) -> None:
    body = {"email": "ann@example.com", "password": "wrong"}

    answer = world.client.post(SESSION, json=body)

    assert (answer.status_code, answer.get_json()["error"]) == (401, "Not authenticated")
    assert answer.headers.getlist("Set-Cookie") == []


def test_me_says_who_asks_and_what_the_role_allows(world: World) -> None:
    member = world.data.new_user(
        "carl@example.com", Role.CHATTER, world.owner, time_zone="Europe/Paris"
    )

    answer = world.client.get("/api/auth/me", headers=world.bearer(member))

    assert answer.get_json() == {
        "id": member.id,
        "ownerId": world.owner,
        "email": "carl@example.com",
        "role": "chatter",
        "permissions": ["read", "send", "edit"],
        "timeZone": "Europe/Paris",
        "apiKeyId": None,
    }


def test_logins_and_failures_are_in_the_owners_log(world: World) -> None:
    member = world.data.new_user("carl@example.com", Role.CHATTER, world.owner)
    begin(world).close()
    for email in ("carl@example.com", "nobody@example.com"):
        body = {"email": email, "password": "wrong"}
        world.client.post("/api/auth/login", json=body).close()

    with world.data.open() as work:
        lines = work.audit.page(world.owner, 10, None).items
    assert [(one.action, one.actor_id, one.subject_id) for one in lines] == [
        ("login.failed", None, str(member.id)),
        ("login.succeeded", world.user.id, str(world.user.id)),
    ]


def test_a_failure_is_written_only_after_the_answer(world: World) -> None:
    body = {"email": "ann@example.com", "password": "wrong"}
    answer = world.client.post("/api/auth/login", json=body)
    with world.data.open() as work:
        before = work.audit.page(world.owner, 10, None).total

    answer.close()

    with world.data.open() as work:
        assert (before, work.audit.page(world.owner, 10, None).total) == (0, 1)


def test_a_cookie_holds_the_token_that_a_program_would_get(world: World) -> None:
    csrf = begin(world).get_json()["csrfToken"]
    cookie = world.client.get_cookie("huntaze_login")

    claims = jwt.decode(cookie.value, options={"verify_signature": False})

    assert (claims["sub"], claims["csrf"]) == (str(world.user.id), csrf)
