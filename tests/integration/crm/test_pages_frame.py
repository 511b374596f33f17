"""What every page promises: who may see it, what is refused, and what it weighs."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.pages.filters import ACCOUNT_STATES
from domain.connections import ConnectionState
from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm

PASSWORD = "correct horse battery"
MARKUP = "<script>alert(1)</script>"
HEAVIEST_BYTES = 150_000
ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/ok\r\nSet-Cookie: a=b",
    "evil.example",
)


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    """A browser in which nobody is logged in yet; the owner's password is known."""
    crm.sql(
        "UPDATE users SET password_hash = :hash",
        hash=Argon2PasswordHasher().hash(PASSWORD),
    )
    with crm.client.application.test_client() as client:
        yield client


def log_in(browser: FlaskClient, email: str = "owner@example.com", **more: Any) -> TestResponse:
    return browser.post("/login", data={"email": email, "password": PASSWORD, **more})


def csrf(answer: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


def test_a_form_logs_in_and_leads_to_the_page_that_was_asked_for(browser: FlaskClient) -> None:
    refused = browser.get("/styleguide?tab=1&name=%C3%A9")
    assert refused.status_code == 303
    login = browser.get(refused.location)
    asked = re.search(r'name="next" value="([^"]+)"', login.text)
    assert asked is not None

    answer = log_in(browser, next=asked[1].replace("&amp;", "&"))

    assert answer.status_code == 303
    assert answer.location.startswith("/styleguide?tab=1&name=")
    cookies = answer.headers.getlist("Set-Cookie")
    assert all("SameSite=Lax" in one for one in cookies)
    assert any(one.startswith("huntaze_login=") and "HttpOnly" in one for one in cookies)
    assert browser.get(answer.location).status_code == 200


def test_a_wrong_password_says_the_same_as_an_unknown_email(browser: FlaskClient) -> None:
    told = []
    for email in ("owner@example.com", "nobody@example.com"):
        answer = browser.post("/login", data={"email": email, "password": "wrong"})
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        told.append(answer.text.replace(email, ""))
    alerts = [re.findall(r'role="alert".*?</', text, re.DOTALL) for text in told]
    assert alerts[0] == alerts[1] != []


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_login_leads_nowhere_else(browser: FlaskClient, path: str) -> None:
    assert log_in(browser, next=path).location == "/"
    token = csrf(browser.get("/"))
    chosen = {"theme": "dark", "next": path, "csrf_token": token}
    assert browser.post("/theme", data=chosen).location == "/"


def test_a_foreign_page_logs_nobody_in(browser: FlaskClient) -> None:
    data = {"email": "owner@example.com", "password": PASSWORD}
    answer = browser.post("/login", data=data, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_form_needs_the_token_of_its_own_login(browser: FlaskClient) -> None:
    log_in(browser)
    stranger = browser.application.test_client()
    log_in(stranger, "stranger@example.com")
    for token in (None, "", "0" * 32, "é", csrf(stranger.get("/"))):
        for path in ("/theme", "/logout"):
            data = {"theme": "dark"} | ({} if token is None else {"csrf_token": token})
            answer = browser.post(path, data=data)
            assert answer.status_code in {401, 403, 303}
            if answer.status_code == 303:
                assert answer.location.startswith("/login?") or answer.location == "/login"
            assert "Set-Cookie" not in answer.headers, path
    assert browser.get("/").status_code == 200


def test_a_form_older_than_the_login_says_so_and_loses_nothing(browser: FlaskClient) -> None:
    log_in(browser)
    stale = csrf(browser.get("/"))
    log_in(browser)  # In another tab.
    data = {"csrf_token": stale, "text": f"A long letter {MARKUP}", "password": "hidden"}
    came = {"Referer": "http://localhost/messages/onlyfans?unread=1"}

    answer = browser.post("/messages/onlyfans/1/send", data=data, headers=came)

    assert answer.status_code == 403
    assert "This page is older than your login" in answer.text
    assert "A long letter &lt;script&gt;" in answer.text
    assert "hidden" not in re.sub(r'aria-hidden|type="hidden"', "", answer.text)
    assert 'href="/messages/onlyfans?unread=1"' in answer.text
    part = browser.post("/theme", data=data, headers={"HX-Request": "true"} | came)
    assert (part.status_code, part.headers["HX-Retarget"]) == (403, "#toasts")
    assert "what you typed is still here" in part.text
    for nowhere in ("https://evil.example/trap", "http://localhost/messages/onlyfans/1/send"):
        told = browser.post("/theme", data=data, headers={"Referer": nowhere}).text
        assert urlsplit(nowhere).path not in told
        assert "Back to today" in told


def test_logging_out_ends_it(browser: FlaskClient) -> None:
    log_in(browser)
    answer = browser.post("/logout", data={"csrf_token": csrf(browser.get("/"))})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert browser.get("/").location == "/login"


def test_a_login_that_expired_leads_to_the_login_and_back(crm: Crm, browser: FlaskClient) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    expired = crm.services.tokens.issue(crm.users["owner"], long_ago).text
    browser.set_cookie("huntaze_login", expired)

    answer = browser.get("/styleguide?tab=1")
    assert answer.status_code == 303
    assert answer.location == "/login?next=/styleguide%3Ftab%3D1"
    # A part only says so: whatever is typed beside it stays.
    part = browser.get("/today", headers={"HX-Request": "true"})
    assert (part.status_code, "You are logged out" in part.text) == (401, True)
    assert log_in(browser, next="/styleguide?tab=1").location == "/styleguide?tab=1"


@pytest.mark.parametrize("path", ["/login", "/", "/styleguide", "/today", "/badges", "/nowhere"])
def test_no_page_is_framed_kept_or_runs_what_is_not_ours(browser: FlaskClient, path: str) -> None:
    log_in(browser)
    answer = browser.get(path, headers={"Accept": "text/html"})
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|hx-on", answer.text)


def test_names_are_text(crm: Crm, browser: FlaskClient) -> None:
    crm.sql("UPDATE platform_connections SET name = :name", name=MARKUP)
    crm.sql("UPDATE users SET email = :email WHERE email LIKE 'owner%'", email=f'"{MARKUP}@x.y')
    log_in(browser, f'"{MARKUP}@x.y')

    answer = browser.get("/")

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    wrong = browser.post("/login", data={"email": f'">{MARKUP}', "password": "x"})
    assert "<script>alert" not in wrong.text


@pytest.mark.parametrize("state", ConnectionState)
def test_an_account_is_in_one_state_on_all_pages(
    crm: Crm, browser: FlaskClient, state: ConnectionState
) -> None:
    crm.sql("UPDATE platform_connections SET state = :state", state=state.value)
    log_in(browser)
    word, kind = ACCOUNT_STATES[state]
    places = ["/platforms/connect/onlyfans", "/settings/accounts"]
    if state is not ConnectionState.ACTIVE:
        places += ["/", "/monitoring"]
    for path in places:
        text = re.sub(r"<svg.*?</svg>", "", browser.get(path).text, flags=re.DOTALL)
        assert f'<span class="badge {kind}">{word}</span>' in text, path
        assert "paused_" not in re.sub(r'href="[^"]*"', "", text), path


@pytest.mark.parametrize("path", ["/login", "/", "/styleguide"])
def test_a_page_is_light(browser: FlaskClient, path: str) -> None:
    log_in(browser)
    answer = browser.get(path)
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text))
    assert len(files) >= 3
    weight = len(answer.data)
    for one in files:
        with browser.get(one) as file:
            assert file.status_code == 200
            assert "immutable" in file.headers["Cache-Control"]
            weight += len(file.data)
    assert weight < HEAVIEST_BYTES


@pytest.mark.parametrize("path", ["/today", "/badges"])
def test_a_part_that_did_not_change_says_nothing(crm: Crm, browser: FlaskClient, path: str) -> None:
    log_in(browser)
    first = browser.get(path, headers={"HX-Request": "true"})
    again = re.search(r'hx-get="([^"]+seen=[^"]+)"', first.text)
    assert again is not None

    assert browser.get(again[1], headers={"HX-Request": "true"}).status_code == 204
    assert browser.get(f"{path}?seen=other", headers={"HX-Request": "true"}).status_code == 200


def test_what_is_not_there_is_a_page(browser: FlaskClient) -> None:
    log_in(browser)
    answer = browser.get("/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert browser.get("/api/nowhere").is_json
