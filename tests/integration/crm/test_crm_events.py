"""The journal of what the platform told: browsing and replaying it."""

from datetime import UTC, datetime

from domain.events import PlatformEventReceived
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver, handle_all

AT = "2026-06-10T18:35:30+00:00"
PATH = "/api/crm/events"


def test_the_journal_is_shown_newest_first_without_bodies(crm: Crm) -> None:
    for number in range(1, 4):
        deliver(crm, webhooks.received(number, 501, AT, "<p>PRIVATE</p>"))
    handle_all(crm, datetime.now(UTC))
    deliver(crm, webhooks.deleted(9))

    first = crm.get(f"{PATH}?limit=2")
    second = crm.get(f"{PATH}?limit=2&cursor={first.get_json()['nextCursor']}")

    shown = first.get_json()["events"] + second.get_json()["events"]
    assert [(one["event"], one["outcome"]) for one in shown] == [
        ("messages.deleted", None),
        *[("messages.received", "handled")] * 3,
    ]
    assert (first.get_json()["total"], second.get_json()["nextCursor"]) == (4, None)
    assert "PRIVATE" not in first.text + second.text
    assert shown[0]["connectionId"] == crm.connection


def test_a_page_of_the_journal_does_not_read_bodies(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT, "x" * 100_000))

    page = crm.services.inbound.list_events(crm.caller(), None, 50, None)

    assert [len(one.body) for one in page.items] == [1]


def test_only_ones_own_events_and_only_for_managers(crm: Crm) -> None:
    deliver(crm, webhooks.deleted(1))
    [event] = crm.sql("SELECT id FROM platform_events")

    assert crm.get(PATH, "stranger").get_json()["events"] == []
    assert crm.get(f"{PATH}?connectionId={crm.connection}", "stranger").get_json()["events"] == []
    assert crm.get(PATH, "manager").status_code == 200
    assert crm.get(PATH, "analyst").status_code == 403
    assert crm.post(f"{PATH}/{event.id}/replay", role="stranger").status_code == 404
    assert crm.post(f"{PATH}/{event.id}/replay", role="chatter").status_code == 403
    assert crm.post(f"{PATH}/999/replay").status_code == 404


def test_a_replay_handles_the_event_again_and_changes_nothing_twice(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT))
    handle_all(crm, datetime.now(UTC))
    crm.sql("DELETE FROM messages")
    [event] = crm.sql("SELECT id FROM platform_events")
    crm.bus.events.clear()

    answers = [
        crm.post(f"{PATH}/{event.id}/replay", headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]

    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].get_json()["event"]["outcome"] is None
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert [one.payload for one in crm.bus.events] == [PlatformEventReceived(event_id=event.id)]
    assert handle_all(crm, datetime.now(UTC)) == ["handled"]
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1
    assert [row.action for row in crm.sql("SELECT action FROM audit_log")] == ["event.replayed"]

    crm.post(f"{PATH}/{event.id}/replay")
    assert handle_all(crm, datetime.now(UTC)) == ["handled"]
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1


def test_an_unreadable_event_is_kept_and_can_be_replayed(crm: Crm) -> None:
    deliver(crm, webhooks.body("messages.received", {"id": 1}))
    assert handle_all(crm, datetime.now(UTC)) == ["unreadable"]
    [event] = crm.sql("SELECT id, body FROM platform_events")
    assert event.body != ""

    assert crm.post(f"{PATH}/{event.id}/replay").status_code == 202
    assert handle_all(crm, datetime.now(UTC)) == ["unreadable"]


def test_a_forgotten_body_cannot_be_replayed(crm: Crm) -> None:
    deliver(crm, webhooks.deleted(1))
    handle_all(crm, datetime.now(UTC))
    crm.sql("UPDATE platform_events SET body = ''")
    [event] = crm.sql("SELECT id FROM platform_events")

    answer = crm.post(f"{PATH}/{event.id}/replay")

    assert (answer.status_code, answer.get_json()["code"]) == (409, "event_forgotten")
    assert crm.get(PATH).get_json()["events"][0]["replayable"] is False
