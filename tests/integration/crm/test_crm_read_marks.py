"""Marks of having been read: here at once, on the platform in the end, and then no more."""

from datetime import timedelta

import pytest

from domain.events import ConversationRead
from domain.messages import Outcome
from domain.services.read_marks import ReadMarkService
from tests.crm import Crm
from tests.inbox import Chats, Inbox, minutes


@pytest.fixture
def chats() -> Chats:
    return Chats()


@pytest.fixture
def marks(crm: Crm, chats: Chats) -> ReadMarkService:
    return ReadMarkService(crm.services.open_unit_of_work, chats, crm.services.journal)


def mark(crm: Crm, talk: int, how: str = "read", role: str = "owner"):
    return crm.post(f"/api/crm/conversations/{talk}/{how}", role=role)


def pending(crm: Crm) -> int:
    return crm.sql("SELECT count(tell_read_after) AS n FROM conversations")[0].n


def overdue(crm: Crm, by: timedelta = timedelta()) -> None:
    crm.sql(
        "UPDATE conversations SET tell_read_after = now(), read_at = now() - cast(:by AS interval)",
        by=by,
    )


def test_reading_counts_from_the_rows_and_wakes_a_worker_once(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    for number in range(3):
        inbox.message(talk, created_at=minutes(number))

    first, second = mark(crm, talk), mark(crm, talk)

    assert first.json["conversation"]["unreadCount"] == 0
    assert second.json == first.json
    assert crm.sql("SELECT count(*) AS n FROM messages WHERE NOT read")[0].n == 0
    assert [one.payload for one in crm.bus.events] == [ConversationRead(conversation_id=talk)]


def test_the_platform_is_told_once(
    crm: Crm, inbox: Inbox, chats: Chats, marks: ReadMarkService
) -> None:
    talk = inbox.conversation(crm.fan(platform_user_id="77"))
    inbox.message(talk)
    mark(crm, talk)

    marks.tell(talk)
    marks.tell(talk)

    assert chats.calls == [("mark_read", "acct_luna", "77")]
    assert pending(crm) == 0


def test_what_failed_is_told_later_and_after_a_day_not_at_all(
    crm: Crm, inbox: Inbox, chats: Chats, marks: ReadMarkService
) -> None:
    talk = inbox.conversation()
    inbox.message(talk)
    mark(crm, talk)
    crm.bus.events.clear()
    chats.is_away = True

    marks.tell(talk)
    assert (pending(crm), marks.sweep()) == (1, 0)
    overdue(crm)
    assert (marks.sweep(), marks.sweep()) == (1, 0)
    overdue(crm, timedelta(days=1, seconds=1))
    assert marks.sweep() == 0

    assert pending(crm) == 0
    assert len(crm.bus.events) == 1


def test_a_paused_account_is_asked_nothing_and_told_once_it_is_back(
    crm: Crm, inbox: Inbox, chats: Chats, marks: ReadMarkService
) -> None:
    talk = inbox.conversation()
    inbox.message(talk)
    mark(crm, talk)
    overdue(crm)
    crm.sql("UPDATE platform_connections SET state = 'paused_auth'")

    marks.tell(talk)
    assert (chats.calls, marks.sweep()) == ([], 0)
    crm.sql("UPDATE platform_connections SET state = 'active'")

    assert marks.sweep() == 1


@pytest.mark.parametrize(
    "case", [(Outcome.REFUSED, 0), (Outcome.AUTH_LOST, 1), (Outcome.RATE_LIMITED, 1)]
)
def test_only_a_refusal_that_may_heal_is_tried_again(
    crm: Crm, inbox: Inbox, chats: Chats, marks: ReadMarkService, case: tuple[Outcome, int]
) -> None:
    talk = inbox.conversation()
    inbox.message(talk)
    mark(crm, talk)
    chats.refuses, left = case

    marks.tell(talk)

    assert pending(crm) == left


def test_unread_marks_the_newest_message_of_the_fan_and_stays_here(
    crm: Crm, inbox: Inbox, chats: Chats, marks: ReadMarkService
) -> None:
    talk = inbox.conversation()
    inbox.message(talk, "old", created_at=minutes(1))
    newest = inbox.message(talk, "new", created_at=minutes(2))
    inbox.message(talk, "ours", direction="out", created_at=minutes(3))
    mark(crm, talk)

    first, second = mark(crm, talk, "unread"), mark(crm, talk, "unread")
    marks.tell(talk)

    assert first.json["conversation"]["unreadCount"] == 1
    assert second.json == first.json
    assert [
        one.id for one in crm.sql("SELECT id FROM messages WHERE NOT read AND direction = 'in'")
    ] == [newest]
    assert chats.calls == []


def test_a_deleted_message_is_never_unread(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation(crm.fan("Kept"))
    inbox.message(talk, "still there", read=True)
    inbox.message(talk, "gone", created_at=minutes(1), deleted_at=minutes(2))
    other = crm.fan("Other", connection_id=None)

    assert mark(crm, talk, "unread").json["conversation"]["unreadCount"] == 1
    [row] = crm.sql("SELECT text FROM messages WHERE NOT read AND deleted_at IS NULL")
    assert row.text == "still there"

    kept = crm.sql("SELECT fan_id FROM conversations")[0].fan_id
    merge = crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": other}).json["mergeId"]
    assert crm.post(f"/api/crm/merges/{merge}/undo").status_code == 200
    assert crm.sql("SELECT unread_count FROM conversations")[0].unread_count == 1


def test_a_conversation_without_a_word_of_the_fan_has_nothing_unread(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()

    assert mark(crm, talk, "unread").json["conversation"]["unreadCount"] == 0


@pytest.mark.parametrize("how", ["read", "unread"])
def test_strangers_and_analysts_may_not_mark(crm: Crm, inbox: Inbox, how: str) -> None:
    talk = inbox.conversation()
    inbox.message(talk)

    assert mark(crm, talk, how, "stranger").status_code == 404
    assert mark(crm, talk, how, "analyst").status_code == 403
    assert crm.sql("SELECT unread_count FROM conversations")[0].unread_count == 1
    assert crm.bus.events == []
