"""Snippets: kept by managers, found while typing, rendered for a fan, counted when they are sent."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.crm import Crm
from tests.inbox import Inbox
from tests.plans import scans, watched

PATH = "/api/snippets"
HELLO = {
    "title": "Good morning",
    "shortcut": "gm",
    "text": "Good morning {name|love}!",
    "category": "Greetings",
}


def added(crm: Crm, **changes: Any) -> int:
    answer = crm.post(PATH, HELLO | changes)
    assert answer.status_code == 201, answer.text
    return int(answer.json["snippet"]["id"])


def listed(crm: Crm, role: str = "owner", **query: Any) -> list[dict[str, Any]]:
    answer = crm.get(PATH, role, query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["snippets"]
    return found


class TestKeeping:
    def test_one_comes_back_as_it_was_given(self, crm: Crm) -> None:
        added(crm)

        [one] = listed(crm)

        assert {name: one[name] for name in HELLO} == HELLO
        assert (one["useCount"], one["lastUsedAt"], one["earningsCents"]) == (0, None, 0)

    def test_one_key_makes_one(self, crm: Crm) -> None:
        key = {"Idempotency-Key": "one"}
        first = crm.post(PATH, HELLO, headers=key)
        again = crm.post(PATH, HELLO, headers=key)

        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json["snippet"]["id"] == first.json["snippet"]["id"]
        assert len(listed(crm)) == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("title", " "),
            ("title", "x" * 101),
            ("title", "two\nlines"),
            ("shortcut", ""),
            ("shortcut", "Big"),
            ("shortcut", "x" * 31),
            ("text", "  "),
            ("text", "x" * 5001),
            ("category", "x" * 51),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_stored(
        self, crm: Crm, field: str, value: str
    ) -> None:
        answer = crm.post(PATH, HELLO | {field: value})

        assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
        assert listed(crm) == []

    def test_shortcuts_are_unique_in_a_team_only(self, crm: Crm) -> None:
        first = added(crm)
        other = added(crm, shortcut="gn")
        assert crm.post(PATH, HELLO, "stranger").status_code == 201

        assert crm.post(PATH, HELLO).json["code"] == "shortcut_taken"
        taken = crm.call("PUT", f"{PATH}/{other}", json={"shortcut": "gm"})
        assert (taken.status_code, taken.json["code"]) == (409, "shortcut_taken")

        assert crm.call("DELETE", f"{PATH}/{first}").status_code == 204
        assert crm.post(PATH, HELLO).status_code == 201

    def test_only_what_is_given_changes(self, crm: Crm) -> None:
        one = added(crm)

        changed = crm.call("PUT", f"{PATH}/{one}", json={"text": "Hey", "category": None}).json

        assert changed["snippet"]["text"] == "Hey"
        assert (changed["snippet"]["title"], changed["snippet"]["category"]) == (
            "Good morning",
            None,
        )
        assert crm.call("PUT", f"{PATH}/{one}", json={"title": " "}).status_code == 422

    def test_a_thousand_is_the_most(self, crm: Crm) -> None:
        crm.sql(
            "INSERT INTO snippets (user_id, title, shortcut, text)"
            " SELECT :owner, 'T', 's' || n, 'x' FROM generate_series(1, 1000) n",
            owner=crm.owner,
        )

        assert crm.post(PATH, HELLO).json["code"] == "too_many_snippets"

    def test_removed_it_is_gone_and_its_messages_stay(self, crm: Crm, inbox: Inbox) -> None:
        one = added(crm)
        talk = inbox.conversation()
        assert write(crm, talk, one).status_code == 202

        crm.call("DELETE", f"{PATH}/{one}")

        assert listed(crm) == []
        assert crm.call("DELETE", f"{PATH}/{one}").status_code == 404
        assert write(crm, talk, one).status_code == 422
        assert crm.sql("SELECT snippet_id FROM messages")[0].snippet_id == one


class TestFinding:
    def test_parts_of_title_shortcut_and_text_are_found(self, crm: Crm) -> None:
        added(crm)
        added(crm, title="Bye 100%", shortcut="bye-now", text="See you", category=None)

        found = {q: [one["shortcut"] for one in listed(crm, q=q)] for q in ("MORN", "now", "%")}

        assert found == {"MORN": ["gm"], "now": ["bye-now"], "%": ["bye-now"]}
        assert [one["shortcut"] for one in listed(crm, category="Greetings")] == ["gm"]

    def test_pages_go_by_title(self, crm: Crm) -> None:
        for number, title in enumerate(("b", "A", "a", "C", "b")):
            added(crm, title=title, shortcut=f"s{number}")
        found, query = [], {"limit": "2"}
        while True:
            page = crm.get(PATH, query_string=query).json
            assert page["total"] == 5
            found += [one["title"] for one in page["snippets"]]
            if page["nextCursor"] is None:
                break
            query["cursor"] = page["nextCursor"]

        assert found == ["A", "a", "b", "b", "C"]

    def test_strangers_and_analysts_find_nothing(self, crm: Crm) -> None:
        added(crm)

        assert listed(crm, "stranger") == []
        assert crm.get(PATH, "analyst").status_code == 403
        assert crm.post(PATH, HELLO, "chatter").status_code == 403


class TestRendering:
    def test_it_has_the_fans_name_or_the_words_for_those_without(self, crm: Crm) -> None:
        one = added(crm)
        named, nameless = crm.fan("John", handle="@j"), crm.fan("k9", handle="@k9")

        texts = [crm.get(f"{PATH}/{one}/rendered?fanId={fan}").json for fan in (named, nameless)]

        assert [text["text"] for text in texts] == ["Good morning John!", "Good morning love!"]

    def test_a_name_that_is_missing_is_no_text(self, crm: Crm) -> None:
        one = added(crm, text="Hi {name}")
        answer = crm.get(f"{PATH}/{one}/rendered?fanId={crm.fan('k9', handle='@k9')}")

        assert (answer.status_code, answer.json["code"]) == (409, "name_missing")

    def test_a_name_too_long_for_it_is_told(self, crm: Crm) -> None:
        one = added(crm, text="{name}" + "x" * 4990)
        answer = crm.get(f"{PATH}/{one}/rendered?fanId={crm.fan('y' * 50)}")

        assert (answer.status_code, answer.json["code"]) == (409, "too_long")

    def test_foreign_and_deleted_fans_are_not_there(self, crm: Crm) -> None:
        one, gone = added(crm), crm.fan()
        crm.call("DELETE", f"/api/crm/fans/{gone}")

        for fan in (gone, crm.foreign_fan()):
            assert crm.get(f"{PATH}/{one}/rendered?fanId={fan}").status_code == 404
        assert crm.get(f"{PATH}/{one}/rendered?fanId={crm.fan()}", "stranger").status_code == 404


def write(crm: Crm, talk: int, snippet: int, role: str = "owner", **more: Any) -> Any:
    body = {"text": "Good morning John!", "snippetId": snippet} | more.pop("body", {})
    return crm.post(f"/api/crm/conversations/{talk}/messages", body, role, **more)


class TestSending:
    def test_a_message_counts_once_whatever_is_repeated(self, crm: Crm, inbox: Inbox) -> None:
        one, talk = added(crm), inbox.conversation()
        for _ in range(2):
            key = {"Idempotency-Key": "k"}
            assert write(crm, talk, one, "chatter", headers=key).status_code == 202

        [shown] = listed(crm)
        assert (shown["useCount"], shown["lastUsedAt"] is not None) == (1, True)

    def test_what_is_refused_does_not_count(self, crm: Crm, inbox: Inbox) -> None:
        one, talk = added(crm), inbox.conversation()
        crm.call("PUT", "/api/settings/banned-words", json={"words": ["coffee"]})

        refused = write(crm, talk, one, body={"text": "Coffee?"})

        assert refused.status_code == 422
        assert listed(crm)[0]["useCount"] == 0

    def test_somebody_elses_is_none(self, crm: Crm, inbox: Inbox) -> None:
        foreign = crm.post(PATH, HELLO, "stranger").json["snippet"]["id"]

        answer = write(crm, inbox.conversation(), foreign)

        assert answer.json["details"] == [{"field": "snippetId", "message": "no such snippet"}]
        assert crm.sql("SELECT 1 FROM messages") == []

    def test_many_at_once_are_all_counted(self, crm: Crm, inbox: Inbox) -> None:
        one = added(crm)
        talks = [inbox.conversation() for _ in range(8)]
        with ThreadPoolExecutor(4) as people:
            answers = list(people.map(lambda talk: write(crm, talk, one).status_code, talks))

        assert answers == [202] * 8
        assert listed(crm)[0]["useCount"] == 8

    def test_it_earns_what_its_priced_messages_brought(self, crm: Crm, inbox: Inbox) -> None:
        one, talk = added(crm), inbox.conversation()
        paid, free = (
            inbox.message(talk, direction="out", snippet_id=one, price_cents=price)
            for price in (1000, None)
        )
        for message, net, reversed_at in (
            (paid, 800, None),
            (paid, 50, "2026-11-01"),
            (free, 7, None),
        ):
            crm.sql(
                "INSERT INTO transactions (user_id, fan_id, message_id, source, type, gross_cents,"
                " net_cents, happened_at, reversed_at) SELECT user_id, fan_id, id, 'manual', 'tip',"
                " 1000, :net, now(), cast(:reversed_at AS timestamptz) FROM messages WHERE id = :id",
                id=message,
                net=net,
                reversed_at=reversed_at,
            )

        assert listed(crm)[0]["earningsCents"] == 800
        assert listed(crm, "chatter")[0]["earningsCents"] is None


CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1001, 1200) n;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT id, id, 'Luna', 'acct_' || id FROM users WHERE id > 1000;
    INSERT INTO snippets (user_id, title, shortcut, text)
      SELECT u.id, md5(n || 't'), 's' || n, 'Hi' FROM users u, generate_series(1, 40) n
      WHERE u.id > 1000;
    INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
      SELECT u.id, 'Fan', '@f' || u.id || '_' || n, u.id, n
      FROM users u, generate_series(1, 20) n WHERE u.id > 1000;
    INSERT INTO conversations (user_id, fan_id, connection_id)
      SELECT user_id, id, connection_id FROM fans;
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, direction,
        text, state, snippet_id, price_cents)
      SELECT gen_random_uuid(), c.user_id, c.connection_id, c.id, c.fan_id, 'out', '', 'sent',
        s.id, CASE WHEN mod(n, 2) = 0 THEN 500 END
      FROM snippets s JOIN conversations c
        ON c.user_id = s.user_id AND mod(c.id, 20) = mod(s.id, 20), generate_series(1, 4) n;
    INSERT INTO transactions (user_id, fan_id, message_id, source, type, gross_cents, net_cents,
        happened_at)
      SELECT user_id, fan_id, id, 'manual', 'tip', 500, 400, now() FROM messages
      WHERE price_cents IS NOT NULL
"""


def test_no_question_about_them_reads_a_whole_table(crm: Crm) -> None:
    crm.load(CROWD)
    crm.sql("UPDATE snippets SET user_id = :owner WHERE user_id = 1001", owner=crm.owner)
    fan = crm.fan()
    with watched(crm) as seen:
        for query in ({}, {"limit": "5"}, {"q": "abc"}, {"category": "x"}):
            page = crm.get(PATH, query_string=query).json
            if page["nextCursor"]:
                again = query | {"cursor": page["nextCursor"]}
                assert crm.get(PATH, query_string=again).status_code == 200
        one = added(crm)
        crm.call("PUT", f"{PATH}/{one}", json={"title": "New"})
        crm.get(f"{PATH}/{one}/rendered?fanId={fan}")
        crm.call("DELETE", f"{PATH}/{one}")

    assert {one[0][:300]: scans(crm, [one]) for one in seen if scans(crm, [one])} == {}
