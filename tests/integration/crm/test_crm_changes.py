"""Polling for changes: nothing is missed, whatever commits late, and silence is a 304."""

from threading import Thread

import pytest
from sqlalchemy import text

from domain.services import threads
from infra.db.repositories.cursors import write_cursor
from tests.crm import Crm
from tests.inbox import Inbox, minutes

LIST = "/api/crm/messages"


def ask(crm: Crm, since: str, role: str = "owner") -> dict:
    answer = crm.get(LIST, role, query_string={"since": since})
    assert answer.status_code == 200, answer.json
    return answer.json


def told(answer: dict) -> tuple[list[str], list[int]]:
    texts = [one["text"] for one in answer["messages"]]
    return texts, [one["id"] for one in answer["conversations"]]


def test_new_and_changed_rows_are_told_once_and_then_no_more(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    inbox.message(talk, "before")
    start = ask(crm, "now")

    inbox.message(talk, "after", created_at=minutes(1))
    first = ask(crm, start["since"])
    second = ask(crm, first["since"])
    crm.sql("UPDATE messages SET opened_at = now() WHERE text = 'before'")
    third = ask(crm, second["since"])

    assert start == {"messages": [], "conversations": [], "since": start["since"], "more": False}
    assert told(first) == (["after"], [talk])
    assert told(second) == ([], [])
    assert told(third) == (["before"], [])
    assert first["conversations"] == crm.get("/api/crm/conversations").json["conversations"]


def test_what_commits_late_is_told_after_what_was_faster(crm: Crm, inbox: Inbox) -> None:
    talk, other = inbox.conversation(), inbox.conversation()
    slow_id, fast_id = inbox.message(talk, "slow"), inbox.message(other, "fast")
    since = ask(crm, "now")["since"]
    touch = text("UPDATE messages SET opened_at = now() WHERE id = :id")

    with crm.engine.connect() as slow, crm.engine.connect() as fast:
        slow.execute(touch, {"id": slow_id})
        fast.execute(touch, {"id": fast_id})
        fast.commit()
        between = ask(crm, since)
        slow.commit()
    after = ask(crm, between["since"])
    at_rest = ask(crm, after["since"])

    assert told(between)[0] == ["fast"]
    assert told(after)[0] == ["slow", "fast"]
    assert told(at_rest)[0] == []


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_a_long_answer_goes_on_without_loss_while_a_transaction_runs(
    crm: Crm, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(threads, "CHANGES_MAX", limit)
    talk = inbox.conversation()
    slow_id = inbox.message(talk, "slow")
    since = ask(crm, "now")["since"]
    seen: list[str] = []

    with crm.engine.connect() as slow:
        slow.execute(text("UPDATE messages SET opened_at = now() WHERE id = :id"), {"id": slow_id})
        for number in range(5):
            inbox.message(talk, f"{number}")
        answer = ask(crm, since)
        seen += told(answer)[0]
        slow.commit()
    for _ in range(20):
        answer = ask(crm, answer["since"])
        seen += told(answer)[0]
        if not answer["more"] and not answer["messages"]:
            break

    assert set(seen) == {"slow", "0", "1", "2", "3", "4"}
    assert told(answer) == ([], [])


def test_writers_at_full_speed_lose_nothing(crm: Crm, inbox: Inbox) -> None:
    talks = [inbox.conversation() for _ in range(4)]
    since = ask(crm, "now")["since"]
    writers = [
        Thread(target=lambda talk=talk: [inbox.message(talk, f"{talk}.{n}") for n in range(15)])
        for talk in talks
    ]
    seen: set[str] = set()

    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        answer = ask(crm, since)
        seen |= set(told(answer)[0])
        since = answer["since"]
    seen |= set(told(ask(crm, since))[0])

    assert len(seen) == 60


def test_while_nothing_changes_the_answer_need_not_be_sent(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    since = ask(crm, "now")["since"]
    first = crm.get(LIST, query_string={"since": since})
    tag = {"If-None-Match": first.headers["ETag"]}

    # Somebody else's changes are nothing to this owner.
    inbox.message(inbox.conversation(crm.foreign_fan()), "theirs")
    silent = crm.get(LIST, query_string={"since": since}, headers=tag)
    inbox.message(talk, "news")
    loud = crm.get(LIST, query_string={"since": since}, headers=tag)

    assert told(first.json) == ([], [])
    assert (silent.status_code, silent.data) == (304, b"")
    assert (loud.status_code, told(loud.json)[0]) == (200, ["news"])


def test_a_stranger_is_told_nothing(crm: Crm, inbox: Inbox) -> None:
    since = ask(crm, "now")["since"]
    inbox.message(inbox.conversation(), "secret")

    assert told(ask(crm, since, "stranger")) == ([], [])


def test_a_token_that_is_none_of_ours_says_how_to_start(crm: Crm) -> None:
    token = ask(crm, "now")["since"]
    # Of a database that was far ahead of this one.
    from_afar = write_cursor("since", 10**15, 0, 10**15, 0, 0)

    for bad in ("", "0", "garbage", token[:-3], from_afar, "x" * 3000):
        answer = crm.get(LIST, query_string={"since": bad})
        assert answer.status_code == 422, bad
        [problem] = answer.json["details"]
        assert problem["field"] == "since"
        assert "since=now" in problem["message"]


def test_other_filters_beside_a_token_are_refused(crm: Crm) -> None:
    answer = crm.get(f"{LIST}?since=now&q=hello")

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "q")
