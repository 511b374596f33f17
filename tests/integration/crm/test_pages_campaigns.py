"""The pages of campaigns: what they show, what they refuse, and that nothing starts twice."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm
from tests.inbox import Inbox

PASSWORD = "correct horse battery"
MARKUP = "<script>alert(1)</script>"
PATH = "/messages/bulk"


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    with crm.client.application.test_client() as client:
        yield client


def log_in(crm: Crm, browser: FlaskClient, role: str = "owner") -> str:
    """The token that forms repeat."""
    browser.post("/login", data={"email": crm.users[role].email, "password": PASSWORD})
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return found[1]


def form(token: str, *fans: int, **more: Any) -> dict[str, Any]:
    values = {
        "csrf_token": token,
        "name": "Sale",
        "content": "Hi {name|you}",
        "zone": "UTC",
        "failure": "20",
        "key": uuid4().hex,
        "fan": [f"fan_{one}" for one in fans],
    }
    return values | more


def step(browser: FlaskClient, wanted: str, values: dict[str, Any], **more: Any) -> TestResponse:
    return browser.post(f"{PATH}/new", data=values | {"step": wanted} | more)


def key_of(text: str) -> str:
    """The one-time key of the form on a page."""
    [found] = re.findall(r'name="key" value="([0-9a-f]{32})"', text)
    return str(found)


def launched(crm: Crm, browser: FlaskClient, token: str, *fans: int, **more: Any) -> str:
    answer = step(browser, "start", form(token, *fans, **more), seen=str(len(fans)))
    assert answer.status_code == 303, answer.text
    crm_id = answer.location.rsplit("/", 1)[-1]
    [row] = crm.sql("SELECT id FROM campaigns WHERE public_id = :one", one=crm_id)
    crm.services.campaigns.fan_out(row.id)
    return answer.location


def test_an_empty_list_says_what_to_do(crm: Crm, browser: FlaskClient) -> None:
    log_in(crm, browser)
    answer = browser.get(PATH)
    assert "Write to many fans at once" in answer.text
    assert f'href="{PATH}/new"' in answer.text


def test_every_exclusion_has_its_reason(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    crm.fan("Ava", tags=["vip"])
    crm.fan("Lone", tags=["vip"], connection_id=None)
    crm.fan("Quiet", tags=["vip", "no ads"])
    answer = step(browser, "look", form(token, tag=["vip"], notTag=["no ads"]))
    assert answer.status_code == 200
    assert "Hi Ava" in answer.text
    assert re.search(r"<b>Lone</b>: the fan is not linked", answer.text)
    assert re.search(r"<b>Quiet</b>: is on an exclude list", answer.text)
    assert "2 left out" in answer.text
    assert crm.sql("SELECT 1 FROM campaigns") == []


def test_nothing_typed_is_lost_by_a_refusal(crm: Crm, browser: FlaskClient) -> None:
    token, fan = log_in(crm, browser), crm.fan("Ava")
    for bad in ({"price": "a lot"}, {"schedule": "2001-01-01T10:00"}, {"zone": "Nowhere"}):
        answer = step(browser, "confirm", form(token, fan, content="My words", **bad))
        if answer.status_code == 200:
            assert "zone" in bad  # No time was given that it could be of.
            continue
        assert answer.status_code == 422
        assert "My words" in answer.text
        assert f'name="fan" value="fan_{fan}"' in answer.text
        assert "nothing you wrote is lost" in answer.text


def test_banned_words_are_refused_beside_the_text(crm: Crm, browser: FlaskClient) -> None:
    token, fan = log_in(crm, browser), crm.fan("Ava")
    crm.services.screening.change_banned_words(crm.caller(), ["forbidden"])
    answer = step(browser, "confirm", form(token, fan, content="so forbidden"))
    assert answer.status_code == 422
    assert 'id="field-content-problem"' in answer.text


def test_the_confirmation_names_the_count_and_the_end(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    values = form(token, crm.fan("Ava"), crm.fan("Bo"))
    answer = step(browser, "confirm", values)
    assert "2 fans" in answer.text
    assert "Send 2 messages" in answer.text
    assert "ends at" in answer.text
    changed = step(browser, "start", values, seen="3")
    assert changed.status_code == 409
    assert "The audience changed while you looked: 3 before, 2 now" in changed.text
    assert crm.sql("SELECT 1 FROM campaigns") == []


def test_a_double_click_starts_one(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    values = form(token, crm.fan("Ava"))
    values["key"] = key_of(step(browser, "confirm", values).text)
    first, second = (step(browser, "start", values, seen="1") for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.location == second.location
    assert len(crm.sql("SELECT 1 FROM campaigns")) == 1


def test_a_test_goes_to_a_fan_that_is_tagged_so(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    values = form(token)
    assert step(browser, "test", values).status_code == 422
    me = crm.fan("Me", tags=["test"])
    for _ in range(2):
        answer = step(browser, "test", values)
        assert "on its way to your test fan" in answer.text
    assert key_of(answer.text) != values["key"]
    rows = crm.sql(
        "SELECT c.fan_id, m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id"
    )
    assert [(row.fan_id, row.text) for row in rows] == [(me, "Hi Me")]


def test_progress_is_what_the_rows_say(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    path = launched(crm, browser, token, *(crm.fan(f"Fan {n}") for n in range(5)))
    crm.sql(
        "UPDATE messages SET state = 'sent', wake_after = NULL, sent_at = now()"
        " WHERE id IN (SELECT id FROM messages ORDER BY id LIMIT 2)"
    )
    [row] = crm.sql("SELECT count(*) FILTER (WHERE state = 'sent') AS sent FROM messages")
    for one in (path, f"{path}/live", PATH):
        text = browser.get(one).text
        assert f"{row.sent} sent" in text
        assert "3 waiting" in text
    assert browser.get(f"{path}?state=sent").text.count('class="badge good"') == row.sent
    # While it is paused its end does not move.
    browser.post(f"{path}/status", data={"csrf_token": token, "status": "paused"})
    part = browser.get(f"{path}/live").text
    seen = re.search(r"seen=([^\"]+)", part)
    assert seen is not None
    assert browser.get(f"{path}/live?seen={seen[1]}").status_code == 204


def test_it_says_of_each_what_became_of_it(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    fans = [crm.fan(f"Fan {n}") for n in range(3)]
    path = launched(crm, browser, token, *fans)
    messages = [row.id for row in crm.sql("SELECT id FROM messages ORDER BY id")]
    crm.sql(
        "UPDATE messages SET state = 'unknown', wake_after = NULL WHERE id = :id", id=messages[0]
    )
    crm.sql(
        "UPDATE messages SET state = 'failed', wake_after = NULL, error_code = 'refused'"
        " WHERE id = :id",
        id=messages[1],
    )
    text = browser.get(path).text
    assert "1 message waits for you" in text
    assert f'href="{path}?state=unknown#recipients"' in text
    assert "Nobody knows whether it arrived" in browser.get(f"{path}?state=unknown").text
    failed = browser.get(f"{path}?state=failed").text
    assert "the platform refused the message" in failed
    assert failed.count('href="/fans/') == 1
    for state in ("waiting", "gone"):
        assert f"Nobody is {state}" in browser.get(f"{path}?state={state}").text


def test_an_account_that_sends_nothing_is_named(crm: Crm, browser: FlaskClient) -> None:
    token, fan = log_in(crm, browser), crm.fan("Ava")
    path = launched(crm, browser, token, fan)
    crm.sql("UPDATE platform_connections SET state = 'paused'")
    text = browser.get(f"{path}/live").text
    assert "the account is paused: resume it" in text
    assert f"/platforms/connect/onlyfans#account-{crm.connection}" in text
    assert "the account is paused: resume it" in step(browser, "look", form(token, fan)).text
    log_in(crm, browser, "chatter")
    assert "Ask your owner" in browser.get(f"{path}/live").text


def test_a_plan_tells_the_limits_of_its_accounts(crm: Crm, browser: FlaskClient) -> None:
    token, fan = log_in(crm, browser), crm.fan("Ava")
    limits = {"perDay": 50, "perFanPerDay": 1}
    crm.call("PUT", f"/api/connections/{crm.connection}", json={"campaignLimits": limits})
    launched(crm, browser, token, fan)
    crm.sql("UPDATE messages SET state = 'sent', wake_after = NULL, sent_at = now()")
    text = step(browser, "look", form(token, fan)).text
    assert "at most 50 a day, 1 to one fan in 24 hours" in text
    assert "1 fan had as many as the account allows in 24 hours" in text


def test_retried_twice_by_one_form_it_is_tried_once(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    path = launched(crm, browser, token, crm.fan("Ava"))
    failing = "UPDATE messages SET state = 'failed', wake_after = NULL"
    crm.sql(failing)
    data = {"csrf_token": token, "key": key_of(browser.get(f"{path}/live").text)}
    browser.post(f"{path}/retry", data=data)
    crm.sql(failing)
    browser.post(f"{path}/retry", data=data)
    assert [row.state for row in crm.sql("SELECT state FROM messages")] == ["failed"]
    browser.post(f"{path}/retry", data=data | {"key": key_of(browser.get(path).text)})
    assert [row.state for row in crm.sql("SELECT state FROM messages")] == ["queued"]


def test_it_is_paused_resumed_and_cancelled(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    path = launched(crm, browser, token, crm.fan("Ava"), crm.fan("Bo"))
    assert "Cancel 2 waiting messages; none is on its way" in browser.get(path).text
    for status in ("paused", "active", "cancelled"):
        data = {"csrf_token": token, "status": status}
        assert browser.post(f"{path}/status", data=data).location == path
        [row] = crm.sql("SELECT status FROM campaigns")
        assert row.status == status
    again = browser.post(f"{path}/status", data={"csrf_token": token, "status": "active"})
    assert again.status_code == 303
    assert "Nothing was changed" in browser.get(again.location).text
    assert browser.post(f"{path}/retry", data={"csrf_token": token}).status_code == 303


def test_names_and_texts_are_text(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    crm.fan(MARKUP, tags=["vip", MARKUP], connection_id=None)
    fan = crm.fan(f"Ava {MARKUP}", tags=["vip"])
    values = form(token, fan, name=MARKUP, content=MARKUP + " {name}", q="script", tag=["vip"])
    answers = [step(browser, one, values) for one in ("look", "confirm", "search")]
    path = launched(crm, browser, token, fan, name=MARKUP, content=MARKUP)
    answers += [browser.get(one) for one in (PATH, path, f"{path}/live")]
    answers.append(browser.post(f"{PATH}/new/fans", data=values))
    for answer in answers:
        assert answer.status_code == 200
        assert MARKUP not in answer.text


def test_who_may_not_send_sees_and_starts_nothing(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    fan = crm.fan("Ava")
    path = launched(crm, browser, token, fan)
    token = log_in(crm, browser, "analyst")
    for one in (PATH, path):
        text = browser.get(one).text
        assert 'value="paused"' not in text
        assert "Cancel campaign" not in text
        assert "New campaign" not in text
    assert browser.get(f"{PATH}/new").status_code == 403
    assert step(browser, "start", form(token, fan), seen="1").status_code == 403
    data = {"csrf_token": token, "status": "paused"}
    assert browser.post(f"{path}/status", data=data).status_code == 403
    log_in(crm, browser, "chatter")
    assert "Revenue" not in browser.get(path).text
    assert "Revenue" not in browser.get(PATH).text


def test_what_is_foreign_is_not_there(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    fan = crm.fan("Ava")
    path = launched(crm, browser, token, fan)
    token = log_in(crm, browser, "stranger")
    for one in (path, f"{path}/live", f"{path}/row"):
        assert browser.get(one).status_code == 404
    for one in ("status", "retry"):
        data = {"csrf_token": token, "status": "paused"}
        assert browser.post(f"{path}/{one}", data=data).status_code == 404
    answer = step(browser, "look", form(token, fan))
    assert answer.status_code == 422
    assert "Ava" not in answer.text
    assert "Sale" not in browser.get(PATH).text


def test_a_foreign_page_starts_and_stops_nothing(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    fan = crm.fan("Ava")
    path = launched(crm, browser, token, fan)
    for one in (f"{PATH}/new", f"{path}/status", f"{path}/retry"):
        data = form("forged", fan, status="paused", step="start", seen="1")
        assert browser.post(one, data=data).status_code in {400, 401, 403, 303}
    [row] = crm.sql("SELECT status FROM campaigns")
    assert row.status == "active"


def test_lists_go_on_where_they_ended(crm: Crm, browser: FlaskClient) -> None:
    token = log_in(crm, browser)
    path = launched(crm, browser, token, *(crm.fan(f"Fan {n}") for n in range(25)))
    first = browser.get(path).text
    more = re.search(r'class="sentinel" hx-get="([^"]+)"', first)
    assert more is not None
    rest = browser.get(more[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).text
    assert "<h1" not in rest
    listed = re.findall(r"/fans/(\d+)", first) + re.findall(r"/fans/(\d+)", rest)
    assert len(listed) == len(set(listed)) == 25


def test_files_that_were_sent_before_are_ticked(
    crm: Crm, inbox: Inbox, browser: FlaskClient
) -> None:
    token = log_in(crm, browser)
    buyer, other = inbox.conversation(crm.fan("Buyer")), inbox.conversation(crm.fan("Other"))
    url = "https://files.s3.amazonaws.com/set.jpg"
    attachments = f'[{{"type": "image", "url": "{url}"}}]'
    inbox.sent(buyer, attachments=attachments, price_cents=500, purchased_at=datetime.now(UTC))
    inbox.sent(other, attachments=attachments)
    new = browser.get(f"{PATH}/new").text
    assert f'name="file" value="{url}"' in new
    assert "2 fans have it, 1 bought it" in new

    fan = crm.fan("Reader")
    typed = form(token, fan, file=[url, url, "https://files.s3.amazonaws.com/gone.jpg"], media=url)
    sure = step(browser, "confirm", typed).text
    assert sure.count(f'name="file" value="{url}"') == 2
    again = step(browser, "edit", typed).text
    assert re.findall(r'name="file" value="[^"]+/(\w+).jpg" checked', again) == ["gone", "set"]
    assert step(browser, "start", typed, seen="1").status_code == 303
    [made] = crm.sql("SELECT template FROM campaigns")
    assert made.template["mediaUrls"] == [url, "https://files.s3.amazonaws.com/gone.jpg"]


def test_with_several_accounts_files_are_of_the_chosen_one(
    crm: Crm, inbox: Inbox, browser: FlaskClient
) -> None:
    token = log_in(crm, browser)
    inbox.sent(
        inbox.conversation(crm.fan("One")),
        attachments='[{"type": "image", "url": "https://files.s3.amazonaws.com/one.jpg"}]',
    )
    [second] = crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, 'Second', 'acct_second') RETURNING id",
        owner=crm.owner,
    )
    assert "Choose an account" in browser.get(f"{PATH}/new").text
    for account, found in ((crm.connection, True), (second.id, False), ("x", False)):
        part = browser.post(
            f"{PATH}/new/files", data={"csrf_token": token, "account": str(account)}
        ).text
        assert ("one.jpg" in part) is found, account
    foreign = log_in(crm, browser, "stranger")
    part = browser.post(
        f"{PATH}/new/files", data={"csrf_token": foreign, "account": str(crm.connection)}
    )
    assert "one.jpg" not in part.text
