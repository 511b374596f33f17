"""Taking messages back: what may be, how it is done, and when it is given up."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.events import UnsendRequested
from domain.messages import Outcome
from domain.services.unsending import UnsendingService
from tests.crm import Crm
from tests.inbox import Chats, Inbox


@pytest.fixture
def chats() -> Chats:
    return Chats()


@pytest.fixture
def unsending(crm: Crm, chats: Chats) -> UnsendingService:
    return UnsendingService(crm.services.open_unit_of_work, chats, crm.services.journal)


def ask(crm: Crm, message_id: object, role: str = "owner", **headers: str):
    return crm.post(f"/api/onlyfans/messages/{message_id}/unsend", role=role, headers=headers)


def row(crm: Crm, message_id: object):
    [found] = crm.sql("SELECT * FROM messages WHERE public_id = :id", id=message_id)
    return found


def overdue(crm: Crm) -> None:
    crm.sql("UPDATE messages SET unsend_after = now() WHERE unsend_after IS NOT NULL")


def test_a_sent_message_is_taken_back(
    crm: Crm, inbox: Inbox, chats: Chats, unsending: UnsendingService
) -> None:
    talk = inbox.conversation(crm.fan(platform_user_id="77"))
    message_id = inbox.sent(talk, platform_message_id="900")

    answer = ask(crm, message_id)
    [event] = crm.bus.events
    bubble = crm.get(f"/api/crm/conversations/{talk}/messages").json["messages"][0]
    unsending.unsend(event.payload.message_id)
    unsending.unsend(event.payload.message_id)

    assert answer.status_code == 202
    assert (answer.json["status"], answer.json["unsending"]) == ("sent", True)
    assert isinstance(event.payload, UnsendRequested)
    assert (bubble["unsending"], bubble["canUnsend"]) == (True, False)
    assert chats.calls == [("unsend", "acct_luna", "77", "900")]
    assert (row(crm, message_id).state, row(crm, message_id).unsend_after) == ("unsent", None)


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"state": "queued", "sent_at": None}, "not_sent"),
        ({"state": "unsent"}, "not_sent"),
        ({"platform_message_id": None}, "not_sent"),
        ({"sent_at": datetime.now(UTC) - timedelta(hours=24, minutes=1)}, "too_late"),
        ({"purchased_at": datetime.now(UTC), "state": "delivered"}, "purchased"),
    ],
)
def test_what_may_not_be_taken_back_is_a_conflict(
    crm: Crm, inbox: Inbox, columns: dict[str, object], code: str
) -> None:
    message_id = inbox.sent(inbox.conversation(), **columns)

    answer = ask(crm, message_id)

    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert (row(crm, message_id).unsend_after, crm.bus.events) == (None, [])


def test_what_the_fan_wrote_cannot_be_taken_back(crm: Crm, inbox: Inbox) -> None:
    message_id = uuid4()
    inbox.message(inbox.conversation(), public_id=message_id)

    assert (ask(crm, message_id).status_code, crm.bus.events) == (409, [])


def test_asking_again_changes_nothing(crm: Crm, inbox: Inbox) -> None:
    message_id = inbox.sent(inbox.conversation())
    key = {"Idempotency-Key": "once"}

    answers = [ask(crm, message_id, **key), ask(crm, message_id, **key), ask(crm, message_id)]

    assert [one.status_code for one in answers] == [202, 202, 202]
    assert answers[0].json == answers[1].json == answers[2].json
    assert [one.headers.get("Idempotent-Replayed") for one in answers] == [None, "true", None]
    assert len(crm.bus.events) == 1


def test_one_of_an_account_leaves_in_a_pass(
    crm: Crm, inbox: Inbox, unsending: UnsendingService
) -> None:
    talk = inbox.conversation()
    for _ in range(3):
        ask(crm, inbox.sent(talk))
    assert len(crm.bus.events) == 1

    assert [unsending.sweep() for _ in range(3)] == [1, 1, 0]
    assert len({one.payload.message_id for one in crm.bus.events}) == 3


def test_a_platform_that_is_away_is_asked_ever_more_rarely(
    crm: Crm, inbox: Inbox, chats: Chats, unsending: UnsendingService
) -> None:
    message_id = inbox.sent(inbox.conversation())
    ask(crm, message_id)
    chats.is_away = True
    pauses = []

    for _ in range(3):
        unsending.unsend(row(crm, message_id).id)
        [found] = crm.sql("SELECT unsend_after - now() AS pause, unsend_tries FROM messages")
        pauses.append(round(found.pause.total_seconds()))

    assert (pauses, found.unsend_tries) == ([5, 10, 20], 3)
    assert unsending.sweep() == 0
    overdue(crm)
    assert unsending.sweep() == 1
    assert row(crm, message_id).state == "sent"


@pytest.mark.parametrize(
    "case",
    [
        (Outcome.REFUSED, "unsend_failed", False),
        (Outcome.RATE_LIMITED, None, True),
        (Outcome.AUTH_LOST, None, True),
    ],
)
def test_a_refusal_ends_it_unless_it_may_heal(
    crm: Crm,
    inbox: Inbox,
    chats: Chats,
    unsending: UnsendingService,
    case: tuple[Outcome, str | None, bool],
) -> None:
    message_id = inbox.sent(inbox.conversation())
    ask(crm, message_id)
    chats.refuses, error, waits = case

    unsending.unsend(row(crm, message_id).id)

    found = row(crm, message_id)
    assert (found.state, found.error_code) == ("sent", error)
    assert (found.unsend_after is not None) is waits


def test_after_a_day_it_is_given_up_and_says_so(
    crm: Crm, inbox: Inbox, chats: Chats, unsending: UnsendingService
) -> None:
    message_id = inbox.sent(inbox.conversation())
    ask(crm, message_id)
    crm.sql("UPDATE messages SET sent_at = now() - interval '25 hours'")
    crm.sql("UPDATE platform_connections SET state = 'paused_auth'")

    assert unsending.sweep() == 1

    found = row(crm, message_id)
    assert (found.state, found.error_code, found.unsend_after) == ("sent", "unsend_failed", None)
    assert chats.calls == []


def test_what_was_bought_meanwhile_stays(
    crm: Crm, inbox: Inbox, chats: Chats, unsending: UnsendingService
) -> None:
    message_id = inbox.sent(inbox.conversation())
    ask(crm, message_id)
    crm.sql("UPDATE messages SET purchased_at = now()")

    unsending.unsend(row(crm, message_id).id)

    assert (chats.calls, row(crm, message_id).error_code) == ([], "unsend_failed")


def test_strangers_and_analysts_may_not_take_back(crm: Crm, inbox: Inbox) -> None:
    message_id = inbox.sent(inbox.conversation())

    assert ask(crm, message_id, "stranger").status_code == 404
    assert ask(crm, message_id, "analyst").status_code == 403
    assert row(crm, message_id).unsend_after is None
