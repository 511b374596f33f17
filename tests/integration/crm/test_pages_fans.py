"""The pages of fans: what they show, whom they refuse, and that forms do what they say."""

import csv
import re
from collections.abc import Iterator
from importlib import import_module

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from domain.segments import FanFilter
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


def rows(crm: Crm) -> list[object]:
    """Whatever a form about fans could change."""
    tables = ("fans", "saved_filters", "fan_merges", "audit_log")
    return [list(crm.sql(f"SELECT * FROM {one} ORDER BY id")) for one in tables]


def test_forms_without_the_token_are_refused(crm: Crm, browser: FlaskClient) -> None:
    fan, other = add(browser, "guarded_fan"), add(browser, "other_fan")
    deeds = {
        "new": {"name": "New", "handle": "new"},
        "tags": {"fan": str(fan), "add": "x"},
        "segments": {"name": "All", "asked": "q=guarded"},
        f"{fan}/edit": {"name": "Other", "handle": "other"},
        f"{fan}/merge": {"other": str(other)},
        f"{fan}/delete": {"mode": "hard"},
        f"{fan}/restore": {},
        "merges/1/undo": {},
        "segments/1/delete": {},
    }
    before = rows(crm)

    for path, data in deeds.items():
        for wrong in ({}, {"csrf_token": "a" * 36}):
            answer = browser.post(f"/fans/{path}", data=data | wrong)
            assert answer.status_code == 403, path
            assert "CSRF" in answer.text or "huntaze_csrf" in answer.text, path
    assert rows(crm) == before


def test_nothing_of_another_owner_is_found(crm: Crm, browser: FlaskClient) -> None:
    theirs, ours = crm.foreign_fan(), add(browser, "ours")
    made = crm.services.segments.create(crm.caller("stranger"), "Theirs", FanFilter(q="x"))
    segment = made.segment.id
    data = {"csrf_token": token(browser.get("/fans/new")), "name": "x", "handle": "x"}
    before = rows(crm)

    for path in (f"{theirs}", f"{theirs}/edit", f"?segment={segment}"):
        assert browser.get(f"/fans/{path}".replace("/?", "?")).status_code == 404, path
    assert browser.get(f"/fans/fans.csv?segment={segment}").status_code == 404
    deeds = ("edit", "merge", "delete", "restore")
    for path in [*(f"{theirs}/{deed}" for deed in deeds), f"segments/{segment}/delete"]:
        answer = browser.post(f"/fans/{path}", data=data | {"other": str(ours)})
        assert answer.status_code == 404, path
    merged = browser.post(f"/fans/{ours}/merge", data=data | {"other": str(theirs)})
    assert merged.location == f"/fans/{ours}"
    tagged = browser.post("/fans/tags", data=data | {"fan": [ours, theirs], "add": "x"})
    assert tagged.status_code == 303
    assert rows(crm) == before


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


def test_numbers_of_a_fan_are_those_of_the_rows(crm: Crm, browser: FlaskClient) -> None:
    fan = crm.fan("Jane", value_cents=123_456, tips_cents=700)
    for text in ("one", "two", MARKUP):
        body = {"recipientId": f"fan_{fan}", "content": text}
        assert crm.post("/api/onlyfans/messages/send", body).status_code == 202
    crm.sql("UPDATE messages SET state = 'sent', sent_at = now() WHERE text = 'one'")
    crm.sql(
        "INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents,"
        " happened_at) VALUES (:owner, :fan, 'manual', 'tip', 700, 560, now())",
        owner=crm.owner,
        fan=fan,
    )

    shown = browser.get(f"/fans/{fan}").text

    [row] = crm.sql(
        "SELECT (SELECT count(*) FROM messages WHERE fan_id = :fan) AS messages,"
        " (SELECT count(*) FROM messages WHERE fan_id = :fan AND state = 'queued') AS waiting,"
        " (SELECT id FROM conversations WHERE fan_id = :fan) AS talk",
        fan=fan,
    )
    assert (row.messages, row.waiting) == (3, 2)
    assert "The texts of 3 messages" in shown
    assert "2 waiting messages are cancelled. 1 booking of money stays" in shown
    assert f'href="/messages/onlyfans/{row.talk}"' in shown
    assert MARKUP not in shown
    for money in ("$1,234.56", "$7.00", "$5.60"):
        assert money in shown, money


def test_a_fan_says_why_nothing_can_be_written(crm: Crm, browser: FlaskClient) -> None:
    linked = crm.fan("Linked")
    unlinked = crm.fan("Unlinked", connection_id=None)
    why = "Nothing can be sent"

    assert why not in browser.get(f"/fans/{linked}").text
    assert "no connected account knows the handle" in browser.get(f"/fans/{unlinked}").text
    crm.sql("UPDATE platform_connections SET state = 'disconnected', access_key = NULL")
    assert "is disconnected. Connect it again" in browser.get(f"/fans/{linked}").text
    data = {"csrf_token": token(browser.get("/fans"))}
    browser.post(f"/fans/{linked}/delete", data=data)
    deleted = browser.get(f"/fans/{linked}").text
    assert "This fan is deleted" in deleted
    assert f"/fans/{linked}/restore" in deleted
    assert "/edit" not in deleted


def test_history_names_people(crm: Crm, browser: FlaskClient) -> None:
    fan = add(browser, "history_fan", value="12.50")

    shown = browser.get(f"/fans/{fan}").text

    assert "by <span" in shown
    assert "owner@example.com" in shown
    assert "<b>Spent</b>" in shown
    assert "value_cents" not in shown


def test_a_campaign_of_the_fan_is_shown(crm: Crm, browser: FlaskClient) -> None:
    fan = crm.fan("Jane")
    body = {"campaignName": "Sale & more", "recipientIds": [f"fan_{fan}"], "content": "Hello"}
    made = crm.post("/api/messages/bulk", body, headers={"Idempotency-Key": "a" * 32})
    assert made.status_code in {200, 201, 202}, made.text
    [row] = crm.sql("SELECT public_id FROM campaigns")

    shown = browser.get(f"/fans/{fan}").text

    assert f'href="/messages/bulk/{row.public_id}">Sale &amp; more</a>' in shown


def test_scrolling_shows_every_fan_once(crm: Crm, browser: FlaskClient) -> None:
    crm.sql(
        "INSERT INTO fans (user_id, name, handle) SELECT :owner, 'Fan ' || n, '@scroll' || n"
        " FROM generate_series(1, 120) n",
        owner=crm.owner,
    )
    shown = browser.get("/fans?q=scroll&sort=name").text
    assert "<b>" not in shown.split("<tbody", 1)[1].split("</tbody>")[0]
    found = re.findall(r'data-item href="/fans/(\d+)"', shown)

    while more := re.search(r'hx-get="(/fans\?[^"]+cursor[^"]+)"', shown):
        shown = browser.get(more[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).text
        assert "<html" not in shown
        found += re.findall(r'data-item href="/fans/(\d+)"', shown)

    assert len(found) == len(set(found)) == 120


def test_the_list_is_exported_whole(crm: Crm, browser: FlaskClient) -> None:
    crm.fan("=1+1", handle="@formula", value_cents=5)
    for number in range(3):
        add(browser, f"file_{number}", tags="filed", value="1.50")

    file = browser.get("/fans/fans.csv?tag=filed&sort=name")
    everybody = browser.get("/fans/fans.csv")

    assert file.mimetype == "text/csv"
    lines = list(csv.DictReader(file.text.removeprefix("\ufeff").splitlines()))
    assert [one["handle"].lstrip("'") for one in lines] == ["@file_0", "@file_1", "@file_2"]
    assert {one["spent"] for one in lines} == {"1.50"}
    assert "'=1+1" in everybody.text
    assert crm.sql("SELECT count(*) FROM audit_log WHERE action = 'fans.exported'")[0][0] == 2
    with crm.client.application.test_client() as other:
        other.post("/login", data={"email": crm.users["chatter"].email, "password": PASSWORD})
        assert other.get("/fans/fans.csv").status_code == 403
        assert "fans.csv" not in other.get("/fans").text


def test_a_segment_is_kept_used_and_forgotten(crm: Crm, browser: FlaskClient) -> None:
    add(browser, "inside_one", tags="june")
    add(browser, "outside_one")
    data = {"csrf_token": token(browser.get("/fans")), "name": "Of June", "asked": "tag=june"}

    made = browser.post("/fans/segments", data=data)
    shown = browser.get(made.location).text
    assert "@inside_one" in shown
    assert "@outside_one" not in shown
    assert "Of June" in shown
    again = browser.post("/fans/segments", data=data)
    assert again.location == "/fans?tag=june"
    assert "Nothing was changed" in browser.get(again.location).text
    segment = made.location.rsplit("=", 1)[1]
    assert browser.post(f"/fans/segments/{segment}/delete", data=data).location == "/fans"
    assert browser.get(made.location).status_code == 404


def test_duplicates_are_found_made_one_and_parted(crm: Crm, browser: FlaskClient) -> None:
    twice = [add(browser, one, name=MARKUP, email="a@example.com") for one in ("ann_1", "bob_2")]
    apart = [
        crm.fan("Known", handle=f"@k.{mark}", platform_user_id=f"k{mark}", email="k@example.com")
        for mark in (1, 2)
    ]
    crm.foreign_fan("Foreign")
    assert "/fans/duplicates" in browser.get("/fans").text
    shown = browser.get("/fans/duplicates")
    assert shown.text.count("They share the same email") == 2
    assert "knows them as two people" in shown.text
    assert MARKUP not in shown.text
    assert "Foreign" not in shown.text
    # Either of the two may be kept, and none of those who are two people.
    forms = re.findall(r'action="/fans/(\d+)/merge"', shown.text)
    assert [int(one) for one in forms] == [*twice]
    assert not set(map(str, apart)) & set(forms)

    key = re.search(r'name="key" value="([0-9a-f]+)"', shown.text)
    assert key is not None
    data = {
        "csrf_token": token(shown),
        "key": key[1],
        "other": str(twice[1]),
        "next": "/fans/duplicates",
    }
    for _ in range(2):
        merged = browser.post(f"/fans/{twice[0]}/merge", data=data)
        assert (merged.status_code, merged.location) == (303, "/fans/duplicates")
    after = browser.get("/fans/duplicates")
    assert "They are one fan now" in after.text
    assert after.text.count("They share") == 1
    assert f"(fan {twice[1]})" in after.text
    undo = re.search(r"/fans/merges/\d+/undo", after.text)
    assert undo is not None
    assert browser.post(undo[0], data={"csrf_token": token(after)}).status_code == 303
    assert browser.get("/fans/duplicates").text.count("They share") == 2
    assert "Made one lately" not in browser.get("/fans/duplicates").text
    elsewhere = browser.post(f"/fans/{twice[0]}/merge", data=data | {"next": "//evil.example"})
    assert elsewhere.location == f"/fans/{twice[0]}"


def test_pairs_come_in_pages(crm: Crm, browser: FlaskClient) -> None:
    for number in range(25):
        for mark in "ab":
            crm.fan(f"Twin {number} {mark}", email=f"twin{number}@example.com", connection_id=None)
    first = browser.get("/fans/duplicates").text
    more = re.search(r'hx-get="(/fans/duplicates\?cursor=[^"]+)"', first)
    assert more is not None
    rest = browser.get(more[1], headers={"HX-Request": "true"}).text
    assert "<html" not in rest
    pairs = [re.findall(r"Twin (\d+) a</a>", one) for one in (first, rest)]
    assert sorted(map(int, pairs[0] + pairs[1])) == list(range(25))


def test_all_that_match_are_tagged_at_once(crm: Crm, browser: FlaskClient) -> None:
    for number in range(60):
        crm.fan(f"Whale {number}", tier="whale")
    crm.fan("Small", tier="new")
    shown = browser.get("/fans?tier=whale")
    assert "All 60 that match" in shown.text
    data = {"csrf_token": token(shown), "asked": "tier=whale", "every": "1", "add": "june"}
    done = browser.post("/fans/tags", data=data)
    assert (done.status_code, done.location) == (303, "/fans?tier=whale")
    assert "60 of 60 fans changed." in browser.get(done.location).text
    [tagged] = crm.sql("SELECT count(*) AS n FROM fans WHERE 'june' = ANY(tags)")
    assert tagged.n == 60
    assert "that match, not only" not in browser.get("/fans").text
    browser.post("/fans/tags", data=data | {"asked": "tier=whale&segment=1", "add": "july"})
    assert "choose fans first" in browser.get("/fans").text


def test_more_than_can_be_tagged_at_once_are_not_offered(
    crm: Crm, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("api.pages.fans"), "TAGGED_MAX", 2)
    for number in range(3):
        crm.fan(f"Whale {number}", tier="whale")
    shown = browser.get("/fans?tier=whale").text
    assert "that match, not only" not in shown
    assert "Narrow the list to 2 fans" in shown
