"""The inbox as its user sees it: fans write, replies arrive, and what a webhook lost is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from running import eventually
from system import Account, System


def hear(system: System, account: Account, text: str, fan: int = 0) -> str:
    """A fan writes on the platform; returns the message's id there."""
    body = {"account": account.account_id, "chat": account.chats[fan], "text": text}
    heard: str = system.platform("POST", "inbound", body)["id"]
    return heard


def talks(system: System, account: Account) -> list[dict[str, Any]]:
    """The account's conversations as the inbox lists them."""
    answer = system.api("GET", f"/api/crm/conversations?connectionId={account.id}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["conversations"]
    return found


def thread(system: System, talk: dict[str, Any]) -> list[dict[str, Any]]:
    """The bubbles of a conversation."""
    answer = system.api("GET", f"/api/crm/conversations/{talk['id']}/messages?limit=100")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["messages"]
    return found


def events(system: System, account: Account) -> list[dict[str, Any]]:
    """The journal of what the platform told of the account."""
    return system.sql(
        "SELECT event, outcome, received_at FROM platform_events WHERE account_id = %s ORDER BY id",
        account.account_id,
    )


@contextmanager
def told_before_the_answer(system: System) -> Iterator[None]:
    """Every send's webhook arrives before the send is answered."""
    system.platform("POST", "settings", {"sentWebhook": "before"})
    try:
        yield
    finally:
        system.platform("POST", "settings", {"sentWebhook": "after"})


def test_a_fan_writes_and_a_priced_reply_with_a_photo_is_delivered(system: System) -> None:
    account = system.account()
    hear(system, account, "Anything new? 😍")

    [before] = eventually(lambda: talks(system, account), "the conversation")
    assert (before["unreadCount"], before["lastDirection"]) == (1, "in")
    assert before["lastMessage"]["text"] == "Anything new? 😍"
    [bubble] = thread(system, before)
    assert (bubble["direction"], bubble["text"], bubble["read"]) == (
        "in",
        "Anything new? 😍",
        False,
    )

    origin = system.environment["ONLYFANS_API_URL"].removesuffix("/api")
    photo = {"type": "image", "url": f"{origin}/files/photo.jpg"}
    body = {"text": "For you alone", "priceCents": 750, "attachments": [photo]}
    path = f"/api/crm/conversations/{before['id']}/messages"
    with system.frozen("worker-imports"):
        answers = [system.api("POST", path, body, key=f"reply {account.id}") for _ in range(2)]
        assert [one.status_code for one in answers] == [202, 202]
        [(message_id, state)] = {(one.json()["messageId"], one.json()["status"]) for one in answers}
        assert state == "queued"
        assert system.message(message_id)["wait"]["reason"] == "media"
        assert system.received(account) == []
    delivered = system.until(message_id, "delivered")

    [file] = system.platform("GET", f"media?account={account.account_id}")
    [got] = system.received(account)
    assert (file["type"], got["media"], got["price"]) == ("photo", [file["id"]], 7.5)
    assert (got["id"], got["text"]) == (delivered["platformMessageId"], "For you alone")
    [after] = talks(system, account)
    assert after["lastMessageAt"] > before["lastMessageAt"]
    assert (after["lastDirection"], after["lastMessage"]["status"]) == ("out", "delivered")
    replies = [one for one in thread(system, after) if one["direction"] == "out"]
    assert [(one["messageId"], one["priceCents"], one["status"]) for one in replies] == [
        (message_id, 750, "delivered")
    ]
    assert system.states(account) == {"sent": 1}


def test_a_webhook_before_the_answer_to_its_send_is_no_second_message(system: System) -> None:
    account = system.account()

    with told_before_the_answer(system):
        message_id = system.send(account.fans[0], "Only once")
        delivered = system.until(message_id, "delivered")

    [got] = system.received(account)
    assert got["id"] == delivered["platformMessageId"]
    assert [one["outcome"] for one in delivered["attempts"]] == ["sent"]
    handled = [("messages.sent", "handled")]
    eventually(
        lambda: [(one["event"], one["outcome"]) for one in events(system, account)] == handled,
        "one event, handled",
        lambda: events(system, account),
    )
    [event] = events(system, account)
    assert event["received_at"].isoformat() < delivered["attempts"][0]["finishedAt"]
    [talk] = talks(system, account)
    assert [(one["messageId"], one["text"]) for one in thread(system, talk)] == [
        (message_id, "Only once")
    ]
    assert system.states(account) == {"sent": 1}


def test_what_no_webhook_told_is_found_by_the_synchronisation(system: System) -> None:
    account = system.account(fans=2)
    # The first one comes by itself.
    eventually(lambda: synced_at(system, account), "the first synchronisation")
    with system.untold():
        message_id = system.send(account.fans[1], "Are you there?")
        system.until(message_id, "sent")
        hear(system, account, "Did you get my message?")
        tip = {"account": account.account_id, "chat": account.chats[0], "amount": 20}
        system.platform("POST", "tips", tip)
        assert [one["fan"]["id"] for one in talks(system, account)] == [int(account.fans[1][4:])]

        answer = system.api("POST", f"/api/connections/{account.id}/sync")
        assert answer.status_code == 202, answer.text
        found = eventually(lambda: money(system, account), "the tip")

    assert [(one["type"], one["grossCents"], one["netCents"]) for one in found] == [
        ("tip", 2000, 1600)
    ]
    assert f"fan_{found[0]['fanId']}" == account.fans[0]
    system.until(message_id, "delivered")
    assert {
        (one["unreadCount"], one["lastMessage"]["text"], one["lastDirection"])
        for one in talks(system, account)
    } == {(1, "Did you get my message?", "in"), (0, "Are you there?", "out")}
    assert [len(thread(system, one)) for one in talks(system, account)] == [1, 1]
    assert events(system, account) == []


def synced_at(system: System, account: Account) -> object:
    [row] = system.sql("SELECT synced_at FROM platform_connections WHERE id = %s", account.id)
    return row["synced_at"]


def money(system: System, account: Account) -> list[dict[str, Any]]:
    answer = system.api("GET", f"/api/crm/transactions?connectionId={account.id}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["transactions"]
    return found


FANS, MESSAGES, TIPS = 10, 16, 2
EVENTS = FANS * (MESSAGES + 2 * TIPS)  # a tip is told twice: as a tip, and as money


def test_two_hundred_events_survive_three_kills_of_their_worker(system: System) -> None:
    account = system.account(fans=FANS)
    eventually(lambda: synced_at(system, account), "the first synchronisation")
    # Each comes twice, and not in the order of what happened.
    system.platform("POST", "webhooks", {"duplicate": 1, "shuffleSeconds": 3})

    for number in range(MESSAGES):
        for fan in range(FANS):
            hear(system, account, f"{fan}: {number}", fan)
        if number % (MESSAGES // TIPS) == 0:
            pay_tips(system, account)
        if number in (4, 8, 12):
            kill_in_the_middle(system, account, told=FANS * number)
    eventually(
        lambda: handled(system, account) == EVENTS,
        "all to be handled",
        lambda: handled(system, account),
    )

    assert {one["outcome"] for one in events(system, account)} == {"handled"}
    texts = system.sql("SELECT text FROM messages WHERE connection_id = %s", account.id)
    assert sorted(row["text"] for row in texts) == sorted(
        f"{fan}: {number}" for fan in range(FANS) for number in range(MESSAGES)
    )
    found = talks(system, account)
    assert sorted(one["fan"]["id"] for one in found) == sorted(int(f[4:]) for f in account.fans)
    assert {one["unreadCount"] for one in found} == {MESSAGES}
    for talk in found:
        assert talk["lastMessageAt"] == max(one["createdAt"] for one in thread(system, talk))
    assert {one["fan"]["valueCents"] for one in found} == {TIPS * 1000}
    assert len(money(system, account)) == FANS * TIPS


def kill_in_the_middle(system: System, account: Account, told: int) -> None:
    """Once some of the told events were handled, and not all."""
    eventually(lambda: handled(system, account) > told // 2, "some to be handled")
    assert handled(system, account) < told
    system.kill("worker-inbound")


def pay_tips(system: System, account: Account) -> None:
    """Every fan tips once."""
    for chat in account.chats:
        tip = {"account": account.account_id, "chat": chat, "amount": 10}
        system.platform("POST", "tips", tip)


def handled(system: System, account: Account) -> int:
    [row] = system.sql(
        "SELECT count(*) AS n FROM platform_events WHERE account_id = %s AND outcome IS NOT NULL",
        account.account_id,
    )
    count: int = row["n"]
    return count
