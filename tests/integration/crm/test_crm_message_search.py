"""Messages across conversations: filters, and words found among them."""

import pytest

from infra.db.repositories import message_search
from tests.crm import Crm
from tests.inbox import Inbox, minutes

LIST = "/api/crm/messages"


def found(crm: Crm, query: str = "", role: str = "owner") -> list[str]:
    answer = crm.get(f"{LIST}{query}", role)
    assert answer.status_code == 200, answer.json
    return [one["text"] for one in answer.json["messages"]]


def test_the_newest_of_all_conversations_comes_first_and_pages_meet(crm: Crm, inbox: Inbox) -> None:
    talks = [inbox.conversation(), inbox.conversation()]
    for number in range(5):
        inbox.message(talks[number % 2], f"{number}", created_at=minutes(number // 2))

    first = crm.get(f"{LIST}?limit=3").json
    second = crm.get(f"{LIST}?limit=3&cursor={first['nextCursor']}").json

    assert list(first) == ["messages", "total", "totalCapped", "nextCursor"]
    texts = [one["text"] for one in first["messages"] + second["messages"]]
    assert texts == ["4", "3", "2", "1", "0"]
    assert (second["total"], second["nextCursor"]) == (5, None)


def test_each_filter_narrows_and_all_combine(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan()
    talk, other = inbox.conversation(fan), inbox.conversation()
    inbox.message(talk, "wanted", direction="out", state="failed", created_at=minutes(1))
    inbox.message(other, "else", created_at=minutes(2))
    filters = ["direction=out", "status=failed", f"fanId={fan}", "q=want"]
    filters.append(f"to={minutes(1):%Y-%m-%dT%H:%M:%SZ}")

    for one in filters:
        assert found(crm, f"?{one}") == ["wanted"], one
    assert found(crm, f"?{'&'.join(filters)}&connectionId={crm.connection}") == ["wanted"]
    assert found(crm, "?direction=in") == ["else"]
    assert found(crm, "?direction=in&status=failed") == []


def test_all_words_are_found_in_any_order_and_the_last_as_a_beginning(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()
    for text in ("See you on SATURDAY night", "saturday", "on sunday", "Le café est fermé"):
        inbox.message(talk, text)

    assert found(crm, "?q=night+sat") == ["See you on SATURDAY night"]
    assert found(crm, "?q=sat") == ["saturday", "See you on SATURDAY night"]
    assert found(crm, "?q=saturday+nig") == ["See you on SATURDAY night"]
    assert found(crm, "?q=caf%C3%A9+ferm") == ["Le café est fermé"]
    # The same letters as some keyboards write them: e and its accent apart.
    assert found(crm, "?q=cafe%CC%81") == ["Le café est fermé"]
    assert found(crm, "?q=turday") == []


@pytest.mark.parametrize(
    "hostile",
    [
        *("'", "!!!", "a & | !", "':*", "\\", "((", "<->", "%", "_", "🎉", "x" * 200),
        *("\u0301", "\u202e", "ﷺ", "' & '", "a:*b", "1/2", "-- ;", "e\u0301te\u0301"),
        "a' OR 'a'='a",
    ],
)
def test_a_hostile_query_finds_nothing_and_breaks_nothing(
    crm: Crm, inbox: Inbox, hostile: str
) -> None:
    inbox.message(inbox.conversation(), "Hello")

    answer = crm.get(LIST, query_string={"q": hostile})

    assert answer.status_code == 200, answer.json
    assert (answer.json["messages"], answer.json["total"]) == ([], 0)


def test_common_and_rare_words_give_the_same_pages(
    crm: Crm, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = inbox.conversation()
    for number in range(12):
        inbox.message(talk, f"word {number}", created_at=minutes(number))

    def pages() -> list[list[str]]:
        first = crm.get(f"{LIST}?q=word&limit=5").json
        second = crm.get(f"{LIST}?q=word&limit=5&cursor={first['nextCursor']}").json
        third = crm.get(f"{LIST}?q=word&limit=5&cursor={second['nextCursor']}").json
        assert [one["total"] for one in (first, second, third)] == [12] * 3
        assert third["nextCursor"] is None
        return [[one["text"] for one in page["messages"]] for page in (first, second, third)]

    walked = pages()
    monkeypatch.setattr(message_search, "WALK", 2)
    collected = pages()

    assert walked == collected
    assert walked[0] == ["word 11", "word 10", "word 9", "word 8", "word 7"]


def test_a_search_is_counted_up_to_a_thousand(
    crm: Crm, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_search, "SEARCH_TOTAL_MAX", 2)
    talk = inbox.conversation()
    for _ in range(3):
        inbox.message(talk, "word")

    answer = crm.get(f"{LIST}?q=word").json

    assert (answer["total"], answer["totalCapped"]) == (2, True)
    assert len(answer["messages"]) == 3


def test_a_stranger_finds_nothing_of_it(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan()
    inbox.message(inbox.conversation(fan), "secret")

    assert found(crm, "?q=secret", "stranger") == []
    assert found(crm, f"?fanId={fan}", "stranger") == []
    assert found(crm, f"?connectionId={crm.connection}", "stranger") == []


@pytest.mark.parametrize(
    "query", ["cursor=x", "status=lost", "direction=up", "limit=0", "q=" + "x" * 201, "x=1"]
)
def test_a_query_that_cannot_be_meant_is_refused(crm: Crm, query: str) -> None:
    assert crm.get(f"{LIST}?{query}").status_code == 422
