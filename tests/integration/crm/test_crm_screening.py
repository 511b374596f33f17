"""Banned words on real rows: who may change the list, and that no message says one."""

from datetime import UTC, datetime
from threading import Thread

import pytest

from domain.errors import Invalid
from domain.events import MessageRequested
from domain.messages import Draft, generate_message_id
from domain.screening import DEFAULT_WORDS
from tests.crm import Crm

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PATH = "/api/settings/banned-words"


def change(crm: Crm, words: object, role: str = "owner"):
    return crm.call("PUT", PATH, role, json={"words": words})


def send(crm: Crm, text: str, role: str = "owner", fan: int | None = None):
    body = {"recipientId": f"fan_{fan or crm.fan()}", "content": text}
    return crm.post("/api/onlyfans/messages/send", body, role)


def test_the_default_list_stands_until_somebody_changes_it(crm: Crm) -> None:
    assert crm.get(PATH, "analyst").json == {"words": list(DEFAULT_WORDS), "isDefault": True}

    answer = change(crm, [" Tea  party", "coffee", "COFFEE"], "manager")

    assert (answer.status_code, answer.json) == (
        200,
        {"words": ["coffee", "Tea party"], "isDefault": False},
    )
    assert crm.get(PATH, "chatter").json == answer.json
    assert crm.get(PATH, "stranger").json["isDefault"] is True
    [line] = crm.sql("SELECT action, detail, actor_id FROM audit_log")
    assert (line.action, line.detail) == ("banned_words.changed", {"words": 2})
    assert line.actor_id == crm.users["manager"].id


def test_an_emptied_list_bans_nothing(crm: Crm) -> None:
    assert change(crm, []).json == {"words": [], "isDefault": False}

    assert crm.get(PATH).json == {"words": [], "isDefault": False}
    assert send(crm, "meet up, escort").status_code == 202


@pytest.mark.parametrize("role", ["chatter", "analyst"])
def test_only_who_manages_may_change_it(crm: Crm, role: str) -> None:
    assert change(crm, ["tea"], role).status_code == 403

    assert crm.get(PATH).json["isDefault"] is True
    assert crm.sql("SELECT 1 FROM audit_log") == []


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["a"] * 501, "words"),
        (["tea", "x" * 51], "words.1"),
        (["..."], "words.0"),
        (["nul\x00"], "words.0"),
        ("tea", "words"),
        ([7], "words.0"),
    ],
)
def test_a_bad_list_changes_nothing(crm: Crm, words: object, field: str) -> None:
    change(crm, ["tea"])

    answer = change(crm, words)

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
    assert crm.get(PATH).json["words"] == ["tea"]


def test_two_changes_at_once_leave_one_of_the_two_lists(crm: Crm) -> None:
    lists = [["one", "shared"], ["two", "shared"]]
    caller, failures = crm.caller(), []

    def put(words: list[str]) -> None:
        try:
            for _ in range(10):
                crm.services.screening.change_banned_words(caller, words)
        except Exception as problem:  # noqa: BLE001  # shown below
            failures.append(problem)

    threads = [Thread(target=put, args=(words,)) for words in lists]
    for one in threads:
        one.start()
    for one in threads:
        one.join(timeout=30)

    assert failures == []
    assert crm.get(PATH).json["words"] in [sorted(words) for words in lists]


def test_a_message_with_banned_words_is_refused_naming_each_and_stores_nothing(crm: Crm) -> None:
    change(crm, ["tea party", "coffee"])

    answer = send(crm, "No CÖFFEE at the t.e.a party", "chatter")

    assert answer.status_code == 422
    assert answer.json["code"] == "banned_words"
    assert answer.json["details"] == [
        {"field": "content", "message": 'remove "coffee"'},
        {"field": "content", "message": 'remove "tea party"'},
    ]
    assert crm.sql("SELECT 1 FROM messages") == []
    assert crm.bus.events == []
    assert send(crm, "No cocoa").status_code == 202


def test_each_owner_has_a_list_of_its_own(crm: Crm) -> None:
    change(crm, ["coffee"])

    answer = send(crm, "coffee", "stranger", crm.foreign_fan())

    assert answer.status_code == 202


def test_a_bad_item_of_a_batch_leaves_the_others_alone(crm: Crm) -> None:
    change(crm, ["coffee"])
    fan = f"fan_{crm.fan()}"

    results = crm.services.messages.send_batch(
        crm.caller(),
        [(fan, Draft("tea")), (fan, Draft("coffee")), (fan, Draft("cocoa"))],
        NOW,
    )

    assert [one.status for one in results] == ["queued", "failed", "queued"]
    assert results[1].error == 'content: remove "coffee"'
    assert [one.text for one in crm.sql("SELECT text FROM messages ORDER BY id")] == [
        "tea",
        "cocoa",
    ]


def test_another_producers_message_is_screened_too(crm: Crm) -> None:
    change(crm, ["coffee"])
    foreign = MessageRequested(
        message_id=generate_message_id(),
        user_id=str(crm.owner),
        recipient_id=f"fan_{crm.fan()}",
        content="coffee",
        timestamp=NOW,
    )

    with pytest.raises(Invalid) as refusal:
        crm.services.messages.accept_foreign(foreign, NOW)

    assert refusal.value.code == "banned_words"
    assert crm.sql("SELECT 1 FROM messages") == []
