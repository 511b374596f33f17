"""Notifications as pages: the product's words, the badge, and Retry."""

import sys
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.crm import Crm
from tests.integration.crm.test_crm_notifications import queued, record, unseen
from tests.integration.crm.test_pages_frame import MARKUP, browser, csrf, log_in

__all__ = ["browser"]


@pytest.fixture
def inside(browser: FlaskClient) -> FlaskClient:
    log_in(browser)
    return browser


def test_a_failure_is_told_in_the_words_of_the_product_and_escaped(
    crm: Crm, inside: FlaskClient
) -> None:
    record(crm, queued(crm), detail=MARKUP)
    page = inside.get("/notifications").text
    assert "Message failed to send" in page
    assert "The platform refused the message" in page
    assert MARKUP not in page
    assert "Open the conversation" in page
    assert 'class="count"' in inside.get("/badges").text
    assert "1 not seen" in inside.get("/badges").text


def test_retry_mends_it_once(crm: Crm, inside: FlaskClient) -> None:
    message = queued(crm)
    record(crm, message)
    form = {"csrf_token": csrf(inside.get("/notifications"))}
    path = f"/notifications/retry/message/{message}"
    assert path in inside.get("/notifications").text

    inside.post(path, data=form)
    assert "Queued again" in inside.get("/notifications").text
    inside.post(path, data=form)
    assert "Not sent again" in inside.get("/notifications").text

    assert crm.sql("SELECT state FROM messages")[0].state == "queued"
    assert "Nothing needs you" in inside.get("/notifications").text
    assert "Resolved" in inside.get("/notifications?show=all").text
    assert unseen(crm) == 0


def test_seen_is_seen_by_oneself_only(crm: Crm, inside: FlaskClient) -> None:
    record(crm, queued(crm))
    page = inside.get("/notifications")
    [row] = crm.sql("SELECT max(id) AS id FROM notifications")
    assert inside.post("/notifications/seen", data={"up_to": row.id}).status_code == 403
    assert unseen(crm) == 1

    form = {"csrf_token": csrf(page), "up_to": row.id, "next": "//evil.example"}
    assert inside.post("/notifications/seen", data=form).location == "/notifications"

    assert (unseen(crm), unseen(crm, "chatter")) == (0, 1)
    wrong = inside.post("/notifications/seen", data=form | {"up_to": "1e9"})
    assert wrong.status_code == 422


def test_others_may_not(crm: Crm, browser: FlaskClient) -> None:
    message = queued(crm)
    record(crm, message)
    path = f"/notifications/retry/message/{message}"
    log_in(browser, "analyst@example.com")
    page = browser.get("/notifications")
    assert path not in page.text
    assert browser.post(path, data={"csrf_token": csrf(page)}).status_code == 403
    browser.post("/logout", data={"csrf_token": csrf(page)})
    log_in(browser, "stranger@example.com")
    page = browser.get("/notifications")
    assert "Nothing needs you" in page.text
    browser.post(path, data={"csrf_token": csrf(page)})
    assert crm.sql("SELECT state FROM messages")[0].state == "failed"


def test_a_long_list_goes_on(crm: Crm, inside: FlaskClient) -> None:
    crm.sql(
        "INSERT INTO notifications (user_id, kind, code, connection_id)"
        " SELECT :owner, 'connection_paused', 'paused_auth', :connection"
        " FROM generate_series(1, 35)",
        owner=crm.owner,
        connection=crm.connection,
    )
    first = inside.get("/notifications").text
    assert first.count('id="notice-') == 30
    more = first.split('class="sentinel" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = inside.get(more, headers={"HX-Request": "true"}).text
    assert rest.count('id="notice-') == 5
    assert "<html" not in rest


def test_today_retries_as_well(crm: Crm, inside: FlaskClient) -> None:
    message = queued(crm)
    record(crm, message)
    page = inside.get("/")
    path = f"/notifications/retry/message/{message}"
    assert path in page.text

    answer = inside.post(path, data={"csrf_token": csrf(page), "next": "/"})

    assert answer.location == "/"
    assert crm.sql("SELECT state FROM messages")[0].state == "queued"


def several(crm: Crm, number: int) -> list[UUID]:
    """Direct messages that failed for one reason, told by one notification."""
    ids = [queued(crm) for _ in range(number)]
    record(crm, *ids)
    return ids


def test_all_of_one_notification_are_retried_by_a_click(crm: Crm, inside: FlaskClient) -> None:
    first, *_ = several(crm, 3)
    crm.sql(
        "UPDATE fans SET platform_user_id = NULL, connection_id = NULL"
        " WHERE id = (SELECT fan_id FROM messages WHERE public_id = :first)",
        first=first,
    )
    [row] = crm.sql("SELECT id FROM notifications")
    path = f"/notifications/retry/{row.id}"
    for shown in ("/notifications", "/"):
        page = inside.get(shown)
        assert path in page.text
        assert "Retry all 3" in page.text
    form = {"csrf_token": csrf(page), "next": "/notifications"}

    inside.post(path, data=form)

    told = inside.get("/notifications").text
    assert "2 queued again" in told
    assert "1 could not be retried (1: this fan is no longer linked" in told
    states = "SELECT state FROM messages ORDER BY id"
    assert [one.state for one in crm.sql(states)] == ["failed", "queued", "queued"]
    inside.post(path, data=form)
    assert [one.state for one in crm.sql(states)] == ["failed", "queued", "queued"]


def test_one_click_retries_no_more_than_it_says(
    crm: Crm, inside: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(crm, 3)
    monkeypatch.setattr(sys.modules["api.pages.notifications"], "RETRY_MAX", 2)
    [row] = crm.sql("SELECT id FROM notifications")
    page = inside.get("/notifications")
    assert "Retry the first 2" in page.text

    inside.post(f"/notifications/retry/{row.id}", data={"csrf_token": csrf(page)})

    states = crm.sql("SELECT state FROM messages ORDER BY id")
    assert [one.state for one in states] == ["queued", "queued", "failed"]


def test_nobody_else_retries_them(crm: Crm, browser: FlaskClient) -> None:
    several(crm, 2)
    [row] = crm.sql("SELECT id FROM notifications")
    for who, status in (("analyst@example.com", 403), ("stranger@example.com", 404)):
        log_in(browser, who)
        page = browser.get("/notifications")
        assert "Retry all" not in page.text
        form = {"csrf_token": csrf(page)}
        assert browser.post(f"/notifications/retry/{row.id}", data=form).status_code == status
        browser.post("/logout", data=form)
    assert {one.state for one in crm.sql("SELECT state FROM messages")} == {"failed"}


def test_today_leads_to_all_that_failed(
    crm: Crm, inside: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(crm, 3)
    monkeypatch.setattr(sys.modules["api.pages.today"], "SHOWN", 2)
    monkeypatch.setattr(sys.modules["api.pages.today"], "PAGE", 2)
    assert 'href="/needs-you?state=failed">All 3 failed' in inside.get("/").text
    first = inside.get("/needs-you?state=failed").text
    assert first.count("Open the conversation") == 2
    more = first.split('class="sentinel" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = inside.get(more, headers={"HX-Request": "true"}).text
    assert rest.count("Open the conversation") == 1
    assert "<html" not in rest
    assert "None. Every message" in inside.get("/needs-you?state=unknown").text
