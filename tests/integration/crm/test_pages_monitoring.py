"""Monitoring says what the rows say, and redrives or discards what was given up."""

from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from tests.crm import Crm
from tests.integration.crm.test_crm_dead_letters import count, die
from tests.integration.crm.test_crm_notifications import queued
from tests.integration.crm.test_pages_frame import MARKUP, browser, csrf, log_in

__all__ = ["browser"]


@pytest.fixture
def inside(browser: FlaskClient) -> FlaskClient:
    log_in(browser)
    return browser


def test_its_numbers_are_those_of_the_rows(crm: Crm, inside: FlaskClient) -> None:
    first, *_ = [queued(crm) for _ in range(3)]
    crm.sql("UPDATE messages SET campaign_id = NULL")
    [line] = crm.services.monitoring.overview(
        crm.caller(), crm.sql("SELECT now() AS n")[0].n
    ).waiting.values()
    [row] = crm.sql(
        "SELECT count(*) AS n, min(queued_at) AS at FROM messages WHERE state = 'queued'"
    )

    assert (line.direct, line.campaigns, line.oldest_at) == (row.n, 0, row.at)
    page = inside.get("/monitoring").text
    assert "Queue depth" in page
    assert '<td class="number">3</td>' in page
    crm.sql(
        "INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key, started_at)"
        " SELECT id, connection_id, 1, 'k' || id,"
        " promised_at + CASE WHEN public_id = :late THEN interval '7 s' ELSE interval '1 s' END"
        " FROM messages",
        late=first,
    )
    told = crm.services.monitoring.overview(
        crm.caller(), crm.sql("SELECT now() AS n")[0].n
    ).promises
    assert told is not None
    assert (told.kept, told.late, told.median_error) == (2, 1, pytest.approx(1))
    assert "2 kept, 1 late" in inside.get("/monitoring").text


def test_alarms_of_the_page_are_those_of_the_api(crm: Crm, inside: FlaskClient) -> None:
    page = inside.get("/monitoring").text
    for one in crm.get("/api/monitoring/onlyfans").json["alarms"]:
        assert one["why"].replace(">", "&gt;") in page


def test_a_redriven_message_is_dead_no_longer(crm: Crm, inside: FlaskClient) -> None:
    messages = [queued(crm), queued(crm)]
    die(crm, *messages, reason=MARKUP)
    page = inside.get("/monitoring")
    assert MARKUP not in page.text
    assert page.text.count("Its task failed five times") == 2

    form = {"csrf_token": csrf(page), "id": [str(messages[0]), str(messages[0]), "x"]}
    answer = inside.post("/monitoring/redrive", data=form)

    assert answer.status_code == 303
    assert "1 redriven. 1 left as they are" in inside.get("/monitoring").text
    assert count(crm) == 1


def test_a_discarded_one_is_cancelled(crm: Crm, inside: FlaskClient) -> None:
    message = queued(crm)
    die(crm, message)
    page = inside.get("/monitoring")
    assert inside.post("/monitoring/discard", data={"id": str(message)}).status_code == 403
    assert count(crm) == 1

    inside.post("/monitoring/discard", data={"csrf_token": csrf(page), "id": str(message)})

    assert count(crm) == 0
    assert crm.sql("SELECT state FROM messages")[0].state == "cancelled"


def test_an_analyst_looks_only(crm: Crm, browser: FlaskClient) -> None:
    message = queued(crm)
    die(crm, message)
    log_in(browser, "analyst@example.com")
    page = browser.get("/monitoring")
    assert "Redrive" not in page.text
    form = {"csrf_token": csrf(page), "id": str(message)}
    assert browser.post("/monitoring/redrive", data=form).status_code == 403
    assert count(crm) == 1


def test_a_stranger_reaches_nothing(crm: Crm, browser: FlaskClient) -> None:
    message = queued(crm)
    die(crm, message)
    log_in(browser, "stranger@example.com")
    page = browser.get("/monitoring")
    assert str(message) not in page.text
    form = {"csrf_token": csrf(page), "id": [str(message), str(uuid4())]}
    browser.post("/monitoring/discard", data=form)
    assert "0 discarded. 2 left as they are" in browser.get("/monitoring").text
    assert count(crm) == 1


@pytest.mark.parametrize("path", ["/monitoring/live", "/monitoring/dead-letters"])
def test_what_did_not_change_is_not_sent(inside: FlaskClient, path: str) -> None:
    seen = inside.get(path).text.split("seen=")[1].split('"')[0]
    assert inside.get(f"{path}?seen={seen}").status_code == 204


def lateness(crm: Crm) -> tuple[float | None, float | None]:
    """How late, and how old the oldest direct reply is, as alarms judge it."""
    now = crm.sql("SELECT now() AS n")[0].n
    alarms = {
        one.name: one.value for one in crm.services.monitoring.overview(crm.caller(), now).alarms
    }
    return alarms["lateness"], alarms["oldest_age"]


def delayed(crm: Crm) -> UUID:
    """A message that should have gone two minutes ago, and is ten minutes old."""
    message = queued(crm)
    crm.sql(
        "UPDATE messages SET estimated_send_at = now() - interval '120 s',"
        " queued_at = now() - interval '600 s' WHERE public_id = :id",
        id=message,
    )
    return message


def test_lateness_is_of_what_should_have_gone(crm: Crm) -> None:
    assert lateness(crm) == (0, 0)
    message = delayed(crm)
    queued(crm)
    assert lateness(crm) == (pytest.approx(120, abs=5), pytest.approx(600, abs=5))

    crm.sql("UPDATE messages SET hold = 'media' WHERE public_id = :id", id=message)
    assert lateness(crm) == (0, pytest.approx(0, abs=5))


def test_a_campaign_that_rests_is_not_late(crm: Crm) -> None:
    message = delayed(crm)
    crm.sql(
        "WITH k AS (INSERT INTO campaigns (user_id, name, status)"
        " SELECT user_id, 'Spring', 'active'"
        " FROM messages WHERE public_id = :id RETURNING id)"
        " UPDATE messages SET campaign_id = (SELECT id FROM k) WHERE public_id = :id",
        id=message,
    )
    late = (pytest.approx(120, abs=5), 0)
    assert lateness(crm) == late
    crm.sql("UPDATE platform_connections SET bulk_held_until = now() + interval '1 hour'")
    assert lateness(crm) == (0, 0)
    crm.sql("UPDATE platform_connections SET bulk_held_until = NULL")
    assert lateness(crm) == late
    crm.sql("UPDATE campaigns SET status = 'paused'")
    assert lateness(crm) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'paused'",
        "blocked_until = now() + interval '1 minute'",
        "blocked_until = now() + interval '1 minute', failures = 5",
    ],
)
def test_an_account_that_may_not_send_makes_nobody_late(crm: Crm, change: str) -> None:
    delayed(crm)
    crm.services.room.unavailable = True
    crm.sql(f"UPDATE platform_connections SET {change}")  # of this test
    assert lateness(crm) == (0, 0)


def test_what_was_given_up_is_not_well(crm: Crm, inside: FlaskClient) -> None:
    assert "All is well" in inside.get("/monitoring").text
    die(crm, queued(crm))
    page = inside.get("/monitoring").text
    assert "All is well" not in page
    assert "1 message was given up" in page
