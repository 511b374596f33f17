"""Hours and caps of an account's campaigns, and what a fan may get a day, on real rows."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.connections import ConnectionId
from domain.messages import Claim, MessageId
from domain.pacing import LaneVerb
from domain.repositories import Lanes
from tests.crm import Crm
from tests.integration.crm.test_crm_campaigns import PATH, fans, launch, states, work_off

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def limit(crm: Crm, **limits: Any) -> Any:
    return crm.call(
        "PUT", f"/api/connections/{crm.connection}", json={"campaignLimits": limits or None}
    )


def waiting(crm: Crm) -> list[int]:
    return [one.id for one in crm.sql("SELECT id FROM messages WHERE state='queued' ORDER BY id")]


def claim(crm: Crm, message_id: int) -> Claim | Lanes | None:
    """What a worker does with a released message, up to the call."""
    lease = timedelta(seconds=60)
    limits = crm.services.bulk_limits
    with crm.services.open_unit_of_work() as work:
        claimed: Claim | Lanes | None = work.messages.claim(MessageId(message_id), lease)
        if claimed is None:
            claimed = limits.claim(work, MessageId(message_id), lease)
        work.commit()
    if isinstance(claimed, Lanes):
        limits.tell_room(claimed, LaneVerb.PAUSE)
    return claimed


def send(crm: Crm, message_id: int, ago: timedelta = timedelta(0)) -> None:
    """Claimed and called, so long ago."""
    assert isinstance(claim(crm, message_id), Claim)
    crm.sql(
        "UPDATE message_attempts SET slot_at = now() - :ago, started_at = now() - :ago,"
        " outcome = 'sent' WHERE message_id = :id",
        ago=ago,
        id=message_id,
    )
    crm.sql(
        "UPDATE messages SET state = 'sent', lease_until = NULL, sent_at = now() - :ago"
        " WHERE id = :id",
        ago=ago,
        id=message_id,
    )


def in_room(crm: Crm) -> int:
    [view] = crm.services.room.view([ConnectionId(crm.connection)])
    return sum(view.waiting.values())


def age(crm: Crm, by: timedelta) -> None:
    """So much later."""
    crm.sql("UPDATE message_attempts SET slot_at = slot_at - :by", by=by)
    crm.sql("UPDATE messages SET sent_at = sent_at - :by", by=by)
    crm.sql("UPDATE platform_connections SET bulk_held_until = bulk_held_until - :by", by=by)
    crm.sql("UPDATE messages SET wake_after = wake_after - :by WHERE hold IS NOT NULL", by=by)


def message(crm: Crm, message_id: int) -> Any:
    [row] = crm.sql("SELECT public_id FROM messages WHERE id = :id", id=message_id)
    return crm.get(f"/api/onlyfans/messages/{row.public_id}").json


class TestCaps:
    def test_an_hours_cap_holds_the_campaign_and_says_until_when(self, crm: Crm) -> None:
        limit(crm, perHour=2)
        body = launch(crm, fans(crm, 4)).json
        work_off(crm)
        one, two, three, _four = waiting(crm)
        send(crm, one, timedelta(minutes=20))
        send(crm, two)

        assert isinstance(claim(crm, three), Lanes)

        told = message(crm, three)["wait"]
        assert told["reason"] == "hour_cap"
        until = datetime.fromisoformat(told["until"])
        assert abs(until - datetime.now(UTC) - timedelta(minutes=40)) < timedelta(minutes=1)
        assert in_room(crm) == 0
        found = crm.get(body["statusUrl"]).json
        assert [hold["reason"] for hold in found["holds"]] == ["hour_cap"]
        # The third goes when the first leaves the hour, the fourth when the second does.
        ends = datetime.fromisoformat(found["estimatedCompletionTime"])
        assert abs(ends - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
        assert crm.get("/api/connections").json["connections"][0]["campaignLimits"] == {
            "perHour": 2,
            "perDay": None,
            "perFanPerDay": None,
            "hours": None,
            "warmUpSince": None,
            "heldUntil": told["until"],
            "heldReason": "hour_cap",
        }

    def test_it_goes_on_by_itself_and_each_message_once(self, crm: Crm) -> None:
        limit(crm, perHour=2)
        launch(crm, fans(crm, 4))
        work_off(crm)
        one, two, three, four = waiting(crm)
        send(crm, one)
        send(crm, two)
        assert isinstance(claim(crm, three), Lanes)
        assert crm.services.bulk_limits.sweep() == 0
        age(crm, HOUR)

        assert crm.services.bulk_limits.sweep() == 1

        assert in_room(crm) == 4  # The fake's lanes still hold the two that a test sent.
        send(crm, three)
        send(crm, four)
        assert states(crm) == {"sent": 4}

    def test_a_reply_counts_and_never_waits(self, crm: Crm) -> None:
        limit(crm, perHour=1)
        [fan] = fans(crm, 1)
        launch(crm, [fan])
        work_off(crm)
        [bulk] = waiting(crm)
        crm.post("/api/onlyfans/messages/send", {"recipientId": fan, "content": "Hello"})
        [_, reply] = waiting(crm)
        send(crm, reply)
        assert isinstance(claim(crm, bulk), Lanes)
        crm.post("/api/onlyfans/messages/send", {"recipientId": fan, "content": "Again"})
        send(crm, waiting(crm)[-1])
        assert states(crm) == {"queued": 1, "sent": 2}

    def test_one_that_is_being_sent_counts(self, crm: Crm) -> None:
        limit(crm, perDay=1)
        launch(crm, fans(crm, 2))
        work_off(crm)
        one, two = waiting(crm)
        assert isinstance(claim(crm, one), Claim)
        assert isinstance(claim(crm, two), Lanes)
        assert message(crm, two)["wait"]["reason"] == "day_cap"

    def test_two_workers_at_once_stay_below_the_cap(self, crm: Crm) -> None:
        limit(crm, perHour=3)
        launch(crm, fans(crm, 12))
        work_off(crm)
        with ThreadPoolExecutor(6) as workers:
            claimed = list(workers.map(lambda one: claim(crm, one), waiting(crm)))
        assert sum(isinstance(one, Claim) for one in claimed) == 3
        assert sum(isinstance(one, Lanes) for one in claimed) == 9

    def test_a_new_account_warms_up(self, crm: Crm) -> None:
        limit(crm, warmUp=True)
        launch(crm, fans(crm, 1))
        work_off(crm)
        [one] = waiting(crm)
        crm.sql(
            "INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key,"
            " slot_at, started_at) SELECT :id, :connection, 100 + n, 'key', now(), now()"
            " FROM generate_series(1, 100) AS n",
            id=one,
            connection=crm.connection,
        )
        assert isinstance(claim(crm, one), Lanes)
        assert message(crm, one)["wait"]["reason"] == "warm_up"
        since = crm.sql(
            "SELECT bulk_limits ->> 'warmUpSince' AS at FROM platform_connections WHERE id = :id",
            id=crm.connection,
        )[0].at
        limit(crm, warmUp=True, perHour=50)
        again = crm.get("/api/connections").json["connections"][0]["campaignLimits"]
        assert datetime.fromisoformat(again["warmUpSince"]) - datetime.fromisoformat(
            since
        ) < timedelta(milliseconds=1)

    def test_other_limits_are_looked_at_at_once(self, crm: Crm) -> None:
        limit(crm, perHour=1)
        launch(crm, fans(crm, 2))
        work_off(crm)
        one, two = waiting(crm)
        send(crm, one)
        assert isinstance(claim(crm, two), Lanes)
        limit(crm)
        assert crm.services.bulk_limits.sweep() == 1
        send(crm, two)
        [row] = crm.sql(
            "SELECT bulk_limits IS NULL AS is_null FROM platform_connections WHERE id = :id",
            id=crm.connection,
        )
        assert row.is_null

    def test_the_promise_knows_the_cap(self, crm: Crm) -> None:
        limit(crm, perHour=3)
        body = launch(crm, fans(crm, 5)).json
        ends = datetime.fromisoformat(body["estimatedCompletionTime"])
        assert HOUR < ends - datetime.now(UTC) < HOUR + timedelta(minutes=1)
        work_off(crm)
        found = crm.get(body["statusUrl"]).json
        drift = datetime.fromisoformat(found["estimatedCompletionTime"]) - ends
        assert abs(drift) < timedelta(seconds=2)
        # A second one follows behind the first.
        later = launch(crm, fans(crm, 2)).json
        second = datetime.fromisoformat(later["estimatedCompletionTime"])
        assert abs(second - datetime.now(UTC) - 2 * HOUR) < timedelta(minutes=1)

    def test_what_was_promised_earlier_says_why_it_is_late(self, crm: Crm) -> None:
        launch(crm, fans(crm, 3))
        work_off(crm)
        one, two, three = waiting(crm)
        send(crm, one)
        limit(crm, perHour=1)
        assert isinstance(claim(crm, two), Lanes)
        rows = crm.sql("SELECT delay FROM messages WHERE id = ANY(:ids)", ids=[two, three])
        assert [row.delay for row in rows] == ["limited", "limited"]

    def test_a_campaign_that_starts_or_resumes_meanwhile_is_held_too(self, crm: Crm) -> None:
        limit(crm, perHour=1)
        first = launch(crm, fans(crm, 2)).json
        work_off(crm)
        one, two = waiting(crm)
        send(crm, one)
        assert isinstance(claim(crm, two), Lanes)
        launch(crm, fans(crm, 1))
        work_off(crm)
        url = f"{first['statusUrl']}/status"
        crm.call("PUT", url, json={"status": "paused"})
        crm.call("PUT", url, json={"status": "active"})
        assert in_room(crm) == 0
        crm.sql("UPDATE messages SET wake_after = now()")
        assert crm.services.healing.heal().admitted == 0
        age(crm, HOUR)
        crm.services.bulk_limits.sweep()
        assert crm.services.healing.heal().admitted == 2

    def test_a_paused_campaign_is_not_ahead_of_anybody(self, crm: Crm) -> None:
        first = launch(crm, fans(crm, 30)).json
        work_off(crm)
        crm.call("PUT", f"{first['statusUrl']}/status", json={"status": "paused"})
        second = launch(crm, fans(crm, 1)).json
        ends = datetime.fromisoformat(second["estimatedCompletionTime"])
        assert ends - datetime.now(UTC) < timedelta(seconds=20)


class TestFanLimit:
    def test_a_fan_who_has_had_enough_waits_and_the_others_go(self, crm: Crm) -> None:
        limit(crm, perFanPerDay=1)
        [jane, john] = fans(crm, 2)
        launch(crm, [jane])
        work_off(crm)
        [first] = waiting(crm)
        send(crm, first, timedelta(hours=23))

        body = launch(crm, [jane, john]).json
        work_off(crm)

        ends = datetime.fromisoformat(body["estimatedCompletionTime"])
        assert abs(ends - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
        to_jane, to_john = waiting(crm)
        assert in_room(crm) == 2  # John's, and the one that a test sent.
        wait = message(crm, to_jane)["wait"]
        assert (wait["reason"], wait["until"]) == ("fan_limit", body["estimatedCompletionTime"])
        assert claim(crm, to_jane) is None
        send(crm, to_john)
        found = crm.get(body["statusUrl"]).json
        assert found["progress"]["waiting"] == 1
        assert found["estimatedCompletionTime"] == body["estimatedCompletionTime"]

        age(crm, HOUR)
        assert crm.services.bulk_limits.sweep() == 1
        assert crm.services.healing.heal().admitted == 1
        send(crm, to_jane)

    def test_two_campaigns_at_once_do_not_both_reach_a_fan(self, crm: Crm) -> None:
        limit(crm, perFanPerDay=1)
        [jane] = fans(crm, 1)
        for _ in range(2):
            launch(crm, [jane])
        work_off(crm)
        first, second = waiting(crm)
        assert isinstance(claim(crm, first), Claim)  # Not even answered yet.
        assert claim(crm, second) is None
        wait = message(crm, second)["wait"]
        assert wait["reason"] == "fan_limit"
        until = datetime.fromisoformat(wait["until"])
        assert abs(until - datetime.now(UTC) - DAY) < timedelta(minutes=1)
        assert states(crm) == {"queued": 1, "sending": 1}

    def test_a_held_message_is_cancelled_with_its_campaign(self, crm: Crm) -> None:
        limit(crm, perFanPerDay=1)
        [jane] = fans(crm, 1)
        launch(crm, [jane])
        work_off(crm)
        send(crm, waiting(crm)[0])
        body = launch(crm, [jane]).json
        work_off(crm)
        crm.call("PUT", f"{body['statusUrl']}/status", json={"status": "cancelled"})
        age(crm, DAY)
        assert crm.services.bulk_limits.sweep() == 0
        assert states(crm) == {"cancelled": 1, "sent": 1}


class TestAsking:
    @pytest.mark.parametrize(
        ("limits", "field"),
        [
            ({"perHour": 0}, "campaignLimits.perHour"),
            ({"perDay": 20_001}, "campaignLimits.perDay"),
            ({"perFanPerDay": "1"}, "campaignLimits.perFanPerDay"),
            (
                {"hours": {"from": "9", "to": "21:00", "timeZone": "UTC"}},
                "campaignLimits.hours.from",
            ),
            ({"perWeek": 1}, "campaignLimits.perWeek"),
        ],
    )
    def test_bad_limits_are_named(self, crm: Crm, limits: dict[str, Any], field: str) -> None:
        answer = limit(crm, **limits)
        assert answer.status_code == 422
        assert [one["field"] for one in answer.json["details"]] == [field]

    def test_hours_that_never_meet_those_of_the_account_are_refused(self, crm: Crm) -> None:
        limit(crm, hours={"from": "09:00", "to": "12:00", "timeZone": "UTC"})
        answer = launch(
            crm, fans(crm, 1), hours={"from": "18:00", "to": "21:00", "timeZone": "UTC"}
        )
        assert answer.status_code == 422
        assert answer.json["details"][0]["field"] == "hours"

    def test_what_if(self, crm: Crm) -> None:
        def ask(**more: Any) -> Any:
            return crm.post(f"{PATH}/estimate", {"size": 60, "content": "Hi"} | more).json

        def takes(answer: Any) -> timedelta:
            ends: str = answer["estimatedCompletionTime"]
            return datetime.fromisoformat(ends) - datetime.now(UTC)

        slow, fast = ask(), ask(ratePerMinute=60)
        assert (slow["totalRecipients"], slow["credits"], slow["previews"]) == (60, 60, [])
        assert (slow["replyDelaySec"], fast["replyDelaySec"]) == (6.03, 1.0)
        assert takes(slow) > 5 * takes(fast) > timedelta(minutes=4)
        later = (datetime.now(UTC) + DAY).isoformat()
        assert takes(ask(scheduledAt=later)) > DAY + timedelta(minutes=5)
        opens = datetime.now(UTC) + 2 * HOUR
        hours = {"from": f"{opens:%H:%M}", "to": f"{opens + HOUR:%H:%M}", "timeZone": "UTC"}
        assert takes(ask(hours=hours)) > HOUR + timedelta(minutes=58)
        assert crm.post(f"{PATH}/estimate", {"size": 10_001}).status_code == 422


class TestTest:
    def test_it_goes_to_a_fan_that_is_tagged_so(self, crm: Crm) -> None:
        me = crm.fan("Me Myself", tags=["test"])
        answer = crm.post(f"{PATH}/test", {"content": "Hi {name}"})
        assert answer.status_code == 202
        [row] = crm.sql("SELECT fan_id, text, campaign_id, metadata FROM messages")
        assert (row.fan_id, row.text, row.campaign_id) == (me, "Hi Me Myself", None)
        assert row.metadata == {"test": True}

    def test_never_to_anybody_else(self, crm: Crm) -> None:
        stranger = crm.foreign_fan()
        [other] = fans(crm, 1)
        assert crm.post(f"{PATH}/test", {"content": "Hi"}).status_code == 422
        for recipient, status in ((other, 422), (f"fan_{stranger}", 404)):
            answer = crm.post(f"{PATH}/test", {"content": "Hi", "recipientId": recipient})
            assert answer.status_code == status
        assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 0
