"""Nothing of a deleted fan is sent any more, whatever was on its way; and no send slips past a fan
that changes at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from domain.events import MessageRequested
from domain.messages import Draft, Outcome
from domain.ports import SendAnswer
from tests.crm import Crm

SEND = "/api/onlyfans/messages/send"


@pytest.fixture
def fan(crm: Crm) -> int:
    return crm.fan("Jane Roe", handle="@jane", platform_user_id="501")


def send(crm: Crm, fan: int) -> str:
    answer = crm.post(SEND, {"recipientId": f"fan_{fan}", "content": "Hello"})
    assert answer.status_code == 202, answer.json
    return str(answer.json["messageId"])


def deliver(crm: Crm) -> None:
    requests = [one.payload for one in crm.bus.events if isinstance(one.payload, MessageRequested)]
    crm.services.delivery.requested(requests[-1], datetime.now(UTC))


def delete(crm: Crm, fan: int, mode: str = "soft") -> None:
    assert crm.call("DELETE", f"/api/crm/fans/{fan}?mode={mode}").status_code == 204


def rows(crm: Crm) -> list[tuple[str, bool]]:
    found = crm.sql("SELECT state, wake_after IS NULL AS rests FROM messages ORDER BY id")
    return [(row.state, row.rests) for row in found]


def test_a_message_refused_for_its_pace_while_its_fan_is_deleted_is_never_sent(
    crm: Crm, fan: int
) -> None:
    message = send(crm, fan)
    crm.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=1)))
    crm.platform.during = lambda _: delete(crm, fan)

    deliver(crm)

    assert rows(crm) == [("cancelled", True)]
    [attempt] = crm.sql("SELECT outcome FROM message_attempts")
    assert attempt.outcome == "rate_limited"
    assert crm.post(f"/api/crm/fans/{fan}/restore").status_code == 200
    crm.services.healing.heal()
    assert rows(crm) == [("cancelled", True)]
    assert crm.get(f"/api/onlyfans/messages/{message}").json["status"] == "cancelled"
    assert crm.platform.delivered == []
    assert crm.services.audit.audit(datetime.now(UTC) - timedelta(hours=1)).clean


def test_a_message_refused_for_its_pace_waits_while_its_fan_stays(crm: Crm, fan: int) -> None:
    send(crm, fan)
    crm.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=1)))

    deliver(crm)

    assert rows(crm) == [("queued", False)]


def test_a_message_claimed_but_not_called_is_cancelled_with_its_fan(crm: Crm, fan: int) -> None:
    send(crm, fan)
    [row] = crm.sql("SELECT id FROM messages")
    with crm.services.open_unit_of_work() as work:
        claim = work.messages.claim(row.id, timedelta(minutes=1))
        work.commit()
    assert claim is not None
    delete(crm, fan)

    with crm.services.open_unit_of_work() as work:
        returned = work.messages.not_called(claim, timedelta(seconds=30))
        work.commit()

    assert returned
    assert rows(crm) == [("cancelled", True)]


def test_a_message_of_a_merged_fan_goes_on_until_the_kept_one_is_deleted(
    crm: Crm, fan: int
) -> None:
    kept = crm.fan("File", connection_id=None)
    message = send(crm, fan)
    crm.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=1)))

    def merge(_: object) -> None:
        answer = crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": fan})
        assert answer.status_code == 200, answer.json

    crm.platform.during = merge
    deliver(crm)

    assert rows(crm) == [("queued", False)]
    crm.sql("UPDATE messages SET state = 'failed'")
    path = f"/api/onlyfans/messages/{message}/retry"
    assert crm.post(path).status_code == 200
    delete(crm, kept)
    assert rows(crm) == [("cancelled", True)]
    crm.sql("UPDATE messages SET state = 'failed'")
    assert crm.post(path).json["code"] == "fan_deleted"


def test_the_record_of_a_send_waits_for_who_deletes_the_fan(crm: Crm, fan: int) -> None:
    send(crm, fan)
    [row] = crm.sql("SELECT id FROM messages")
    with crm.services.open_unit_of_work() as work:
        claim = work.messages.claim(row.id, timedelta(minutes=1))
        work.commit()
    assert claim is not None

    def give_back() -> None:
        with crm.services.open_unit_of_work() as work:
            work.messages.not_called(claim, timedelta(seconds=30))
            work.commit()

    with interleaved(
        crm, "UPDATE fans SET deleted_at = now() WHERE id = :fan", give_back, fan=fan
    ) as done:
        done()

    assert rows(crm) == [("cancelled", True)]


@pytest.mark.parametrize(("state", "verb"), [("failed", "retry"), ("unknown", "confirm")])
@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_what_failed_is_not_set_going_again_once_the_fan_is_deleted(
    crm: Crm, fan: int, state: str, verb: str, mode: str
) -> None:
    message = send(crm, fan)
    settled = "failed" if mode == "hard" else state
    crm.sql("UPDATE messages SET state = :state, wake_after = NULL", state=settled)
    delete(crm, fan, mode)

    answer = crm.post(f"/api/onlyfans/messages/{message}/{verb}")

    assert (answer.status_code, answer.json["code"]) == (409, "fan_deleted")
    assert "restore" in answer.json["error"]
    assert rows(crm) == [(settled, True)]


def test_a_message_to_a_deleted_fan_is_not_taken_back(crm: Crm, fan: int) -> None:
    message = send(crm, fan)
    deliver(crm)
    delete(crm, fan)

    answer = crm.post(f"/api/onlyfans/messages/{message}/unsend")

    assert (answer.status_code, answer.json["code"]) == (409, "fan_deleted")
    assert crm.sql("SELECT count(*) AS n FROM messages WHERE unsend_after IS NOT NULL")[0].n == 0


def test_what_failed_waits_for_nobody_once_the_fan_is_unlinked(crm: Crm, fan: int) -> None:
    message = send(crm, fan)
    crm.sql("UPDATE messages SET state = 'failed', wake_after = NULL")
    assert crm.call("DELETE", f"/api/crm/fans/{fan}/link").status_code in {200, 204}

    answer = crm.post(f"/api/onlyfans/messages/{message}/retry")

    assert (answer.status_code, answer.json["code"]) == (409, "fan_not_linked")
    assert rows(crm) == [("failed", True)]


# Two at the same moment


class interleaved:  # noqa: N801  # reads as a sentence
    """A transaction that has done `change` under its connection's lock, and not yet committed,
    while `other` runs; calling it commits once `other` waits."""

    def __init__(self, crm: Crm, change: str, other: Callable[[], Any], **values: object) -> None:
        self._crm, self._change, self._other, self._values = crm, change, other, values

    def __enter__(self) -> Callable[[], Any]:
        self._database = self._crm.engine.connect()
        self._database.begin()
        self._database.execute(
            text("SELECT FROM platform_connections WHERE id = :id FOR NO KEY UPDATE"),
            {"id": self._crm.connection},
        )
        self._database.execute(text(self._change), self._values)
        self._pool = ThreadPoolExecutor(1)
        running = self._pool.submit(self._other)

        def commit() -> Any:
            while not self._waits():
                assert not running.done(), "it did not wait"
            self._database.commit()
            return running.result(timeout=10)

        return commit

    def _waits(self) -> bool:
        [row] = self._crm.sql(
            "SELECT count(*) AS n FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(row.n)

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._pool.shutdown()


CHANGES = {
    "UPDATE fans SET connection_id = NULL, platform_user_id = NULL WHERE id = :fan": (
        "fan_not_linked",
        "fan_not_linked",
    ),
    "UPDATE fans SET deleted_at = now() WHERE id = :fan": ("recipient_not_found", "fan_deleted"),
    "UPDATE platform_connections SET state = 'disconnected' WHERE id > 0 AND :fan > 0": (
        "connection_disconnected",
        "connection_disconnected",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["message", "conversation", "batch"])
def test_a_send_sees_what_was_committed_while_it_waited(
    crm: Crm, fan: int, change: str, way: str
) -> None:
    talk = crm.sql(
        "INSERT INTO conversations (user_id, fan_id, connection_id)"
        " VALUES (:owner, :fan, :connection) RETURNING id",
        owner=crm.owner,
        fan=fan,
        connection=crm.connection,
    )[0].id
    client = crm.client.application.test_client()
    headers = crm.bearer()

    def ask() -> Any:
        if way == "conversation":
            path, body = f"/api/crm/conversations/{talk}/messages", {"text": "Hello"}
        else:
            path, body = SEND, {"recipientId": f"fan_{fan}", "content": "Hello"}
        if way == "batch":
            caller, now = crm.caller(), datetime.now(UTC)
            draft = Draft(content="Hello")
            return crm.services.messages.send_batch(caller, [(f"fan_{fan}", draft)], now)
        return client.post(path, json=body, headers=headers)

    with interleaved(crm, change, ask, fan=fan) as done:
        answer = done()

    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 0
    if way == "batch":
        assert [(one.message_id, one.status) for one in answer] == [(None, "failed")]
        return
    code = CHANGES[change][way == "conversation"]
    assert (answer.status_code, answer.json["code"]) == (404 if "not_found" in code else 409, code)
