"""The pages of settings: who sees which, and that forms do what they say."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from domain.bulk_limits import BulkLimits
from domain.connections import ConnectionId
from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm

PASSWORD = "correct horse battery"
MARKUP = "<script>alert(1)</script>"
PATHS = ("", "/snippets", "/words", "/accounts", "/team", "/keys", "/audit")
ALLOWED = {
    "owner": PATHS,
    "manager": ("", "/snippets", "/words", "/accounts", "/keys", "/audit"),
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
    assert browser.post(path, data=data | {"role": "owner"}).status_code == 303
    assert crm.sql("SELECT role FROM users WHERE id = :id", id=number)[0].role == "analyst"
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


def rows(crm: Crm) -> list[object]:
    """Whatever a form of settings could change."""
    tables = ("users", "snippets", "banned_words", "api_keys", "platform_connections", "audit_log")
    return [sorted(map(str, crm.sql(f"SELECT * FROM {one}"))) for one in tables]


def test_forms_without_the_token_are_refused(crm: Crm, browser: FlaskClient) -> None:
    member = crm.users["chatter"].id
    deeds = {
        "password": {"current": PASSWORD, "new": "another long one", "again": "another long one"},
        "logins/end": {},
        "snippets/new": {"title": "x", "shortcut": "x", "text": "x"},
        "words": {"words": "x"},
        "team": {"email": "new@example.com", "role": "chatter", "password": PASSWORD},
        f"team/{member}": {"role": "analyst"},
        f"team/{member}/remove": {},
        "keys": {"name": "x"},
        f"accounts/{crm.connection}": {"name": "x", "rate": "1"},
    }
    before = rows(crm)

    for path, data in deeds.items():
        for wrong in ({}, {"csrf_token": "a" * 36}):
            answer = browser.post(f"/settings/{path}", data=data | wrong)
            assert answer.status_code == 403, path
            assert "older than your login" in answer.text, path
    assert rows(crm) == before
    assert browser.get("/settings").status_code == 200


LIMITS = {
    "name": "Luna",
    "rate": "7.5",
    "burst": "2",
    "per_hour": "100",
    "per_day": "500",
    "per_fan": "3",
    "opens": "22:00",
    "closes": "06:00",
    "zone": "Europe/Paris",
    "warm_up": "1",
}


def test_limits_of_an_account_are_changed_shown_and_taken_away(
    crm: Crm, browser: FlaskClient
) -> None:
    path = f"/settings/accounts/{crm.connection}"
    data = token(browser)

    assert browser.post(path, data=data | LIMITS).status_code == 303

    account = crm.services.connections.look(crm.caller(), ConnectionId(crm.connection)).connection
    limits = account.bulk_limits
    assert (account.name, account.rate_per_minute, account.burst) == ("Luna", 7.5, 2)
    assert (limits.per_hour, limits.per_day, limits.per_fan) == (100, 500, 3)
    assert limits.hours[0].record() == {"from": "22:00", "to": "06:00", "timeZone": "Europe/Paris"}
    assert limits.warm_up_since is not None
    listed, edited = browser.get("/settings/accounts").text, browser.get(path).text
    for words in ("At most 7.5 messages", "at most 100 an hour", "from 22:00 to 06:00"):
        assert words in listed, words
    for name, value in LIMITS.items():
        assert re.search(rf'name="{name}"[^>]* value="{value}"', edited), name
    nothing = dict.fromkeys(LIMITS, "") | {"name": "Luna"}
    assert browser.post(path, data=data | nothing).status_code == 303
    account = crm.services.connections.look(crm.caller(), ConnectionId(crm.connection)).connection
    assert account.bulk_limits == BulkLimits()
    assert account.rate_per_minute is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("rate", "fast"),
        ("rate", "0"),
        ("rate", "nan"),
        ("burst", "99"),
        ("per_hour", "-1"),
        ("per_day", "1.5"),
        ("per_fan", "1000"),
        ("opens", "25:00"),
        ("closes", ""),
        ("zone", "Nowhere/Town"),
    ],
)
def test_a_bad_limit_is_told_at_its_field(
    crm: Crm, browser: FlaskClient, field: str, value: str
) -> None:
    before = rows(crm)

    path = f"/settings/accounts/{crm.connection}"
    answer = browser.post(path, data=token(browser) | LIMITS | {field: value})

    assert answer.status_code == 422
    assert f'id="field-{field}-problem"' in answer.text
    assert rows(crm) == before


def test_limits_of_a_foreign_account_are_not_found(crm: Crm, browser: FlaskClient) -> None:
    path = f"/settings/accounts/{crm.foreign_connection}"

    assert browser.get(path).status_code == 404
    assert browser.post(path, data=token(browser) | LIMITS).status_code == 404
    with crm.client.application.test_client() as other:
        log_in(crm, other, "chatter")
        ours = f"/settings/accounts/{crm.connection}"
        assert other.get(ours).status_code == 403
        assert other.post(ours, data=token(other) | LIMITS).status_code == 403


def test_a_members_zone_and_password_are_set_by_the_owner(crm: Crm, browser: FlaskClient) -> None:
    member = crm.users["chatter"]
    data = token(browser) | {"role": "chatter", "time_zone": "Asia/Tokyo", "password": "n" * 12}

    assert browser.post(f"/settings/team/{member.id}", data=data).status_code == 303

    assert crm.sql("SELECT time_zone FROM users WHERE id = :id", id=member.id)[0][0] == "Asia/Tokyo"
    with crm.client.application.test_client() as other:
        answer = other.post("/login", data={"email": member.email, "password": "n" * 12})
        assert answer.status_code == 303
    browser.post(f"/settings/team/{member.id}", data=data | {"time_zone": "Nowhere"})
    assert "Nothing was changed" in browser.get("/settings/team").text


def test_the_audit_log_names_people(browser: FlaskClient) -> None:
    browser.post("/settings/words", data=token(browser) | {"words": "one"})

    shown = browser.get("/settings/audit").text

    assert "owner@example.com" in shown
    assert "login succeeded" in shown
    assert "user 1" not in shown
