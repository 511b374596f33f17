"""The pages of settings: who sees which, and that forms do what they say."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm

PASSWORD = "correct horse battery"
MARKUP = "<script>alert(1)</script>"
PATHS = ("", "/snippets", "/words", "/team", "/keys", "/audit")
ALLOWED = {
    "owner": PATHS,
    "manager": ("", "/snippets", "/words", "/keys", "/audit"),
    "chatter": ("", "/snippets", "/words"),
    "analyst": ("", "/words"),
}


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    """The owner, logged in."""
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    with crm.client.application.test_client() as client:
        log_in(crm, client, "owner")
        yield client


def log_in(crm: Crm, client: FlaskClient, role: str) -> None:
    client.post("/login", data={"email": crm.users[role].email, "password": PASSWORD})


def token(client: FlaskClient) -> dict[str, str]:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/settings").text)
    assert found is not None
    return {"csrf_token": found[1]}


def numbers(answer: TestResponse, path: str) -> list[str]:
    return re.findall(rf'"/settings/{path}/(\d+)', answer.text)


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_sees_what_it_may_use(crm: Crm, browser: FlaskClient, role: str) -> None:
    with crm.client.application.test_client() as client:
        log_in(crm, client, role)
        tabs = client.get("/settings").text
        for path in PATHS:
            is_allowed = path in ALLOWED[role]
            assert client.get(f"/settings{path}").status_code == (200 if is_allowed else 403)
            if path:
                assert (f'href="/settings{path}"' in tabs) == is_allowed


def test_a_snippet_is_added_changed_and_deleted(browser: FlaskClient) -> None:
    data = token(browser) | {"title": MARKUP, "shortcut": "hi", "category": "", "text": MARKUP}

    assert browser.post("/settings/snippets/new", data=data).status_code == 303
    twice = browser.post("/settings/snippets/new", data=data)
    assert twice.status_code in {409, 422}
    listed = browser.get("/settings/snippets")
    assert MARKUP not in listed.text
    (number, *_) = numbers(listed, "snippets")
    assert browser.get(f"/settings/snippets/{number}").status_code == 200
    changed = browser.post(f"/settings/snippets/{number}", data=data | {"title": "Hello"})
    assert changed.status_code == 303
    assert "Hello" in browser.get("/settings/snippets").text
    assert browser.post(f"/settings/snippets/{number}/delete", data=data).status_code == 303
    assert browser.get(f"/settings/snippets/{number}").status_code == 404


def test_a_key_is_shown_once(browser: FlaskClient) -> None:
    data = token(browser) | {"name": "shop", "key": "a" * 32}

    made = browser.post("/settings/keys", data=data)
    again = browser.post("/settings/keys", data=data)

    secret = re.search(r"<pre[^>]*>([^<]+)</pre>", made.text)
    assert secret is not None
    assert again.status_code == 303
    listed = browser.get("/settings/keys")
    assert secret[1] not in listed.text
    (number,) = set(numbers(listed, "keys"))
    assert browser.post(f"/settings/keys/{number}/revoke", data=data).status_code == 303
    assert numbers(browser.get("/settings/keys"), "keys") == []


def test_a_member_joins_changes_and_leaves(crm: Crm, browser: FlaskClient) -> None:
    data = token(browser) | {"email": "new@example.com", "role": "chatter", "time_zone": "UTC"}

    refused = browser.post("/settings/team", data=data | {"password": "short"})
    assert refused.status_code == 422
    assert "new@example.com" in refused.text
    assert browser.post("/settings/team", data=data | {"password": PASSWORD}).status_code == 303
    number = crm.sql("SELECT id FROM users WHERE email = 'new@example.com'")[0][0]
    path = f"/settings/team/{number}"
    assert browser.post(path, data=data | {"role": "analyst"}).status_code == 303
    assert browser.post(path, data=data | {"role": "owner"}).status_code == 422
    assert browser.post(f"{path}/remove", data=data).status_code == 303
    assert "new@example.com" not in browser.get("/settings/team").text


def test_banned_words_are_replaced(browser: FlaskClient) -> None:
    data = token(browser) | {"words": "one\r\ntwo words\r\n"}

    assert browser.post("/settings/words", data=data).status_code == 303
    assert "one\ntwo words" in browser.get("/settings/words").text
    assert browser.post("/settings/words", data=data | {"words": "!!!"}).status_code == 422


def test_a_password_is_changed_and_ends_the_login(crm: Crm, browser: FlaskClient) -> None:
    data = token(browser) | {"current": PASSWORD, "new": "another long password"}

    assert browser.post("/settings/password", data=data | {"again": "x"}).status_code == 422
    wrong = data | {"current": "wrong", "again": data["new"]}
    assert browser.post("/settings/password", data=wrong).status_code in {403, 422}
    done = browser.post("/settings/password", data=data | {"again": data["new"]})
    assert done.location == "/login"
    assert browser.get("/settings").status_code == 303


def test_foreign_rows_are_not_found(crm: Crm, browser: FlaskClient) -> None:
    snippet = {"title": "Ours", "shortcut": "ours", "text": "x"}
    browser.post("/settings/snippets/new", data=token(browser) | snippet)
    (number, *_) = numbers(browser.get("/settings/snippets"), "snippets")
    with crm.client.application.test_client() as other:
        log_in(crm, other, "stranger")
        data = token(other)
        assert other.get(f"/settings/snippets/{number}").status_code == 404
        assert other.post(f"/settings/snippets/{number}/delete", data=data).status_code == 404
        member = crm.users["chatter"].id
        assert other.post(f"/settings/team/{member}/remove", data=data).status_code == 404


def test_forms_without_the_token_are_refused(browser: FlaskClient) -> None:
    for path in ("password", "logins/end", "snippets/new", "words", "team", "keys"):
        assert browser.post(f"/settings/{path}", data={}).status_code in {401, 403, 303}, path
    assert browser.get("/settings").status_code == 200
