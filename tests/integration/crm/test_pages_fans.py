"""The pages of fans: what they show, whom they refuse, and that forms do what they say."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm

PASSWORD = "correct horse battery"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    """The owner, logged in."""
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    with crm.client.application.test_client() as client:
        client.post("/login", data={"email": "owner@example.com", "password": PASSWORD})
        yield client


def token(answer: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


def add(browser: FlaskClient, handle: str, **more: str) -> int:
    data = {"name": handle, "handle": handle, "email": "", "tags": "", "value": "", "notes": ""}
    data |= more | {"csrf_token": token(browser.get("/fans/new"))}
    answer = browser.post("/fans/new", data=data)
    assert answer.status_code == 303, answer.text
    return int(answer.location.rsplit("/", 1)[1])


def test_a_fan_is_added_changed_and_shown_as_text(browser: FlaskClient) -> None:
    fan = add(browser, "jane_page", name=MARKUP, tags="vip, June", value="12.50", notes=MARKUP)

    shown = browser.get(f"/fans/{fan}")

    assert shown.status_code == 200
    assert MARKUP not in shown.text
    assert "$12.50" in shown.text
    form = browser.get(f"/fans/{fan}/edit")
    version = re.search(r'name="version" value="(\d+)"', form.text)
    assert version is not None
    data = {"name": "Jane", "handle": "jane_page", "value": "20", "version": version[1]}
    data["csrf_token"] = token(form)
    assert browser.post(f"/fans/{fan}/edit", data=data).status_code == 303
    assert browser.post(f"/fans/{fan}/edit", data=data).status_code == 422
    assert "$20.00" in browser.get(f"/fans/{fan}").text


def test_the_list_is_narrowed_by_its_address(browser: FlaskClient) -> None:
    add(browser, "narrow_one", tags="vip", value="99")
    add(browser, "narrow_two")

    for query in ("q=narrow_one", "tag=vip", "min=98.50", "sort=value&min=1&q=narrow"):
        text = browser.get(f"/fans?{query}").text
        assert "@narrow_one" in text, query
        assert "@narrow_two" not in text, query
    assert browser.get("/fans?min=lots").status_code == 422
    assert browser.get("/fans?after=never&q=x").status_code == 422


def test_chosen_fans_are_tagged_once(crm: Crm, browser: FlaskClient) -> None:
    fans = [add(browser, "tag_one"), add(browser, "tag_two")]
    listed = browser.get("/fans?q=tag_")
    key = re.search(r'name="key" value="([^"]+)"', listed.text)
    assert key is not None
    data = {"fan": fans, "add": "paged", "remove": "", "asked": "q=tag_&next=//evil"}
    data |= {"key": key[1], "csrf_token": token(listed)}

    answers = [browser.post("/fans/tags", data=data) for _ in range(2)]

    assert [one.location for one in answers] == ["/fans?q=tag_"] * 2
    assert crm.sql("SELECT count(*) FROM fans WHERE 'paged' = ANY(tags)")[0][0] == 2


def test_two_fans_become_one_and_two_again(browser: FlaskClient) -> None:
    kept, other = add(browser, "same_one"), add(browser, "same_two")
    data = {"other": str(other), "csrf_token": token(browser.get(f"/fans/{kept}"))}

    assert browser.post(f"/fans/{kept}/merge", data=data).status_code == 303
    shown = browser.get(f"/fans/{kept}")
    undo = re.search(r"/fans/merges/\d+/undo", shown.text)
    assert undo is not None
    assert "@same_two" not in browser.get("/fans").text
    assert browser.get(f"/fans/{other}").status_code == 404
    assert browser.post(undo[0], data={"csrf_token": data["csrf_token"]}).status_code == 303
    assert browser.get(f"/fans/{other}").status_code == 200


def test_a_fan_is_deleted_restored_and_erased(browser: FlaskClient) -> None:
    fan = add(browser, "leaving_fan")
    data = {"csrf_token": token(browser.get(f"/fans/{fan}"))}

    assert browser.post(f"/fans/{fan}/delete", data=data).status_code == 303
    assert "@leaving_fan" in browser.get("/fans?deleted=yes").text
    assert browser.post(f"/fans/{fan}/restore", data=data).status_code == 303
    erased = browser.post(f"/fans/{fan}/delete", data=data | {"mode": "hard"})
    assert erased.status_code == 303
    assert browser.get(f"/fans/{fan}").status_code == 404


def test_forms_without_the_token_are_refused(browser: FlaskClient) -> None:
    fan = add(browser, "guarded_fan")

    for path in ("new", "tags", "segments", f"{fan}/edit", f"{fan}/merge", f"{fan}/delete"):
        assert browser.post(f"/fans/{path}", data={}).status_code in {401, 403, 303}, path
    assert browser.get(f"/fans/{fan}").status_code == 200


def test_a_stranger_finds_nothing(crm: Crm, browser: FlaskClient) -> None:
    fan = add(browser, "ours_alone")
    stranger = crm.users["stranger"].email
    with crm.client.application.test_client() as other:
        other.post("/login", data={"email": stranger, "password": PASSWORD})
        data = {"csrf_token": token(other.get("/"))}

        assert "@ours_alone" not in other.get("/fans").text
        assert other.get(f"/fans/{fan}").status_code == 404
        assert other.post(f"/fans/{fan}/delete", data=data).status_code == 404


def test_an_analyst_reads_and_changes_nothing(crm: Crm, browser: FlaskClient) -> None:
    fan = add(browser, "read_only")
    with crm.client.application.test_client() as other:
        other.post("/login", data={"email": crm.users["analyst"].email, "password": PASSWORD})
        shown = other.get(f"/fans/{fan}")

        assert "Export" in shown.text
        assert "/edit" not in shown.text
        assert "Erase" not in shown.text
        assert other.get("/fans/new").status_code == 403
        data = {"csrf_token": token(shown)}
        assert other.post(f"/fans/{fan}/delete", data=data).status_code == 403
