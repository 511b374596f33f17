"""What operators are told, against the rows that it is counted from."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.ports import MetricsUnavailable
from domain.services.telemetry import TelemetryService
from domain.telemetry import Lane, Stage, Standing, Tally, Window
from infra.metrics import data
from tests.crm import Crm

MINUTE = timedelta(minutes=1)


class Kept:
    """Keeps what it is told; refuses when a test says so."""

    def __init__(self) -> None:
        self.told: list[tuple[Window, Tally, Standing, Any, Any]] = []
        self.away = False

    def tell(self, *said: Any) -> None:
        if self.away:
            raise MetricsUnavailable("away")
        self.told.append(said)


class NoErrors:
    def note(self) -> None: ...

    def by_minute(self, start: datetime, end: datetime) -> dict[datetime, int]:
        return {}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def telemetry(crm: Crm, kept: Kept) -> TelemetryService:
    return TelemetryService(
        crm.services.open_unit_of_work,
        bus=crm.bus,
        metrics=kept,
        errors=NoErrors(),
        journal=crm.services.journal,
        every=MINUTE,
        lag=timedelta(seconds=30),
    )


def send(crm: Crm, count: int) -> None:
    fan = crm.fan("Ann")
    for number in range(count):
        body = {"recipientId": f"fan_{fan}", "content": f"Hi {number}"}
        assert crm.post("/api/onlyfans/messages/send", body).status_code == 202


def begun(crm: Crm, telemetry: TelemetryService) -> None:
    """The first window began ten minutes ago."""
    assert telemetry.sweep() == 0
    crm.sql("UPDATE telemetry SET told_to = now() - interval '10 minutes'")


def test_a_window_holds_what_its_rows_say(
    crm: Crm, telemetry: TelemetryService, kept: Kept
) -> None:
    begun(crm, telemetry)
    send(crm, 6)
    crm.sql("UPDATE messages SET queued_at = now() - interval '5 minutes'")
    crm.sql(
        "UPDATE messages SET state = 'sent', promised_at = queued_at + interval '58 seconds',"
        " sent_at = queued_at + interval '1 minute' WHERE id IN (SELECT min(id) FROM messages)"
    )
    crm.sql(
        "INSERT INTO message_attempts (message_id, connection_id, attempt_no, send_key, slot_at,"
        " started_at, finished_at, outcome) SELECT id, connection_id, 1, 'k', sent_at, sent_at,"
        " sent_at + interval '200 milliseconds', 'sent' FROM messages WHERE state = 'sent'"
    )
    crm.sql(
        "UPDATE messages SET state = 'failed', error_code = 'refused',"
        " failed_at = now() - interval '3 minutes' WHERE id IN (SELECT max(id) FROM messages)"
    )

    assert (telemetry.sweep(), telemetry.sweep()) == (1, 0)

    [(window, tally, standing, queues, _)] = kept.told
    assert timedelta(minutes=9) < window.end - window.start < timedelta(minutes=11)
    assert (tally.queued, tally.processed, tally.failed) == (6, 1, {"refused": 1})
    assert tally.promise_errors == [2.0]
    assert [round(tally.times[one][0]) for one in Stage] == [60_000, 0, 200, 60_200]
    assert standing.waiting == {Lane.DIRECT: 4, Lane.CAMPAIGN: 0}
    assert standing.unknown == 0
    assert "messages" in queues


def test_what_comes_after_the_window_is_told_with_the_next(
    crm: Crm, telemetry: TelemetryService, kept: Kept
) -> None:
    begun(crm, telemetry)
    send(crm, 2)  # Too lately: within the lag.
    telemetry.sweep()
    crm.sql("UPDATE telemetry SET told_to = told_to - interval '2 minutes'")
    crm.sql("UPDATE messages SET queued_at = queued_at - interval '1 minute'")
    telemetry.sweep()
    assert [tally.queued for _, tally, *_ in kept.told] == [0, 2]
    assert kept.told[0][0].end <= kept.told[1][0].end


def test_what_nobody_took_is_told_again(crm: Crm, telemetry: TelemetryService, kept: Kept) -> None:
    begun(crm, telemetry)
    send(crm, 3)
    crm.sql("UPDATE messages SET queued_at = now() - interval '5 minutes'")
    kept.away = True
    assert telemetry.sweep() == 0
    kept.away = False
    assert telemetry.sweep() == 1
    assert [tally.queued for _, tally, *_ in kept.told] == [3]


def test_only_one_process_tells_a_window(crm: Crm, telemetry: TelemetryService) -> None:
    begun(crm, telemetry)
    with crm.services.open_unit_of_work() as work:
        assert work.telemetry.take(MINUTE, timedelta(seconds=30)) is not None
        assert telemetry.sweep() == 0


@pytest.mark.parametrize(
    "held",
    [
        "UPDATE campaigns SET status = 'paused'",
        "UPDATE campaigns SET hours = '{}', open_until = now() - interval '1 minute'",
        "UPDATE platform_connections SET state = 'paused_auth'",
        "UPDATE platform_connections SET blocked_until = now() + interval '1 minute'",
        "UPDATE platform_connections SET bulk_held_until = now() + interval '1 minute'",
    ],
)
def test_nobody_is_late_who_is_held_back(crm: Crm, held: str) -> None:
    body = {"recipientIds": [f"fan_{crm.fan('Ann')}"], "content": "Hi", "campaignName": "Sale"}
    assert crm.post("/api/messages/bulk", body).status_code == 202
    [campaign] = crm.sql("SELECT id FROM campaigns")
    crm.services.campaigns.fan_out(campaign.id)
    crm.sql("UPDATE messages SET estimated_send_at = now() - interval '5 minutes'")
    with crm.services.open_unit_of_work() as work:
        assert 299 < work.telemetry.standing().lateness < 330
    crm.sql(held)
    with crm.services.open_unit_of_work() as work:
        assert work.telemetry.standing().lateness == 0


def test_cloudwatch_gets_the_owners_names_and_the_same_numbers() -> None:
    tally = Tally(
        queued=7,
        processed=5,
        failed={"refused": 2, "not_sent": 1},
        times={Stage.TOTAL: [100.0, 101.0, 2500.0], Stage.CALL: [90.0]},
        promise_errors=[0.3],
    )
    standing = Standing(
        {Lane.DIRECT: 3, Lane.CAMPAIGN: 98}, unknown=1, lateness=4.0, oldest_age=9.0
    )

    told = list(data(tally, standing, {"messages": (4, 11), "imports": (0, 1)}))

    plain = {one["MetricName"]: one for one in told if not one["Dimensions"]}
    assert {name: one["Value"] for name, one in plain.items() if "Value" in one} == {
        "OnlyFansMessagesQueued": 7,
        "OnlyFansMessagesProcessed": 5,
        "OnlyFansMessagesFailed": 3,
        "OnlyFansQueueDepth": 101,
        "OnlyFansMessagesUnknown": 1,
        "OnlyFansLateness": 4,
        "OnlyFansOldestAge": 9,
        "OnlyFansDeadLetters": 12,
    }
    times = plain["OnlyFansProcessingTime"]
    assert dict(zip(times["Values"], times["Counts"], strict=True)) == {100: 2, 2500: 1}
    assert times["Unit"] == "Milliseconds"
    named = {tuple(d.values()) for one in told for d in one["Dimensions"]}
    assert ("Lane", "campaign") in named
    assert ("ErrorCode", "refused") in named
