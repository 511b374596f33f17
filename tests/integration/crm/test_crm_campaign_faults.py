"""Campaigns where things cross: changes of mind, faults, merges and lost words to the room."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.media import MediaUnavailable
from domain.messages import MessageId, Outcome, State
from domain.ports import RoomUnavailable
from domain.repositories import Result
from domain.services.media import FileRefused
from tests.crm import Crm
from tests.integration.crm.test_crm_campaigns import (
    PATH,
    URL,
    Shelves,
    become,
    counted,
    fans,
    launch,
    states,
    work_off,
)

LEASE = timedelta(seconds=60)


def put(crm: Crm, campaign: Any, status: str) -> Any:
    return crm.call("PUT", f"{campaign['statusUrl']}/status", json={"status": status})


def read(crm: Crm, campaign: Any) -> Any:
    return crm.get(campaign["statusUrl"]).json


def wake(crm: Crm) -> None:
    crm.sql("UPDATE campaigns SET wake_after = now()")
    crm.services.campaigns.wake_overdue()
    work_off(crm)


def waiting(crm: Crm) -> dict[int, int]:
    [view] = crm.services.room.view([ConnectionId(crm.connection)])
    return dict(view.waiting)


def failed_message(crm: Crm) -> str:
    return str(crm.sql("SELECT public_id FROM messages WHERE state = 'failed'")[0].public_id)


def second_account(crm: Crm) -> int:
    [row] = crm.sql(
        "INSERT INTO platform_connections (user_id, account_id, state, name)"
        " SELECT user_id, 'acct_x', 'active', 'x' FROM platform_connections WHERE id = :id"
        " RETURNING id",
        id=crm.connection,
    )
    return row.id


class TestEnds:
    def test_it_ends_though_all_its_fans_went_after_it_was_counted(self, crm: Crm) -> None:
        people = fans(crm, 2)
        campaign = launch(crm, people).json
        crm.services.campaigns.count(CampaignId(crm.sql("SELECT id FROM campaigns")[0].id))
        for one in people:
            crm.call("DELETE", f"/api/crm/fans/{one.removeprefix('fan_')}")
        work_off(crm)
        counted(crm)
        assert read(crm, campaign)["status"] == "completed"

    def test_a_paused_one_of_which_nothing_is_left_ends(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        work_off(crm)
        become(crm, "sent", 1)
        become(crm, "sending", 1)
        put(crm, campaign, "paused")
        become(crm, "sent")
        counted(crm)
        assert read(crm, campaign)["status"] == "completed"

    def test_a_message_that_waits_for_a_person_does_not_keep_it_open(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        work_off(crm)
        become(crm, "unknown", 1)
        become(crm, "sent")
        counted(crm)
        body = read(crm, campaign)
        assert body["status"] == "completed"
        assert (body["progress"]["unknown"], body["progress"]["unproven"]) == (1, 1)

    def test_an_account_that_keeps_it_open_is_named(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        crm.sql("UPDATE platform_connections SET state = 'disconnected'")
        work_off(crm)
        [hold] = read(crm, campaign)["holds"]
        assert hold["reason"] == "disconnected"
        assert "connect it again, or cancel" in hold["text"]


class TestChangesOfMind:
    @pytest.mark.parametrize("ending", ["rate_limited", "not_called"])
    def test_what_was_in_the_air_of_a_cancelled_one_never_waits_again(
        self, crm: Crm, ending: str
    ) -> None:
        campaign = launch(crm, fans(crm, 1)).json
        work_off(crm)
        [row] = crm.sql("SELECT id FROM messages")
        with crm.services.open_unit_of_work() as work:
            claim = work.messages.claim(MessageId(row.id), LEASE)
            work.commit()
        assert claim is not None
        assert put(crm, campaign, "cancelled").json["inFlight"] == 1

        with crm.services.open_unit_of_work() as work:
            if ending == "not_called":
                work.messages.not_called(claim, timedelta(0))
            else:
                result = Result(Outcome.RATE_LIMITED)
                landed = work.messages.record(
                    claim, result, State.QUEUED, failures=0, key_no=0, delay=None, wake_in=LEASE
                )
                assert landed is State.CANCELLED
            work.commit()

        assert states(crm) == {"cancelled": 1}

    def test_one_message_of_a_completed_one_is_retried_and_goes(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        work_off(crm)
        become(crm, "sent", 1)
        become(crm, "failed")
        counted(crm)
        assert read(crm, campaign)["status"] == "completed"

        assert crm.post(f"/api/onlyfans/messages/{failed_message(crm)}/retry").status_code == 200

        assert read(crm, campaign)["status"] == "active"
        [row] = crm.sql("SELECT id FROM messages WHERE state = 'queued'")
        with crm.services.open_unit_of_work() as work:
            assert work.messages.claim(MessageId(row.id), LEASE) is not None

    def test_one_message_of_a_cancelled_one_is_not_retried(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        work_off(crm)
        become(crm, "failed", 1)
        put(crm, campaign, "cancelled")
        answer = crm.post(f"/api/onlyfans/messages/{failed_message(crm)}/retry")
        assert (answer.status_code, answer.json["code"]) == (409, "campaign_cancelled")

    def test_a_cancel_between_two_pages_leaves_nobody_gone(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("domain.services.campaigns.PAGE", 2)
        campaign = launch(crm, fans(crm, 5)).json
        service = crm.services.campaigns
        park = service._park

        def parked(*given: Any) -> None:
            park(*given)
            put(crm, campaign, "cancelled")

        monkeypatch.setattr(service, "_park", parked)
        work_off(crm)
        progress = read(crm, campaign)["progress"]
        assert (progress["cancelled"], progress["gone"]) == (5, 0)
        listed = crm.get(f"{campaign['statusUrl']}/recipients?state=cancelled").json
        assert listed["total"] == 5

    def test_the_reason_of_a_pause_outlives_the_fan_out(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("domain.services.campaigns.PAGE", 10)
        campaign = launch(crm, fans(crm, 20)).json
        campaign_id = CampaignId(crm.sql("SELECT id FROM campaigns")[0].id)
        with crm.services.open_unit_of_work() as work:
            ready = {ConnectionId(crm.connection): ()}
            work.campaigns.write_page(campaign_id, ready, 0, 10, LEASE)
            work.commit()
        become(crm, "failed")
        crm.services.campaigns.count(campaign_id)
        reason = read(crm, campaign)["reason"]
        assert reason.startswith("10 of 10 failed")
        crm.services.campaigns.fan_out(campaign_id)
        assert read(crm, campaign)["reason"] == reason

    def test_what_fails_again_after_a_retry_pauses_it_again(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 40), failurePercent=20).json
        work_off(crm)
        become(crm, "failed", 10)
        counted(crm)
        assert read(crm, campaign)["status"] == "paused"
        put(crm, campaign, "active")
        assert crm.post(f"{campaign['statusUrl']}/retry").status_code == 200
        become(crm, "failed", 14)
        counted(crm)
        assert read(crm, campaign)["status"] == "paused"

    def test_resuming_what_goes_on_forgives_nothing(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 40)).json
        work_off(crm)
        become(crm, "failed", 20)
        put(crm, campaign, "active")
        counted(crm)
        assert read(crm, campaign)["status"] == "paused"

    def test_a_paused_one_is_retried_and_stays_paused(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 6)).json
        work_off(crm)
        become(crm, "failed", 5)
        counted(crm)
        answer = crm.post(f"{campaign['statusUrl']}/retry")
        assert (answer.status_code, answer.json["status"]) == (200, "paused")
        assert states(crm) == {"queued": 6}

    def test_a_repeated_request_is_answered_after_its_time_too(self, crm: Crm) -> None:
        people, key = fans(crm, 2), {"Idempotency-Key": "k"}
        at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        first = launch(crm, people, headers=key, scheduledAt=at)
        time.sleep(1.1)
        again = launch(crm, people, headers=key, scheduledAt=at)
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json["campaignId"] == again.json["campaignId"]

    def test_money_taken_back_is_counted_again(self, crm: Crm) -> None:
        launch(crm, fans(crm, 1))
        work_off(crm)
        become(crm, "sent")
        counted(crm)
        [message] = crm.sql("SELECT id, fan_id FROM messages")
        body = {"fanId": message.fan_id, "type": "message", "grossCents": 500, "feeCents": 100}
        body |= {"happenedAt": "2026-06-01T10:00:00Z"}
        sold = crm.post("/api/crm/transactions", body).json["transaction"]
        with crm.services.open_unit_of_work() as work:
            work.purchases.set_paid(sold["id"], MessageId(message.id))
            work.commit()
        counted(crm)
        [row] = crm.sql("SELECT metrics FROM campaigns")
        assert row.metrics["revenue_cents"] > 0

        assert crm.post(f"/api/crm/transactions/{sold['id']}/reverse").status_code == 200
        counted(crm)

        [row] = crm.sql("SELECT metrics FROM campaigns")
        assert row.metrics["revenue_cents"] == 0


class TestTheRoom:
    def test_a_resume_that_the_room_did_not_hear_is_made_good(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaign = launch(crm, fans(crm, 3)).json
        work_off(crm)
        put(crm, campaign, "paused")
        assert waiting(crm) == {}

        def broken(*_: Any) -> None:
            raise RoomUnavailable("blip")

        with monkeypatch.context() as patch:
            patch.setattr(crm.services.campaigns._room, "lane", broken)
            assert put(crm, campaign, "active").json["status"] == "active"
        crm.sql("UPDATE messages SET wake_after = now() - interval '1 s'")
        crm.services.healing.heal()

        assert waiting(crm) == {8: 3}

    def test_resumed_outside_its_hours_it_stays_held(self, crm: Crm) -> None:
        now = datetime.now(UTC)
        opens, closes = now + timedelta(hours=2), now + timedelta(hours=3)
        hours = {"from": f"{opens:%H:%M}", "to": f"{closes:%H:%M}", "timeZone": "UTC"}
        campaign = launch(crm, fans(crm, 2), hours=hours).json
        work_off(crm)
        put(crm, campaign, "paused")
        put(crm, campaign, "active")
        assert waiting(crm) == {}
        assert read(crm, campaign)["heldUntil"] is not None

    def test_resumed_within_its_hours_it_goes_at_once(self, crm: Crm) -> None:
        now = datetime.now(UTC)
        opens, closes = now - timedelta(hours=2), now + timedelta(hours=2)
        hours = {"from": f"{opens:%H:%M}", "to": f"{closes:%H:%M}", "timeZone": "UTC"}
        campaign = launch(crm, fans(crm, 2), hours=hours).json
        work_off(crm)
        put(crm, campaign, "paused")
        put(crm, campaign, "active")
        [row, _] = crm.sql("SELECT id FROM messages ORDER BY id")
        with crm.services.open_unit_of_work() as work:
            assert work.messages.claim(MessageId(row.id), LEASE) is not None


class TestAudience:
    def test_no_reachable_fan_of_a_segment_is_lost_behind_many_others(self, crm: Crm) -> None:
        crm.sql(
            "INSERT INTO fans (user_id, name, platform, handle, tags)"
            " SELECT :owner, 'n' || g, 'onlyfans', 'h' || g, '{vip}' FROM generate_series(1, 6000) g",
            owner=crm.owner,
        )
        vip = [crm.fan(f"V{number}", tags=["vip"]) for number in range(3)]
        segment = crm.post("/api/crm/segments", {"name": "VIP", "filter": {"tag": ["vip"]}}).json
        body = crm.post(
            PATH,
            {
                "segmentIds": [segment["segment"]["id"]],
                "content": "Hi",
                "campaignName": "VIPs",
            },
        ).json
        assert (body["totalRecipients"], body["excludedCount"]) == (len(vip), 6000)
        assert len(body["excluded"]) == 1000

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("nobody", "cof{name|fee}?", "banned word"),
            ("Coffee", "Hi {name}?", "banned word"),
            ("nobody", "{name|}", "nothing would be left"),
        ],
    )
    def test_the_text_that_a_fan_would_get_is_looked_at(
        self, crm: Crm, name: str, text: str, why: str
    ) -> None:
        crm.call("PUT", "/api/settings/banned-words", json={"words": ["coffee"]})
        one = f"fan_{crm.fan(name, handle='@nobody', platform_user_id='5')}"
        answer = launch(crm, [one], text)
        assert (answer.status_code, answer.json["code"]) == (422, "bad_recipients")
        assert why in answer.json["details"][0]["message"]

    def test_a_word_banned_before_its_time_stops_a_scheduled_one(self, crm: Crm) -> None:
        at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        campaign = launch(crm, fans(crm, 1), "Coffee?", scheduledAt=at).json
        crm.call("PUT", "/api/settings/banned-words", json={"words": ["coffee"]})
        crm.sql("UPDATE campaigns SET scheduled_at = now()")
        wake(crm)
        body = read(crm, campaign)
        assert (states(crm), body["status"]) == ({}, "failed")
        assert "coffee" in body["reason"]

    def test_a_segment_of_no_number_is_refused(self, crm: Crm) -> None:
        for name in ("segmentIds", "excludeSegmentIds"):
            assert launch(crm, fans(crm, 1), **{name: [2**70]}).status_code == 422


class TestMerges:
    def test_a_fan_merged_before_its_message_is_written_gets_it(self, crm: Crm) -> None:
        one, other = crm.fan("A"), crm.fan("B", connection_id=None)
        launch(crm, [f"fan_{one}"])
        assert crm.post(f"/api/crm/fans/{other}/merge", {"otherId": one}).status_code == 200
        work_off(crm)
        [row] = crm.sql("SELECT fan_id, state FROM messages")
        assert (row.fan_id, row.state) == (other, "queued")

    def test_a_fan_merged_before_the_time_of_a_scheduled_one_is_followed(self, crm: Crm) -> None:
        one, other = crm.fan("A"), crm.fan("B", connection_id=None)
        at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        launch(crm, [f"fan_{one}"], scheduledAt=at)
        crm.post(f"/api/crm/fans/{other}/merge", {"otherId": one})
        crm.sql("UPDATE campaigns SET scheduled_at = now()")
        wake(crm)
        [row] = crm.sql("SELECT fan_id FROM messages")
        assert row.fan_id == other

    def test_parted_again_each_recipient_has_its_message(self, crm: Crm) -> None:
        one = crm.fan("A")
        other = crm.fan("B", connection_id=None, handle="@zzz", platform_user_id=None)
        launch(crm, [f"fan_{one}"])
        work_off(crm)
        become(crm, "sent")
        counted(crm)
        merge = crm.post(f"/api/crm/fans/{other}/merge", {"otherId": one}).json
        campaign = launch(crm, [f"fan_{other}"]).json
        work_off(crm)
        become(crm, "sent")
        counted(crm)

        assert crm.post(f"/api/crm/merges/{merge['mergeId']}/undo").status_code == 200

        listed = crm.get(f"{campaign['statusUrl']}/recipients").json["recipients"]
        assert [row["status"] for row in listed] == ["sent"]

    def test_the_failed_message_of_a_merged_fan_is_retried(self, crm: Crm) -> None:
        one = crm.fan("A")
        other = crm.fan("B", connection_id=None, handle="@zzz", platform_user_id=None)
        campaign = launch(crm, [f"fan_{one}"]).json
        work_off(crm)
        become(crm, "failed")
        counted(crm)
        crm.post(f"/api/crm/fans/{other}/merge", {"otherId": one})
        assert crm.post(f"{campaign['statusUrl']}/retry").status_code == 200
        assert states(crm) == {"queued": 1}

    def test_when_no_failed_one_is_in_reach_it_says_so(self, crm: Crm) -> None:
        [one] = fans(crm, 1)
        campaign = launch(crm, [one]).json
        work_off(crm)
        become(crm, "failed")
        crm.call("DELETE", f"/api/crm/fans/{one.removeprefix('fan_')}")
        answer = crm.post(f"{campaign['statusUrl']}/retry")
        assert (answer.status_code, answer.json["code"]) == (409, "recipients_gone")


class TestMedia:
    def use(self, crm: Crm, monkeypatch: pytest.MonkeyPatch, shelves: object) -> None:
        monkeypatch.setattr(crm.services.campaigns, "_media", shelves)

    def test_an_announcement_is_no_try(self, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use(crm, monkeypatch, Shelves(MediaUnavailable("the host does not answer")))
        campaign = launch(crm, fans(crm, 2), mediaUrls=[URL]).json
        for _ in range(6):  # Nobody hears them.
            crm.bus.events.clear()
            crm.sql("UPDATE campaigns SET wake_after = now()")
            crm.services.campaigns.wake_overdue()
        work_off(crm)
        assert read(crm, campaign)["status"] == "active"

    def test_an_account_that_takes_no_files_is_waited_for_and_named(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2), mediaUrls=[URL]).json
        crm.sql("UPDATE platform_connections SET state = 'paused_auth', name = 'Luna'")
        work_off(crm)
        for _ in range(6):
            wake(crm)
        body = read(crm, campaign)
        assert body["status"] == "active"
        assert body["reason"] == "Luna: the platform no longer accepts its login"

    def test_nothing_is_sent_before_every_account_has_the_files(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = second_account(crm)

        answers = [MediaUnavailable("later"), FileRefused("file 1: it is no picture")]

        class OneRefuses:
            def shelve(self, connection_id: int, attachments: Any) -> Any:
                if connection_id == other:
                    raise answers.pop(0)
                return [replace(one, media_id="v") for one in attachments]

        self.use(crm, monkeypatch, OneRefuses())
        one, two = crm.fan("One"), crm.fan("Two", connection_id=other)
        campaign = launch(crm, [f"fan_{one}", f"fan_{two}"], mediaUrls=[URL]).json
        work_off(crm)
        assert states(crm) == {}
        wake(crm)
        assert (states(crm), read(crm, campaign)["status"]) == ({}, "failed")

    def test_a_refusal_does_not_undo_a_cancel(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaign = launch(crm, fans(crm, 2), mediaUrls=[URL]).json

        class Refuses:
            def shelve(self, *_: Any) -> None:
                put(crm, campaign, "cancelled")
                raise FileRefused("file 1: it is no picture")

        self.use(crm, monkeypatch, Refuses())
        work_off(crm)
        assert read(crm, campaign)["status"] == "cancelled"
