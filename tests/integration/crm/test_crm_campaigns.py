"""Campaigns over HTTP on real rows; the workers' part is done in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.events import CampaignCompleted, CampaignProgressed, CampaignStarted
from domain.media import MediaUnavailable
from domain.messages import MessageId
from domain.pacing import Waiting
from domain.services.media import FileRefused
from tests.crm import Crm

PATH = "/api/messages/bulk"


def fans(crm: Crm, count: int) -> list[str]:
    return [f"fan_{crm.fan(f'Fan {number}')}" for number in range(count)]


def launch(crm: Crm, recipients: list[str], content: str = "Hi", **more: Any) -> Any:
    headers = more.pop("headers", {})
    body = {"recipientIds": recipients, "content": content, "campaignName": "Sale"} | more
    return crm.post(PATH, body, headers=headers)


def work_off(crm: Crm) -> None:
    """What the workers would do for the events so far, and for those that follow."""
    while crm.bus.events:
        events, crm.bus.events[:] = list(crm.bus.events), []
        for event in events:
            payload = event.payload
            if isinstance(payload, CampaignStarted):
                crm.services.campaigns.fan_out(CampaignId(payload.campaign_id))
            elif isinstance(payload, CampaignProgressed):
                crm.services.campaigns.count(CampaignId(payload.campaign_id))
            elif isinstance(payload, CampaignCompleted):
                crm.services.campaigns.completed(CampaignId(payload.campaign_id))


def states(crm: Crm) -> dict[str, int]:
    rows = crm.sql("SELECT state, count(*) AS n FROM messages GROUP BY state ORDER BY state")
    return {row.state: row.n for row in rows}


def become(crm: Crm, state: str, limit: int = 1000) -> None:
    """Some queued messages go another way."""
    crm.sql(
        "UPDATE messages SET state = :state, wake_after = NULL,"
        " sent_at = CASE WHEN :state IN ('sent', 'delivered') THEN now() END,"
        " failed_at = CASE WHEN :state = 'failed' THEN now() END,"
        " lease_until = CASE WHEN :state = 'sending' THEN now() + interval '1 minute' END"
        " WHERE id IN (SELECT id FROM messages WHERE state IN ('queued', 'sending')"
        " ORDER BY id LIMIT :limit)",
        state=state,
        limit=limit,
    )


def counted(crm: Crm) -> None:
    crm.sql("UPDATE campaigns SET counted_at = counted_at - interval '3 seconds'")
    crm.services.campaigns.announce_progress()
    work_off(crm)


def test_it_is_accepted_with_the_shape_of_the_contract(crm: Crm) -> None:
    answer = launch(crm, fans(crm, 3))

    assert answer.status_code == 202
    body = answer.json
    assert {name: body[name] for name in ("totalRecipients", "status")} == {
        "totalRecipients": 3,
        "status": "queued",
    }
    # Two intervals of 6.03 s after the first, and the empty bucket's first slot.
    ends = datetime.fromisoformat(body["estimatedCompletionTime"])
    assert timedelta(seconds=11) < ends - datetime.now(UTC) < timedelta(seconds=25)
    [event] = crm.bus.events
    assert event.name == "CampaignStarted"
    [row] = crm.sql("SELECT * FROM campaigns")
    assert (row.type, row.status, row.name) == ("bulk_message", "active", "Sale")
    assert row.template == {"content": "Hi", "mediaUrls": []}
    assert len(row.target_audience["recipientIds"]) == 3
    assert row.metrics == {"sent": 0, "delivered": 0, "failed": 0, "revenue_cents": 0}
    assert (row.started_at is not None, row.completed_at) == (True, None)


def test_a_worker_writes_and_parks_every_message_once(crm: Crm) -> None:
    campaign = launch(crm, fans(crm, 5), "Hi {name}").json
    started = list(crm.bus.events)
    work_off(crm)
    crm.bus.events += started * 2
    work_off(crm)

    rows = crm.sql("SELECT * FROM messages ORDER BY id")
    assert [row.text for row in rows] == [f"Hi Fan {number}" for number in range(5)]
    assert {row.priority for row in rows} == {8}
    assert all(row.admitted_at is not None and row.promised_at is not None for row in rows)
    [view] = crm.services.room.view([ConnectionId(crm.connection)])
    assert view.waiting == {8: 5}
    body = crm.get(campaign["statusUrl"]).json
    assert body["progress"]["waiting"] == 5
    assert body["promisedCompletionTime"] == campaign["estimatedCompletionTime"]
    ends = datetime.fromisoformat(body["estimatedCompletionTime"])
    promised = datetime.fromisoformat(body["promisedCompletionTime"])
    assert abs(ends - promised) < timedelta(seconds=1)


def test_a_worker_that_dies_between_pages_is_replaced(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.services.campaigns.PAGE", 2)
    launch(crm, fans(crm, 5))
    campaign_id = CampaignId(crm.sql("SELECT id FROM campaigns")[0].id)
    with crm.services.open_unit_of_work() as work:
        ready = {ConnectionId(crm.connection): ()}
        work.campaigns.write_page(campaign_id, ready, 0, 2, timedelta(seconds=30))
        work.commit()  # And dies before it parks them.
    crm.bus.events.clear()
    crm.sql("UPDATE campaigns SET wake_after = now()")

    assert crm.services.campaigns.wake_overdue() == 1
    work_off(crm)

    assert states(crm) == {"queued": 5}
    assert crm.services.campaigns.wake_overdue() == 0
    crm.sql("UPDATE messages SET wake_after = now() WHERE admitted_at IS NULL")
    crm.services.healing.heal()
    [view] = crm.services.room.view([ConnectionId(crm.connection)])
    assert view.waiting == {8: 5}


class TestAudience:
    def test_nobody_gets_two(self, crm: Crm) -> None:
        [one, two] = fans(crm, 2)
        body = launch(crm, [one, two, one, one.removeprefix("fan_")]).json
        assert (body["totalRecipients"], body["duplicates"]) == (2, 2)

    def test_every_bad_recipient_is_listed_and_nothing_is_stored(self, crm: Crm) -> None:
        [good] = fans(crm, 1)
        deleted = crm.fan("Gone", deleted_at=datetime.now(UTC))
        unlinked = crm.fan("Loose", connection_id=None)
        foreign = crm.foreign_fan()

        answer = launch(crm, [good, *(f"fan_{one}" for one in (deleted, unlinked, foreign))])

        assert (answer.status_code, answer.json["code"]) == (422, "bad_recipients")
        assert [one["message"] for one in answer.json["details"]] == [
            f"fan_{deleted}: the fan is deleted",
            f"fan_{unlinked}: the fan is not linked to a connected account",
            f"fan_{foreign}: there is no such fan",
        ]
        assert crm.sql("SELECT count(*) AS n FROM campaigns")[0].n == 0
        assert crm.bus.events == []

    def test_too_many_are_counted(self, crm: Crm) -> None:
        answer = launch(crm, fans(crm, 101))
        assert (answer.status_code, answer.json["code"]) == (422, "too_many_recipients")
        assert "101 recipients: at most 100" in answer.json["error"]

    def test_segments_are_resolved_and_exclusions_explained(self, crm: Crm) -> None:
        vip = [crm.fan(f"V{n}", tags=["vip"]) for n in range(3)]
        crm.fan("Loose", tags=["vip"], connection_id=None)
        whale = crm.fan("Whale", tags=["vip", "whale"])
        other = crm.fan("Other")
        segment = crm.post("/api/crm/segments", {"name": "VIP", "filter": {"tag": ["vip"]}})
        whales = crm.post("/api/crm/segments", {"name": "W", "filter": {"tag": ["whale"]}})

        answer = crm.post(
            PATH,
            {
                "recipientIds": [f"fan_{other}"],
                "segmentIds": [segment.json["segment"]["id"]],
                "excludeIds": [f"fan_{vip[0]}"],
                "excludeSegmentIds": [whales.json["segment"]["id"]],
                "content": "Hi",
                "campaignName": "VIPs",
            },
        )

        assert answer.status_code == 202
        assert answer.json["totalRecipients"] == 3
        left_out = {one["recipientId"]: one["code"] for one in answer.json["excluded"]}
        assert left_out[f"fan_{vip[0]}"] == "listed"
        assert left_out[f"fan_{whale}"] == "listed"
        assert sorted(left_out.values()) == ["listed", "listed", "not_linked"]

    def test_a_name_that_is_missing_stops_or_is_replaced(self, crm: Crm) -> None:
        nameless = f"fan_{crm.fan('nobody', handle='@nobody', platform_user_id='5')}"

        assert launch(crm, [nameless], "Hi {name}").json["details"] == [
            {
                "field": "recipientIds",
                "message": f"{nameless}: has no name for {{name}}: write {{name|something else}}",
            }
        ]
        assert launch(crm, [nameless], "Hi {name|you}").status_code == 202
        work_off(crm)
        assert crm.sql("SELECT text FROM messages")[0].text == "Hi you"

    def test_it_is_frozen(self, crm: Crm) -> None:
        [fan] = fans(crm, 1)
        launch(crm, [fan], "Hi {name}")
        number = fan.removeprefix("fan_")
        crm.call("PUT", f"/api/crm/fans/{number}", json={"name": "Renamed"})
        work_off(crm)
        assert crm.sql("SELECT text FROM messages")[0].text == "Hi Fan 0"

    def test_who_went_before_the_message_was_written_gets_none(self, crm: Crm) -> None:
        [one, two] = fans(crm, 2)
        body = launch(crm, [one, two]).json
        crm.call("DELETE", f"/api/crm/fans/{one.removeprefix('fan_')}")
        work_off(crm)
        assert states(crm) == {"queued": 1}
        assert crm.get(body["statusUrl"]).json["progress"]["gone"] == 1

    def test_banned_words_stop_it(self, crm: Crm) -> None:
        crm.call("PUT", "/api/settings/banned-words", json={"words": ["coffee"]})
        answer = launch(crm, fans(crm, 1), "Coffee?")
        assert (answer.status_code, answer.json["code"]) == (422, "banned_words")

    def test_an_estimate_stores_nothing(self, crm: Crm) -> None:
        [one, two] = fans(crm, 2)
        body = crm.post(
            f"{PATH}/estimate", {"recipientIds": [one, two], "content": "Hi {name}"}
        ).json
        assert (body["totalRecipients"], body["credits"], body["sqsRequests"]) == (2, 2, 9)
        assert [one["text"] for one in body["previews"]] == ["Hi Fan 0", "Hi Fan 1"]
        assert body["replyDelaySec"] == 6.03
        assert crm.sql("SELECT count(*) AS n FROM campaigns")[0].n == 0


URL = "https://s3.amazonaws.com/bucket/a.jpg"


class Shelves:
    """Stands for the vaults: answers what a test says, and counts who asked."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[int] = []
        self._answers = list(answers)

    def shelve(self, connection_id: ConnectionId, attachments: Any) -> Any:
        self.asked.append(connection_id)
        answer = self._answers.pop(0) if self._answers else "vault-1"
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return None
        return [replace(one, media_id=answer) for one in attachments]


class TestMedia:
    @pytest.fixture
    def shelves(self, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> Shelves:
        shelves = Shelves()
        monkeypatch.setattr(crm.services.campaigns, "_media", shelves)
        return shelves

    def test_each_account_is_asked_once_and_every_message_has_its_ids(
        self, crm: Crm, shelves: Shelves
    ) -> None:
        launch(crm, fans(crm, 3), mediaUrls=[URL], priceCents=500)
        work_off(crm)

        assert shelves.asked == [crm.connection]
        rows = crm.sql("SELECT attachments, price_cents, hold FROM messages")
        assert [(row.attachments[0]["mediaId"], row.price_cents, row.hold) for row in rows] == [
            ("vault-1", 500, None)
        ] * 3

    def test_a_price_needs_media_and_media_allowed_hosts(self, crm: Crm) -> None:
        [fan] = fans(crm, 1)
        for more in ({"priceCents": 500}, {"mediaUrls": ["https://evil.example/a.jpg"]}):
            assert launch(crm, [fan], **more).status_code == 422

    def test_media_that_are_not_ready_are_waited_for_and_say_why(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelves = Shelves(MediaUnavailable("file 1: the host does not answer"))
        monkeypatch.setattr(crm.services.campaigns, "_media", shelves)
        campaign = launch(crm, fans(crm, 2), mediaUrls=[URL]).json
        work_off(crm)

        assert states(crm) == {}
        body = crm.get(campaign["statusUrl"]).json
        assert (body["status"], body["progress"]["waiting"]) == ("active", 2)
        assert body["reason"] == "file 1: the host does not answer"
        crm.sql("UPDATE campaigns SET wake_after = now()")
        crm.services.campaigns.wake_overdue()
        work_off(crm)
        assert states(crm) == {"queued": 2}
        assert crm.get(campaign["statusUrl"]).json["reason"] is None

    def test_a_file_that_will_never_do_fails_it_before_anything_is_sent(
        self, crm: Crm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelves = Shelves(FileRefused("file 1: it is no picture"))
        monkeypatch.setattr(crm.services.campaigns, "_media", shelves)
        campaign = launch(crm, fans(crm, 2), mediaUrls=[URL]).json
        work_off(crm)

        body = crm.get(campaign["statusUrl"]).json
        assert (body["status"], body["reason"]) == ("failed", "file 1: it is no picture")
        assert states(crm) == {}
        assert body["progress"]["cancelled"] == 2


class TestLife:
    def test_metrics_are_those_of_the_rows_and_it_completes(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 4)).json
        work_off(crm)
        become(crm, "delivered", 1)
        become(crm, "sent", 1)
        counted(crm)
        [row] = crm.sql("SELECT metrics, status FROM campaigns")
        assert row.metrics == {"sent": 2, "delivered": 1, "failed": 0, "revenue_cents": 0}
        assert row.status == "active"

        become(crm, "failed")
        counted(crm)

        [row] = crm.sql("SELECT metrics, status, completed_at FROM campaigns")
        assert row.metrics == {"sent": 2, "delivered": 1, "failed": 2, "revenue_cents": 0}
        assert (row.status, row.completed_at is not None) == ("completed", True)
        body = crm.get(campaign["statusUrl"]).json
        assert body["metrics"] == row.metrics
        assert body["progress"]["percent"] == 100
        assert crm.services.campaigns.announce_progress() == 0

    def test_money_of_its_messages_is_its_revenue(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        work_off(crm)
        become(crm, "sent")
        first, second = (row.id for row in crm.sql("SELECT id FROM messages ORDER BY id"))
        for message, gross, reversed_at in ((first, 1000, None), (second, 700, datetime.now(UTC))):
            crm.sql(
                "INSERT INTO transactions (user_id, connection_id, message_id, source, type,"
                " gross_cents, fee_cents, net_cents, happened_at, reversed_at)"
                " VALUES (:owner, :connection, :message, 'webhook', 'message', :gross, :fee, :net,"
                " now(), :reversed)",
                owner=crm.owner,
                connection=crm.connection,
                message=message,
                gross=gross,
                fee=gross // 5,
                net=gross - gross // 5,
                reversed=reversed_at,
            )
        body = crm.get(campaign["statusUrl"]).json
        assert (body["metrics"]["revenue_cents"], body["grossCents"]) == (800, 1000)

    def test_paused_nothing_begins_and_resumed_all_goes_on(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 3)).json
        work_off(crm)
        become(crm, "sending", 1)
        url = f"{campaign['statusUrl']}/status"

        paused = crm.call("PUT", url, json={"status": "paused"}).json

        assert (paused["status"], paused["inFlight"]) == ("paused", 1)
        assert paused["estimatedCompletionTime"] is None
        ids = [row.id for row in crm.sql("SELECT id FROM messages WHERE state = 'queued'")]
        with crm.services.open_unit_of_work() as work:
            assert work.messages.claim(MessageId(ids[0]), timedelta(seconds=60)) is None
        [view] = crm.services.room.view([ConnectionId(crm.connection)])
        assert view.waiting == {}
        crm.sql("UPDATE messages SET wake_after = now() WHERE state = 'queued'")
        crm.services.healing.heal()

        resumed = crm.call("PUT", url, json={"status": "active"}).json

        assert resumed["status"] == "active"
        [view] = crm.services.room.view([ConnectionId(crm.connection)])
        assert sum(view.waiting.values()) >= 2
        with crm.services.open_unit_of_work() as work:
            assert work.messages.claim(MessageId(ids[0]), timedelta(seconds=60)) is not None

    def test_paused_before_its_messages_are_written_it_goes_on_when_resumed(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 2)).json
        url = f"{campaign['statusUrl']}/status"
        crm.call("PUT", url, json={"status": "paused"})
        crm.call("PUT", url, json={"status": "active"})
        work_off(crm)
        assert states(crm) == {"queued": 2}

    def test_cancelled_leaves_nothing_queued(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 3)).json
        work_off(crm)
        become(crm, "sent", 1)
        url = f"{campaign['statusUrl']}/status"

        body = crm.call("PUT", url, json={"status": "cancelled"}).json

        assert (body["status"], body["inFlight"]) == ("cancelled", 0)
        assert states(crm) == {"cancelled": 2, "sent": 1}
        again = crm.call("PUT", url, json={"status": "active"})
        assert (again.status_code, again.json["code"]) == (409, "campaign_cancelled")
        [one] = crm.sql("SELECT id FROM campaigns")
        assert crm.services.campaigns.fan_out(CampaignId(one.id)) == 0

    def test_cancelled_before_its_messages_are_written_none_is(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 3)).json
        crm.call("PUT", f"{campaign['statusUrl']}/status", json={"status": "cancelled"})
        work_off(crm)
        assert states(crm) == {}
        assert crm.get(campaign["statusUrl"]).json["progress"]["cancelled"] == 3

    def test_what_failed_is_tried_again(self, crm: Crm) -> None:
        campaign = launch(crm, fans(crm, 3)).json
        work_off(crm)
        become(crm, "sent", 1)
        become(crm, "failed")
        counted(crm)
        assert crm.get(campaign["statusUrl"]).json["status"] == "completed"

        body = crm.post(f"{campaign['statusUrl']}/retry").json

        assert (body["status"], body["progress"]["waiting"]) == ("active", 2)
        assert states(crm) == {"queued": 2, "sent": 1}
        assert body["delays"] == {"retry": 2}
        become(crm, "sent")
        again = crm.post(f"{campaign['statusUrl']}/retry")
        assert (again.status_code, again.json["code"]) == (409, "nothing_failed")

    def test_one_key_is_one_campaign(self, crm: Crm) -> None:
        recipients, key = fans(crm, 2), {"Idempotency-Key": "k"}
        first = launch(crm, recipients, headers=key)
        again = launch(crm, recipients, headers=key)
        assert again.json["campaignId"] == first.json["campaignId"]
        assert again.headers["Idempotent-Replayed"] == "true"
        assert crm.sql("SELECT count(*) AS n FROM campaigns")[0].n == 1

    def test_a_rebuild_leaves_paused_ones_out(self, crm: Crm) -> None:
        paused, active = (launch(crm, fans(crm, 2)).json for _ in range(2))
        work_off(crm)
        crm.call("PUT", f"{paused['statusUrl']}/status", json={"status": "paused"})
        with crm.services.open_unit_of_work() as work:
            [(_, waiting)] = list(work.queue.waiting())
        [mine] = {one.campaign_id for one in waiting}
        [row] = crm.sql("SELECT id FROM campaigns WHERE public_id = :id", id=active["campaignId"])
        assert (mine, len(waiting)) == (row.id, 2)
        assert isinstance(waiting[0], Waiting)


def test_recipients_and_campaigns_are_paged(crm: Crm) -> None:
    campaign = launch(crm, fans(crm, 5)).json
    launch(crm, fans(crm, 1))
    work_off(crm)
    become(crm, "sent", 2)
    url = f"{campaign['statusUrl']}/recipients"

    first = crm.get(f"{url}?limit=3").json
    assert [one["position"] for one in first["recipients"]] == [1, 2, 3]
    rest = crm.get(f"{url}?limit=3&cursor={first['nextCursor']}").json
    assert [one["position"] for one in rest["recipients"]] == [4, 5]
    assert crm.get(f"{url}?state=sent").json["total"] == 2

    page = crm.get(f"{PATH}?limit=1").json
    assert page["total"] == 2
    older = crm.get(f"{PATH}?limit=1&cursor={page['nextCursor']}").json
    assert older["campaigns"][0]["campaignId"] == campaign["campaignId"]
    assert crm.get(PATH, "stranger").json["campaigns"] == []
    assert crm.get(url, "stranger").status_code == 404
