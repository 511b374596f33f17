"""The inbox as a page: what it shows and hides, what a form does once, and what it costs."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm
from tests.inbox import Inbox, minutes
from tests.plans import scans, watched

PASSWORD = "correct horse battery"
MARKUP = '<script>alert("x")</script>'
PLACE = "/messages/onlyfans"
PART = {"HX-Request": "true"}
# A page with a thread, its list, its views and its fan; no more however much there is.
STATEMENTS_MOST = 40
# What grows with every day; the owner's fans are counted, up to a limit.
GROWING = frozenset({"messages", "transactions", "fan_changes", "notifications"})


class Window:
    """A browser in which somebody of the team is logged in."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.csrf = ""

    def log_in(self, role: str) -> None:
        data = {"email": f"{role}@example.com", "password": PASSWORD}
        assert self.client.post("/login", data=data).status_code == 303
        cookie = self.client.get_cookie("huntaze_csrf")
        assert cookie is not None
        self.csrf = cookie.value

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, **more)

    def post(self, path: str, data: dict[str, str] | None = None, **more: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.csrf} | (data or {}), **more)


@pytest.fixture
def window(crm: Crm) -> Iterator[Window]:
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    with crm.client.application.test_client() as client:
        opened = Window(client)
        opened.log_in("owner")
        yield opened


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return re.findall(r'talk-name clip">([^<]*)<', answer.text)


def test_filters_of_the_address_narrow_the_list(crm: Crm, inbox: Inbox, window: Window) -> None:
    rich = crm.fan("Rich", value_cents=60_000, tier="whale", tags=["vip"])
    unread = inbox.conversation(rich, last_message_at=minutes(0))
    inbox.message(unread, created_at=minutes(1))
    answered = inbox.conversation(crm.fan("Answered"), last_message_at=minutes(0))
    inbox.message(answered, direction="out", created_at=minutes(2))
    inbox.conversation(crm.fan("Only campaigns"), is_direct=False)
    inbox.conversation(crm.fan("Long ago"), last_message_at=minutes(0) - timedelta(days=40))

    assert names(window.get(PLACE)) == ["Answered", "Rich", "Long ago"]
    for query, found in (
        ("unread=1", ["Rich"]),
        ("unreplied=1", ["Rich"]),
        ("unread=1&spent=60000", ["Rich"]),
        ("spent=60001", []),
        ("tier=whale", ["Rich"]),
        ("tag=vip", ["Rich"]),
        ("from=2026-11-20", ["Answered", "Rich"]),
        ("to=2026-11-19", ["Long ago"]),
        ("platform=fansly", []),
        ("q=answ", ["Answered"]),
        ("view=unread", ["Rich"]),
        ("all=1&q=only", ["Only campaigns"]),
        # What no filter can be does not narrow.
        ("from=yesterday&spent=lots&tier=gold", ["Answered", "Rich", "Long ago"]),
    ):
        assert names(window.get(f"{PLACE}?{query}")) == found, query
        assert names(window.get(f"{PLACE}/list?{query}", headers=PART)) == found, query
    kept = window.get(f"{PLACE}?unread=1&spent=100")
    assert f'href="{PLACE}/{unread}?unread=1&amp;spent=100"' in kept.text
    assert "These filters do not fit" in window.get(f"{PLACE}?view=12345").text


def test_what_people_wrote_is_text(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation(crm.fan(MARKUP, tags=[MARKUP], notes=MARKUP))
    inbox.message(talk, f"{MARKUP}\nsecond line")
    inbox.sent(talk, MARKUP, attachments='[{"type": "image", "url": "javascript:alert(1)"}]')
    for path in (PLACE, f"{PLACE}/{talk}", f"{PLACE}?q=%3Cscript%3E"):
        answer = window.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert 'href="javascript:' not in answer.text
    assert "<br>second line" in window.get(f"{PLACE}/{talk}").text


def test_a_stranger_finds_nothing(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    sent = inbox.sent(talk, state="failed")
    other = inbox.conversation(crm.fan("Another"))
    path = f"{PLACE}/{talk}"
    assert window.post(f"{PLACE}/{other}/messages/{sent}/retry").status_code == 404
    window.log_in("stranger")
    for one in ("", "/newest", "/fan", "/older", "/files"):
        assert window.get(f"{path}{one}", headers=PART).status_code == 404, one
    for one in ("/send", "/read", "/unread", "/compose", f"/messages/{sent}/retry"):
        assert window.post(f"{path}{one}", {"text": "Hi"}).status_code == 404, one
    assert names(window.get(PLACE)) == []
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1


def test_roles_see_what_they_may_do(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    inbox.message(talk)
    failed = inbox.sent(talk, state="failed", error_code="refused")
    path = f"{PLACE}/{talk}"
    assert "You earned, net" in window.get(path).text
    window.log_in("chatter")
    page = window.get(path).text
    assert 'id="composer"' in page
    assert "You earned, net" not in page
    window.log_in("analyst")
    page = window.get(path).text
    assert "You earned, net" in page
    assert "Your role may read here, not write." in page
    assert 'id="composer"' not in page
    assert ">Retry<" not in page
    assert "/read" not in re.findall(r'hx-post="([^"?]*)', page)
    for one in ("/send", "/read", "/unread", f"/messages/{failed}/retry"):
        assert window.post(f"{path}{one}", {"text": "Hi"}).status_code == 403, one
    assert window.get(f"{path}/snippets").status_code == 403
    assert window.get(f"{path}/files").status_code == 403


def test_a_form_without_a_script_sends_once(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    path = f"{PLACE}/{talk}"
    page = window.get(f"{path}?unread=1")
    assert f'action="{path}/send?unread=1"' in page.text
    key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert key is not None
    data = {"text": "Good morning\r\nsecond line", "key": key[1], "price": ""}

    answers = [window.post(f"{path}/send?unread=1", data) for _ in range(2)]

    assert [(one.status_code, one.location) for one in answers] == [(303, f"{path}?unread=1")] * 2
    [made] = crm.sql("SELECT text, state, snippet_id FROM messages")
    assert (made.text, made.state) == ("Good morning\nsecond line", "queued")
    shown = window.get(path).text
    assert "Queued, will be sent shortly" in shown
    assert "data-countdown" in shown
    assert ">Cancel<" in shown
    other = window.post(f"{path}/send", data | {"text": "Something else"})
    assert other.status_code == 422
    assert "Something else</textarea>" in other.text
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1


def test_what_was_typed_survives_a_refusal(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    path = f"{PLACE}/{talk}"
    for price, told in (("much", "dollars and cents"), ("1.00", "Price:"), ("1e99", "dollars")):
        data = {"text": "Look <at> this", "price": price, "media": "https://elsewhere.example/a"}
        answer = window.post(f"{path}/send", data)
        assert answer.status_code == 422
        assert "Look &lt;at&gt; this</textarea>" in answer.text
        assert told in html.unescape(answer.text)
        part = window.post(f"{path}/send", data, headers=PART)
        assert (part.status_code, part.headers["HX-Retarget"]) == (422, "#toasts")
        assert "What you wrote is kept" in part.text
    assert f'data-draft="talk-{talk}"' in window.get(path).text
    crm.sql("UPDATE fans SET deleted_at = now()")
    gone = window.post(f"{path}/send", {"text": "Are you there?"})
    assert gone.status_code == 422
    assert "Are you there?</textarea>" in gone.text
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 0


def test_a_failed_message_says_why_and_is_sent_again(
    crm: Crm, inbox: Inbox, window: Window
) -> None:
    talk = inbox.conversation()
    failed = inbox.sent(talk, state="failed", error_code="refused", platform_message_id=None)
    away = inbox.sent(
        talk, state="failed", error_code="queue_unavailable", platform_message_id=None
    )
    path = f"{PLACE}/{talk}"
    page = window.get(path).text
    assert "Message failed to send" in page
    assert "the platform refused the message" in page
    assert "Service temporarily unavailable" in page

    part = window.post(f"{path}/messages/{failed}/retry", headers=PART)
    assert part.status_code == 200
    assert 'id="newest"' in part.text
    assert window.post(f"{path}/messages/{failed}/retry", headers=PART).status_code == 409
    assert window.post(f"{path}/messages/{away}/retry").location == path
    assert window.post(f"{path}/messages/{away}/cancel").location == path
    states = {one.public_id: one.state for one in crm.sql("SELECT public_id, state FROM messages")}
    assert (states[failed], states[away]) == ("queued", "cancelled")
    assert window.post(f"{path}/messages/{away}/explode").status_code == 404


def test_taking_a_message_back_is_asked_first(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    sent = inbox.sent(talk)
    path = f"{PLACE}/{talk}"
    page = window.get(path).text
    [dialog] = re.findall(r'<dialog id="unsend-.*?</dialog>', page, re.DOTALL)
    assert "The fan may have read it already" in html.unescape(dialog)
    assert f'action="{path}/messages/{sent}/unsend?anchor="' in dialog
    assert 'hx-target="#newest"' in dialog
    part = window.post(f"{path}/messages/{sent}/unsend", headers=PART)
    assert (part.status_code, "Being taken back" in part.text) == (200, True)


def test_an_unproven_message_asks_a_person(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    unknown = inbox.sent(talk, state="unknown", platform_message_id=None)
    path = f"{PLACE}/{talk}"
    page = window.get(path).text
    assert "Not sure whether it was sent" in page
    assert ">It was sent<" in page
    # Sending again may be twice: that is asked first, and being sure is not.
    assert re.search(r"Send it again\?</h2>\s*<p>[^<]*the fan gets it twice", page)
    assert "asked to pay twice" not in page
    crm.sql("UPDATE messages SET price_cents = 500")
    assert "asked to pay twice" in window.get(path).text
    window.post(f"{path}/messages/{unknown}/confirm")
    assert crm.sql("SELECT state FROM messages")[0].state == "sent"


def crowd(crm: Crm, count: int) -> None:
    """That many fans whose last words came in the same minute."""
    crm.load(
        """
        INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
        SELECT :owner, 'Fan ' || n, '@crowd' || n, :connection, 'crowd' || n
        FROM generate_series(1, :count) n;
        INSERT INTO conversations (user_id, fan_id, connection_id, last_message_at, is_direct)
        SELECT :owner, id, :connection, now() - interval '1 hour', true FROM fans
        WHERE handle LIKE '@crowd%'
        """,
        owner=crm.owner,
        connection=crm.connection,
        count=count,
    )


def address_of(text: str, mark: str) -> str | None:
    """Where the element with this mark asks."""
    found = re.search(mark + r'[^>]* hx-get="([^"]+)"', text)
    return html.unescape(found[1]) if found else None


def test_every_conversation_is_reached_and_none_twice(
    crm: Crm, inbox: Inbox, window: Window
) -> None:
    crowd(crm, 950)
    parts = [window.get(PLACE).text]
    while address := address_of(parts[-1], "sentinel"):
        text = window.get(address, headers=PART).text
        if "hx-target" in parts[-1].partition('class="sentinel"')[2].partition(">")[0]:
            parts[-1] = text  # A part that has grown takes its own place.
        else:
            parts.append(text)
    shown = [re.findall(r'id="talk-(\d+)"', one) for one in parts]
    assert [len(one) for one in shown] == [400, 400, 150]
    everyone = {one for part in shown for one in part}
    assert len(everyone) == 950

    # Each part goes on refreshing itself, and ends where the next begins whoever writes.
    polls = [address_of(one, "data-live") or "" for one in parts]
    for number in (0, 1):  # Without what led on to the next part.
        polls[number] = address_of(window.get(polls[number], headers=PART).text, "data-live") or ""
    assert [window.get(one, headers=PART).status_code for one in polls] == [204] * 3
    inbox.message(int(shown[1][7]), "I am back", created_at=datetime.now(UTC))
    again = [window.get(one, headers=PART).text for one in polls]
    ids = [re.findall(r'id="talk-(\d+)"', one) for one in again]
    assert ids[0] == [shown[1][7], *shown[0]]
    assert ids[1] == [one for one in shown[1] if one != shown[1][7]]
    assert again[2] == ""
    assert "sentinel" not in again[0] + again[1]
    # Without a script each part is a page.
    follow = re.search(r'href="([^"]+)">More conversations', parts[0])
    assert follow is not None
    assert len(names(window.get(html.unescape(follow[1])))) == 40
    crm.sql("UPDATE conversations SET last_message_at = now()")
    assert "Many have written meanwhile" in window.get(polls[0], headers=PART).text
    assert "talk-name" not in window.get(polls[1], headers=PART).text


@pytest.mark.parametrize("part", ["list", "newest", "fan"])
def test_a_refresh_without_news_costs_a_204(
    crm: Crm, inbox: Inbox, window: Window, part: str
) -> None:
    talk = inbox.conversation(crm.fan("Somebody"))
    inbox.sent(talk)
    path = f"{PLACE}/list" if part == "list" else f"{PLACE}/{talk}/{part}"
    first = window.get(path, headers=PART)
    again = re.search(r'hx-get="([^"]+seen=[^"]+)"', first.text)
    assert again is not None
    address = html.unescape(again[1])
    assert window.get(address, headers=PART).status_code == 204

    inbox.message(talk, "News", created_at=datetime.now(UTC))
    crm.sql("UPDATE fans SET notes = 'Likes tea'")

    news = window.get(address, headers=PART)
    assert news.status_code == 200
    assert ("Likes tea" if part == "fan" else "News") in news.text


def test_a_thread_is_read_back_without_gaps_or_twins(
    crm: Crm, inbox: Inbox, window: Window
) -> None:
    talk = inbox.conversation()
    made = [
        inbox.message(talk, f"Line {number}", created_at=minutes(number)) for number in range(130)
    ]
    page = window.get(f"{PLACE}/{talk}").text
    chunks = [re.findall(r'id="m-(\d+)"', page)]
    while address := re.search(r'class="older" hx-get="([^"]+)"', page):
        page = window.get(html.unescape(address[1]), headers=PART).text
        chunks.insert(0, re.findall(r'id="m-(\d+)"', page))
    assert [int(one) for chunk in chunks for one in chunk] == made
    assert "where the conversation begins" in page
    [middle] = crm.sql("SELECT public_id FROM messages WHERE id = :id", id=made[60])
    around = window.get(f"{PLACE}/{talk}?around={middle.public_id}").text
    assert f'target" id="m-{made[60]}"' in around
    assert f'id="m-{made[-1]}"' in around


def test_reading_and_its_opposite(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation()
    inbox.message(talk)
    path = f"{PLACE}/{talk}"
    assert f'hx-post="{path}/read"' in window.get(path).text
    assert window.post(f"{path}/read", headers=PART).status_code == 204
    assert crm.sql("SELECT unread_count FROM conversations")[0].unread_count == 0
    assert window.post(f"{path}/unread").location == PLACE
    assert crm.sql("SELECT unread_count FROM conversations")[0].unread_count == 1


def test_a_snippet_joins_what_is_written(crm: Crm, inbox: Inbox, window: Window) -> None:
    talk = inbox.conversation(crm.fan("Ada"))
    body = {"title": "Greeting", "shortcut": "hi", "text": "Good to see you, {name}!"}
    snippet = crm.post("/api/snippets", body).json["snippet"]["id"]
    path = f"{PLACE}/{talk}"
    assert "Greeting" in window.get(f"{path}/snippets?snippet_q=greet", headers=PART).text
    assert "Greeting" not in window.get(f"{path}/snippets?snippet_q=nothing", headers=PART).text
    joined = window.post(f"{path}/compose?snippet={snippet}", {"text": "Hello"}, headers=PART)
    assert "Hello\nGood to see you, Ada!</textarea>" in joined.text
    assert "Good to see you, Ada!</textarea>" in window.get(f"{path}?snippet={snippet}").text
    unknown = window.post(f"{path}/compose?snippet=999999", {"text": "Hello"}, headers=PART)
    assert "Hello</textarea>" in unknown.text
    assert "cannot be used" in unknown.text
    window.post(f"{path}/send", {"text": "Hello Ada", "snippet": str(snippet)})
    assert crm.sql("SELECT snippet_id FROM messages")[0].snippet_id == snippet


def test_a_snippet_deleted_meanwhile_stops_nothing(crm: Crm, inbox: Inbox, window: Window) -> None:
    path = f"{PLACE}/{inbox.conversation()}"
    body = {"title": "Greeting", "shortcut": "hi", "text": "Good to see you!"}
    snippet = str(crm.post("/api/snippets", body).json["snippet"]["id"])
    assert crm.call("DELETE", f"/api/snippets/{snippet}").status_code == 204
    data = {"text": "Good to see you!", "snippet": snippet, "key": "0" * 32}
    assert [window.post(f"{path}/send", data).status_code for _ in range(2)] == [303, 303]
    [made] = crm.sql("SELECT text, snippet_id FROM messages")
    assert (made.text, made.snippet_id) == ("Good to see you!", None)
    refused = window.post(f"{path}/send", data | {"price": "1.00", "key": "1" * 32})
    assert refused.status_code == 422


def test_files_of_the_account_are_offered_and_what_the_fan_had_is_marked(
    crm: Crm, inbox: Inbox, window: Window
) -> None:
    talk, other = inbox.conversation(), inbox.conversation(crm.fan("Another"))
    for where, name in ((talk, "had"), (other, "new")):
        url = f"https://files.example/{name}.jpg"
        inbox.sent(where, attachments=f'[{{"type": "image", "url": "{url}"}}]')
    offered = window.get(f"{PLACE}/{talk}/files", headers=PART).text
    assert re.findall(r'value="https://files.example/(\w+).jpg"', offered) == ["new", "had"]
    assert offered.count("sent before") == 1


def test_a_page_costs_the_same_however_much_there_is(
    crm: Crm, inbox: Inbox, window: Window
) -> None:
    talk = inbox.conversation(crm.fan("Talkative", value_cents=100))
    crm.load(
        """
        INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
        SELECT :owner, 'Fan ' || n, '@crowd' || n, :connection, 'crowd' || n
        FROM generate_series(1, 3000) n;
        INSERT INTO conversations (user_id, fan_id, connection_id, last_message_at, is_direct)
        SELECT :owner, id, :connection, now() - id * interval '1 minute', true FROM fans
        WHERE handle LIKE '@crowd%';
        INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,
          direction, text, created_at)
        SELECT gen_random_uuid(), c.user_id, c.connection_id, c.id, c.fan_id, 'in', 'Hello ' || n,
          now() - n * interval '1 minute'
        FROM conversations c CROSS JOIN generate_series(1, 10) n;
        INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,
          direction, text, created_at, state, queued_at)
        SELECT gen_random_uuid(), c.user_id, c.connection_id, c.id, c.fan_id, 'out', 'Hi ' || n,
          now() - n * interval '1 minute', 'sent', now()
        FROM conversations c CROSS JOIN generate_series(1, 1000) n WHERE c.id = :talk;
        INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents, happened_at)
        SELECT :owner, id, 'sync', 'tip', 100, 80, now() FROM fans CROSS JOIN generate_series(1, 10)
        """,
        owner=crm.owner,
        connection=crm.connection,
        talk=talk,
    )
    for path in (
        PLACE,
        f"{PLACE}/{talk}",
        f"{PLACE}/{talk}/newest",
        f"{PLACE}/{talk}/files",
        f"{PLACE}/list?rows=400",
        f"{PLACE}?unreplied=1&q=fan",
    ):
        with watched(crm) as seen:
            assert window.get(path, headers=PART).status_code == 200
        assert len(seen) <= STATEMENTS_MOST, path
        assert scans(crm, seen, GROWING) == set(), path
