"""Notifications: raised where rows go wrong, resolved where they come right, seen by each member."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.connections import ConnectionId, ConnectionState
from domain.messages import Outcome, State
from domain.pacing import Learned
from domain.ports import SendAnswer
from domain.repositories import Result
from domain.services.notifications import SWEEP_SECONDS, NotificationService
from domain.services.wake_ups import requested
from tests.crm import Crm
from tests.importing import upload
from tests.importing import work_off as import_all
from tests.integration.crm.test_crm_campaigns import become, counted, fans, launch, work_off
from tests.plans import scans, watched

PATH = "/api/notifications"


def queued(crm: Crm, fan: int | None = None) -> UUID:
    body = {"recipientId": f"fan_{fan or crm.fan()}", "content": "Hi"}
    answer = crm.post("/api/onlyfans/messages/send", body)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json["messageId"])


def record(crm: Crm, *ids: UUID, state: State = State.FAILED, detail: str | None = None) -> None:
    """The platform's final answer to these messages, each in a transaction of its own."""
    outcome = Outcome.REFUSED if state is State.FAILED else Outcome.SENT
    for one in ids:
        with crm.services.open_unit_of_work() as work:
            message = work.messages.by_public_id(one)
            assert message is not None
            claim = work.messages.claim(message.id, timedelta(minutes=1))
            assert claim is not None
            result = Result(
                outcome=outcome,
                error_code=outcome if state is State.FAILED else None,
                detail=detail,
                started_at=datetime.now(UTC),
            )
            work.messages.record(
                claim, result, state, failures=0, key_no=0, delay=None, wake_in=None
            )
            work.commit()


def listed(crm: Crm, role: str = "owner", **query: Any) -> list[dict[str, Any]]:
    answer = crm.get(PATH, role, query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["notifications"]
    return found


def unseen(crm: Crm, role: str = "owner") -> int:
    return int(crm.get(f"{PATH}/unseen", role).json["unseen"])


class TestMessages:
    def test_one_that_fails_for_good_is_told_in_the_words_of_the_product(self, crm: Crm) -> None:
        fan = crm.fan()
        message = queued(crm, fan)
        crm.platform.script(SendAnswer(Outcome.REFUSED, 400, detail="no such user"))
        with crm.services.open_unit_of_work() as work:
            row = work.messages.by_public_id(message)
        assert row is not None
        crm.services.delivery.requested(requested(row).payload, datetime.now(UTC))

        [told] = listed(crm)

        assert told["kind"] == "messages_failed"
        assert told["notice"] == "Message failed to send"
        assert told["reason"] == "the platform refused the message (no such user)"
        assert told["remedy"].startswith("change what it names")
        assert told["target"] == {"type": "message", "id": str(message)}
        assert told["message"]["fanId"] == fan
        assert (told["canRetry"], told["isSeen"], told["isResolved"]) == (True, False, False)
        assert unseen(crm) == 1

    def test_one_that_is_sent_tells_nothing_and_costs_nothing(self, crm: Crm) -> None:
        message = queued(crm)
        with watched(crm) as seen:
            record(crm, message, state=State.SENT)

        assert listed(crm) == []
        assert not [statement for statement, _ in seen if "notifications" in statement]

    def test_many_of_one_account_are_one_with_a_count(self, crm: Crm) -> None:
        record(crm, *(queued(crm) for _ in range(5)), detail="no such user")

        [told] = listed(crm)

        assert (told["count"], told["openCount"], unseen(crm)) == (5, 5, 1)
        assert told["reason"] == "the platform refused the message"
        assert told["target"] == {"type": "connection", "id": crm.connection}
        assert told["canRetry"] is False

    def test_what_fails_later_is_told_anew(self, crm: Crm) -> None:
        record(crm, queued(crm))
        crm.sql("UPDATE notifications SET created_at = created_at - interval '11 minutes'")

        record(crm, queued(crm))

        assert [told["count"] for told in listed(crm)] == [1, 1]

    def test_retried_it_is_resolved_and_failing_again_told_anew(self, crm: Crm) -> None:
        message = queued(crm)
        record(crm, message)
        crm.post(f"{PATH}/seen", {"upTo": listed(crm)[0]["id"]})

        crm.post(f"/api/onlyfans/messages/{message}/retry")

        [told] = listed(crm)
        assert (told["isResolved"], told["openCount"], told["canRetry"]) == (True, 0, False)
        assert (listed(crm, open="true"), unseen(crm)) == ([], 0)

        record(crm, message)

        again, before = listed(crm)
        assert (again["isResolved"], again["isSeen"]) == (False, False)
        assert (before["isResolved"], before["count"]) == (True, 0)
        assert unseen(crm) == 1

    def test_the_timer_marks_what_was_resolved(self, crm: Crm) -> None:
        messages, now = [queued(crm), queued(crm)], [0.0]
        service = NotificationService(crm.services.open_unit_of_work, lambda: now[0])
        record(crm, *messages)
        crm.post(f"/api/onlyfans/messages/{messages[0]}/retry")
        assert service.sweep() == 0

        crm.post(f"/api/onlyfans/messages/{messages[1]}/retry")

        assert service.sweep() == 0  # It has just looked.
        now[0] += SWEEP_SECONDS
        assert (service.sweep(), service.sweep()) == (1, 0)
        [told] = listed(crm, open="false")
        assert (told["isResolved"], told["count"]) == (True, 2)

    def test_one_that_only_a_person_can_settle_is_told(self, crm: Crm) -> None:
        message = queued(crm)
        crm.sql("UPDATE messages SET state = 'unknown', wake_after = now() + interval '1 hour'")
        [row] = crm.sql("SELECT id FROM messages")
        with crm.services.open_unit_of_work() as work:
            work.queue.put_off(row.id, timedelta(minutes=1))
            work.commit()
        assert listed(crm) == []
        with crm.services.open_unit_of_work() as work:
            work.queue.put_off(row.id, None)
            work.commit()

        [told] = listed(crm)
        assert told["kind"] == "messages_unproven"
        assert told["notice"] == "Queued, will be sent shortly"
        assert told["remedy"].startswith("look into the chat")
        assert told["canRetry"] is True

        crm.post(f"/api/onlyfans/messages/{message}/confirm")
        assert [one["isResolved"] for one in listed(crm)] == [True]

    def test_a_queue_that_is_away_has_its_own_notice(self, crm: Crm) -> None:
        messages = [queued(crm) for _ in range(3)]
        with crm.services.open_unit_of_work() as work:
            for one in messages:
                row = work.messages.by_public_id(one)
                assert row is not None
                work.messages.move(row, State.FAILED, error_code="queue_unavailable")
            work.commit()

        [told] = listed(crm)
        assert (told["notice"], told["count"]) == ("Service temporarily unavailable", 3)

    def test_many_that_fail_at_once_are_one(self, crm: Crm) -> None:
        messages = [queued(crm) for _ in range(12)]
        with ThreadPoolExecutor(6) as workers:
            list(workers.map(lambda one: record(crm, one), messages))

        [told] = listed(crm)
        assert (told["count"], told["openCount"]) == (12, 12)

    def test_nothing_is_told_of_what_was_rolled_back(self, crm: Crm) -> None:
        message = queued(crm)
        with crm.services.open_unit_of_work() as work:
            row = work.messages.by_public_id(message)
            assert row is not None
            work.messages.move(row, State.FAILED, error_code="refused")

        assert listed(crm) == []


class TestAccounts:
    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            (ConnectionState.PAUSED_AUTH, "the platform no longer accepts its login"),
            (ConnectionState.PAUSED_QUOTA, "the gateway's credits are used up"),
        ],
    )
    def test_paused_by_the_platform_until_it_is_active(
        self, crm: Crm, state: ConnectionState, reason: str
    ) -> None:
        for _ in range(2):
            self.become(crm, state)

        [told] = listed(crm)
        assert (told["kind"], told["reason"]) == ("connection_paused", reason)
        assert told["target"] == {"type": "connection", "id": crm.connection}
        assert told["connection"]["name"] == "acct_luna"

        crm.post(f"/api/connections/{crm.connection}/resume")
        assert (unseen(crm), listed(crm)[0]["isResolved"]) == (0, True)

        self.become(crm, state)
        assert [one["isResolved"] for one in listed(crm)] == [False, True]

    def test_paused_by_a_person_is_known_to_that_person(self, crm: Crm) -> None:
        self.become(crm, ConnectionState.PAUSED)

        assert listed(crm) == []

    def test_a_platform_that_fails_in_a_row_until_it_answers(self, crm: Crm) -> None:
        for failures in (4, 5, 6):
            self.learn(crm, failures)
        [told] = listed(crm)
        assert (told["kind"], told["openCount"]) == ("platform_failing", 1)

        self.learn(crm, 0)

        assert (unseen(crm), listed(crm)[0]["isResolved"]) == (0, True)

    @staticmethod
    def become(crm: Crm, state: ConnectionState) -> None:
        with crm.services.open_unit_of_work() as work:
            work.connections.set_state(ConnectionId(crm.connection), state, "401")
            work.commit()

    @staticmethod
    def learn(crm: Crm, failures: int) -> None:
        learned = Learned(slowdown=0, failures=failures, blocked_until_ms=0)
        with crm.services.open_unit_of_work() as work:
            work.connections.learn(ConnectionId(crm.connection), learned, "unclear", None)
            work.commit()


class TestCampaigns:
    def test_one_that_pauses_itself_until_it_is_resumed(self, crm: Crm) -> None:
        url = launch(crm, fans(crm, 40)).json["statusUrl"]
        work_off(crm)
        become(crm, "failed", 30)
        counted(crm)

        [told] = listed(crm)
        assert (told["kind"], told["campaign"]["name"]) == ("campaign_paused", "Sale")
        assert told["reason"].startswith("the campaign paused itself: ")
        assert told["target"] == {"type": "campaign", "id": told["campaign"]["campaignId"]}

        crm.call("PUT", f"{url}/status", json={"status": "active"})
        assert (unseen(crm), listed(crm)[0]["isResolved"]) == (0, True)

    def test_one_that_fails_says_why(self, crm: Crm) -> None:
        [fan] = fans(crm, 1)
        at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        launch(crm, [fan], scheduledAt=at)
        crm.call("DELETE", f"/api/crm/fans/{fan.removeprefix('fan_')}")
        crm.sql("UPDATE campaigns SET scheduled_at = now(), wake_after = now()")
        crm.services.campaigns.wake_overdue()
        work_off(crm)

        [told] = listed(crm)
        assert (told["kind"], told["notice"]) == ("campaign_failed", "Message failed to send")
        assert told["reason"] == "the campaign ended: recipientIds: nobody is left to write to"
        assert told["target"]["type"] == "campaign"

    def test_one_that_a_person_pauses_tells_nothing(self, crm: Crm) -> None:
        url = launch(crm, fans(crm, 2)).json["statusUrl"]
        crm.call("PUT", f"{url}/status", json={"status": "paused"})

        assert listed(crm) == []

    def test_its_failed_messages_are_one_for_as_long_as_it_runs(self, crm: Crm) -> None:
        launch(crm, fans(crm, 3))
        work_off(crm)
        messages = [row.public_id for row in crm.sql("SELECT public_id FROM messages ORDER BY id")]
        for message in messages:
            record(crm, message)
            crm.sql("UPDATE notifications SET created_at = created_at - interval '1 hour'")

        [told] = listed(crm)
        assert (told["count"], told["target"]["type"], told["canRetry"]) == (3, "campaign", True)


def test_an_import_that_fails_until_the_same_file_succeeds(crm: Crm) -> None:
    failing = upload(crm, "Username\njohn\n").json["importId"]
    kept, crm.files.files = dict(crm.files.files), {}
    import_all(crm)

    [told] = listed(crm)
    assert (told["kind"], told["notice"]) == ("import_failed", "Import failed")
    assert told["target"] == {"type": "import", "id": failing}
    assert told["import"]["fileName"] == "fans.csv"

    crm.files.files = kept
    upload(crm, "Username\njohn\n")
    import_all(crm)
    assert (unseen(crm), listed(crm)[0]["isResolved"]) == (0, True)


class TestSeeing:
    def test_each_member_has_a_mark_that_only_goes_on(self, crm: Crm) -> None:
        record(crm, queued(crm))
        first = listed(crm)[0]["id"]

        assert crm.post(f"{PATH}/seen", {"upTo": first}).json == {
            "unseen": 0,
            "unseenCapped": False,
            "seenTo": first,
        }
        assert crm.post(f"{PATH}/seen", {"upTo": 0}).json["seenTo"] == first
        assert listed(crm)[0]["isSeen"] is True
        assert (unseen(crm), unseen(crm, "chatter")) == (0, 1)

    def test_what_is_yet_to_come_cannot_be_seen(self, crm: Crm) -> None:
        record(crm, queued(crm))
        crm.post(f"{PATH}/seen", {"upTo": 2**62})
        crm.sql("UPDATE notifications SET created_at = created_at - interval '11 minutes'")

        record(crm, queued(crm))

        assert unseen(crm) == 1

    def test_a_badge_that_has_not_changed_is_not_sent_again(self, crm: Crm) -> None:
        tag = crm.get(f"{PATH}/unseen").headers["ETag"]
        asked = {"If-None-Match": tag}
        assert crm.get(f"{PATH}/unseen", headers=asked).status_code == 304

        record(crm, queued(crm))

        assert crm.get(f"{PATH}/unseen", headers=asked).json["unseen"] == 1

    def test_strangers_see_nothing_and_mark_nothing(self, crm: Crm) -> None:
        record(crm, queued(crm))
        [told] = listed(crm)

        assert (listed(crm, "stranger"), unseen(crm, "stranger")) == ([], 0)
        assert crm.post(f"{PATH}/seen", {"upTo": told["id"]}, "stranger").json["seenTo"] == 0
        assert unseen(crm) == 1

    def test_the_list_is_paged(self, crm: Crm) -> None:
        for _ in range(5):
            record(crm, queued(crm))
            crm.sql("UPDATE notifications SET created_at = created_at - interval '1 hour'")
        found, cursor = [], None
        while True:
            page = crm.get(PATH, query_string={"limit": 2} | ({"cursor": cursor} if cursor else {}))
            assert page.json["total"] == 5
            found += [one["id"] for one in page.json["notifications"]]
            cursor = page.json["nextCursor"]
            if cursor is None:
                break

        assert found == sorted(found, reverse=True)
        assert len(found) == 5
        assert crm.get(f"{PATH}?cursor=x").status_code == 422


CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1001, 1200) n;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT id, id, 'Luna', 'acct_' || id FROM users WHERE id > 1000;
    INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
      SELECT u.id, 'Fan', '@f' || u.id || '_' || n, u.id, n
      FROM users u, generate_series(1, 50) n WHERE u.id > 1000;
    INSERT INTO conversations (user_id, fan_id, connection_id)
      SELECT user_id, id, connection_id FROM fans;
    INSERT INTO notifications (user_id, kind, code, connection_id, resolved_at)
      SELECT 1001 + mod(n, 200), 'messages_failed', 'refused', 1001 + mod(n, 200),
        CASE WHEN mod(n, 17) > 0 THEN now() END
      FROM generate_series(1, 8000) n;
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, direction,
        text, state, notification_id)
      SELECT gen_random_uuid(), c.user_id, c.connection_id, c.id, c.fan_id, 'out', '',
        CASE WHEN mod(c.id, 3) = 0 THEN 'failed' ELSE 'sent' END,
        CASE WHEN mod(n, 4) = 0 THEN (SELECT min(id) FROM notifications o
          WHERE o.user_id = c.user_id) + 200 * mod(n, 20) END
      FROM conversations c, generate_series(1, 4) n
"""


def test_neither_list_nor_badge_nor_mark_reads_a_whole_table(crm: Crm) -> None:
    crm.load(CROWD)
    crm.sql("UPDATE notifications SET user_id = :owner WHERE user_id = 1001", owner=crm.owner)
    fan = crm.fan()
    with watched(crm) as seen:
        for path in ("", "?open=true", "?open=false", "/unseen"):
            assert crm.get(f"{PATH}{path}").status_code == 200
        assert crm.post(f"{PATH}/seen", {"upTo": 3}).status_code == 200
        record(crm, queued(crm, fan))
        crm.services.notifications.sweep()

    assert {one[0][:300]: scans(crm, [one]) for one in seen if scans(crm, [one])} == {}
