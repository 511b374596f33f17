"""A thread backwards, forwards and around a message; and what each bubble says."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.crm import Crm
from tests.inbox import Inbox, minutes

HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x")',
    "zero\u200bwidth",
    "\u202eright to left",
    "𠜎 👩‍👩‍👧‍👦",
    "👋" * 5000,
]


def thread(crm: Crm, talk: int, query: str = "") -> dict:
    answer = crm.get(f"/api/crm/conversations/{talk}/messages{query}")
    assert answer.status_code == 200, answer.json
    return answer.json


def texts(answer: dict) -> list[str]:
    return [one["text"] for one in answer["messages"]]


def test_a_message_has_the_documented_keys(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    message = inbox.message(talk, "Hello!", read=True)

    answer = thread(crm, talk)

    [one] = answer["messages"]
    assert (answer["total"], answer["totalCapped"], answer["nextCursor"]) == (1, False, None)
    assert list(one)[:10] == [
        *("id", "conversationId", "fanId", "direction", "text", "priceCents", "read"),
        *("attachments", "sentByAi", "createdAt"),
    ]
    assert one["id"] == message
    assert one["createdAt"] == "2026-11-20T12:00:00.000Z"
    facts = ("direction", "read", "status", "notice", "canUnsend", "priceCents", "attachments")
    assert [one[name] for name in facts] == ["in", True, None, None, False, None, []]


def test_pages_lead_back_through_messages_of_one_moment_and_forward_again(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()
    for number in range(9):
        inbox.message(talk, f"{number}", created_at=minutes(number // 3))

    newest = thread(crm, talk, "?limit=4")
    older = thread(crm, talk, f"?limit=4&cursor={newest['nextCursor']}")
    oldest = thread(crm, talk, f"?limit=4&cursor={older['nextCursor']}")

    assert [texts(one) for one in (newest, older, oldest)] == [
        ["5", "6", "7", "8"],
        ["1", "2", "3", "4"],
        ["0"],
    ]
    assert (oldest["nextCursor"], oldest["total"]) == (None, 9)
    forward = thread(crm, talk, f"?limit=4&after={oldest['previousCursor']}")
    assert texts(forward) == ["1", "2", "3", "4"]


def test_reading_forward_finds_what_was_written_since(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    inbox.message(talk, "first")
    end = thread(crm, talk)["previousCursor"]

    nothing = thread(crm, talk, f"?after={end}")
    inbox.message(talk, "second", created_at=minutes(1))

    assert (texts(nothing), nothing["previousCursor"]) == ([], end)
    assert texts(thread(crm, talk, f"?after={end}")) == ["second"]


def test_both_sides_of_a_found_message_are_shown(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    made = [inbox.message(talk, f"{number}", created_at=minutes(number)) for number in range(9)]
    [row] = crm.sql("SELECT public_id FROM messages WHERE id = :id", id=made[4])

    by_id = thread(crm, talk, f"?limit=4&around={made[4]}")
    by_message_id = thread(crm, talk, f"?limit=4&around={row.public_id}")

    assert texts(by_id) == ["2", "3", "4", "5"]
    assert by_message_id == by_id
    before = thread(crm, talk, f"?limit=4&cursor={by_id['nextCursor']}")
    behind = thread(crm, talk, f"?limit=4&after={by_id['previousCursor']}")
    assert (texts(before), texts(behind)) == (["0", "1"], ["6", "7", "8"])


def test_a_message_of_another_thread_or_owner_is_not_found_around(crm: Crm, inbox: Inbox) -> None:
    talk, other = inbox.conversation(), inbox.conversation()
    foreign = inbox.conversation(crm.foreign_fan())
    strays = [inbox.message(other), inbox.message(foreign), "nonsense", 10**17]

    for stray in strays:
        answer = crm.get(f"/api/crm/conversations/{talk}/messages?around={stray}")
        assert answer.status_code == 404
    two = crm.get(f"/api/crm/conversations/{talk}/messages?around=1&cursor=x")
    assert (two.status_code, two.json["details"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("columns", "notice"),
    [
        ({"state": "queued", "admitted_at": minutes(0)}, "Queued, will be sent shortly"),
        ({"state": "queued", "hold": "media"}, "Queued, will be sent shortly"),
        ({"state": "unknown"}, "Queued, will be sent shortly"),
        (
            {"state": "failed", "error_code": "queue_unavailable"},
            "Service temporarily unavailable",
        ),
        ({"state": "failed", "error_code": "refused"}, "Message failed to send"),
        ({"state": "delivered"}, None),
    ],
)
def test_what_waits_or_failed_says_so_with_reason_and_remedy(
    crm: Crm, inbox: Inbox, columns: dict[str, object], notice: str | None
) -> None:
    talk = inbox.conversation()
    inbox.message(talk, direction="out", **columns)

    [one] = thread(crm, talk)["messages"]

    assert one["status"] == columns["state"]
    if notice is None:
        assert one["notice"] is None
    else:
        assert one["notice"]["text"] == notice
        assert one["notice"]["reason"]
        assert one["notice"]["remedy"]


def test_only_what_may_be_taken_back_says_so(crm: Crm, inbox: Inbox) -> None:
    talk, now = inbox.conversation(), datetime.now(UTC)
    inbox.sent(talk, "young")
    inbox.sent(talk, "old", sent_at=now - timedelta(hours=25))
    inbox.sent(talk, "bought", purchased_at=now)
    inbox.sent(talk, "unproven", platform_message_id=None)
    inbox.message(talk, "theirs")

    answer = thread(crm, talk)

    assert {one["text"] for one in answer["messages"] if one["canUnsend"]} == {"young"}


def test_hostile_text_goes_in_and_out_unharmed(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    for number, text in enumerate(HOSTILE):
        inbox.message(talk, text, created_at=minutes(number))

    assert texts(thread(crm, talk)) == HOSTILE


def test_a_message_written_outside_of_huntaze_is_shown_and_can_be_asked_for(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()
    public_id = inbox.sent(talk, "from the app", origin="platform", queued_at=None)

    [one] = thread(crm, talk)["messages"]

    assert (one["status"], one["messageId"]) == ("sent", str(public_id))
    assert crm.get(f"/api/onlyfans/messages/{public_id}").json["content"] == "from the app"
