"""Dead letters from both sides: a sender's rows, and an operator's queues on the SQS emulator."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from faults import FaultProxy
from sqs import Sqs, Worker, eventually, released, requested, settings_for

from cli.main import huntaze
from domain.dead_letters import DeadLetter
from domain.events import Event, MessageRequested
from domain.ports import BusUnavailable
from domain.services.dead_letters import DeadLetterService
from infra.bus.dead_letters import SqsDeadLetters
from tests.crm import Crm
from tests.integration.crm.test_crm_notifications import queued, record
from tests.plans import scans, watched
from tests.sending import Notes
from workers.delivery import last_failure

pytest_plugins = ["sqs_fixtures"]
PATH = "/api/onlyfans/dead-letters"
DEAD = "messages-dlq"


def die(crm: Crm, *ids: UUID, reason: str = "RuntimeError") -> None:
    """What the worker does when a message's task fails for the last time."""
    for one in ids:
        payload = requested().payload.wire() | {"messageId": str(one)}
        last_failure(crm.services)("deliver_requested", payload, reason)


def listed(crm: Crm, role: str = "owner") -> list[dict[str, Any]]:
    answer = crm.get(PATH, role)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["deadLetters"]
    return found


def count(crm: Crm) -> int:
    with crm.services.open_unit_of_work() as work:
        return work.messages.status(crm.owner, datetime.now(UTC)).dead_lettered


class TestSenders:
    def test_one_says_why_and_what_to_do(self, crm: Crm) -> None:
        message = queued(crm)
        die(crm, message)

        [one] = listed(crm)

        assert (one["messageId"], one["status"]) == (str(message), "queued")
        assert one["reason"] == "its queue task failed five times (RuntimeError)"
        assert one["remedy"].startswith("nothing to do: it goes by itself")
        assert one["canRedrive"] is True
        assert count(crm) == 1

    @pytest.mark.parametrize("task", ["deliver_released", "stage_media"])
    def test_every_task_of_a_message_tells_its_row(self, crm: Crm, task: str) -> None:
        queued(crm)
        [row] = crm.sql("SELECT id FROM messages")
        payload = {"messageId": row.id}
        if task == "deliver_released":
            payload |= {"connectionId": crm.connection, "lease": "l"}

        last_failure(crm.services)(task, payload, "Unavailable")

        assert count(crm) == 1

    def test_other_tasks_and_rubbish_tell_none(self, crm: Crm) -> None:
        queued(crm)
        last_failure(crm.services)("import_csv", {"importId": 1}, "RuntimeError")
        last_failure(crm.services)("deliver_requested", {"messageId": "x"}, "RuntimeError")

        assert (listed(crm), count(crm)) == ([], 0)

    def test_a_queued_one_is_woken_and_counts_no_more(self, crm: Crm) -> None:
        message = queued(crm)
        die(crm, message)
        crm.bus.events.clear()

        answer = crm.post(f"{PATH}/{message}/redrive")

        assert (answer.status_code, answer.json["status"]) == (200, "queued")
        [event] = crm.bus.events
        assert isinstance(event.payload, MessageRequested)
        assert event.payload.message_id == message
        assert (listed(crm), count(crm)) == ([], 0)
        assert crm.post(f"{PATH}/{message}/redrive").status_code == 404

    def test_redriven_and_delivered_twice_it_is_sent_once(self, crm: Crm) -> None:
        message = queued(crm)
        die(crm, message)
        crm.bus.events.clear()
        crm.post(f"{PATH}/{message}/redrive")
        [event] = crm.bus.events
        assert isinstance(event.payload, MessageRequested)

        for _ in range(3):
            crm.services.delivery.requested(event.payload, datetime.now(UTC))

        assert len(crm.platform.delivered) == 1
        assert [row.state for row in crm.sql("SELECT state FROM messages")] == ["sent"]

    def test_a_failed_one_is_sent_again(self, crm: Crm) -> None:
        message = queued(crm)
        record(crm, message)
        die(crm, message)
        assert listed(crm)[0]["remedy"] == "redrive it to send it again, or discard it"

        assert crm.post(f"{PATH}/{message}/redrive").json["status"] == "queued"

        assert (listed(crm), count(crm)) == ([], 0)

    def test_what_is_being_sent_or_settled_is_left_alone(self, crm: Crm) -> None:
        message = queued(crm)
        die(crm, message)
        crm.sql("UPDATE messages SET state = 'sending', lease_until = now()")
        assert crm.post(f"{PATH}/{message}/redrive").json["code"] == "in_progress"
        crm.sql("UPDATE messages SET state = 'unknown', wake_after = now() + interval '1 hour'")
        assert crm.post(f"{PATH}/{message}/redrive").json["code"] == "in_progress"
        assert listed(crm)[0]["canRedrive"] is False

        crm.sql("UPDATE messages SET wake_after = NULL")
        assert listed(crm)[0]["remedy"].startswith("look into the chat")
        assert crm.post(f"{PATH}/{message}/redrive").json["status"] == "queued"

    def test_discarded_a_queued_one_is_never_sent(self, crm: Crm) -> None:
        message, failed = queued(crm), queued(crm)
        record(crm, failed)
        die(crm, message, failed)

        for one in (message, failed):
            assert crm.post(f"{PATH}/{one}/discard").status_code == 204

        states = {row.public_id: row.state for row in crm.sql("SELECT * FROM messages")}
        assert states == {message: "cancelled", failed: "failed"}
        assert (listed(crm), count(crm)) == ([], 0)
        lines = crm.sql("SELECT action, subject_id, actor_id FROM audit_log ORDER BY id")
        assert [(row.action, row.subject_id) for row in lines if "dead" in row.action] == [
            ("dead_letter.discarded", str(message)),
            ("dead_letter.discarded", str(failed)),
        ]

    def test_strangers_have_none(self, crm: Crm) -> None:
        message = queued(crm)
        die(crm, message)

        assert listed(crm, "stranger") == []
        for deed in ("redrive", "discard"):
            assert crm.post(f"{PATH}/{message}/{deed}", role="stranger").status_code == 404
        assert count(crm) == 1

    def test_the_newest_death_comes_first_in_pages(self, crm: Crm) -> None:
        messages = [queued(crm) for _ in range(5)]
        die(crm, *messages)
        found, query = [], {"limit": "2"}
        while True:
            page = crm.get(PATH, query_string=query).json
            found += [one["messageId"] for one in page["deadLetters"]]
            if page["nextCursor"] is None:
                break
            query["cursor"] = page["nextCursor"]

        assert found == [str(one) for one in reversed(messages)]

    def test_the_list_walks_its_index(self, crm: Crm) -> None:
        crm.load(
            """
            INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)
              SELECT :owner, 'Fan', '@f' || n, :connection, n FROM generate_series(1, 2000) n;
            INSERT INTO conversations (user_id, fan_id, connection_id)
              SELECT user_id, id, connection_id FROM fans;
            INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,
                direction, text, state, dead_lettered_at)
              SELECT gen_random_uuid(), c.user_id, c.connection_id, c.id, c.fan_id, 'out', '',
                CASE WHEN mod(n, 2) = 0 THEN 'failed' ELSE 'sent' END,
                CASE WHEN mod(c.id + n, 50) = 0 THEN now() - n * interval '1 minute' END
              FROM conversations c, generate_series(1, 10) n
            """,
            owner=crm.owner,
            connection=crm.connection,
        )
        with watched(crm) as seen:
            page = crm.get(f"{PATH}?limit=5").json
            assert crm.get(f"{PATH}?limit=5&cursor={page['nextCursor']}").status_code == 200

        assert scans(crm, seen) == set()


class Operator:
    """`huntaze dlq` on the emulator's queues and the test's rows."""

    def __init__(self, crm: Crm, url: str) -> None:
        self.notes = Notes()
        self.queues = SqsDeadLetters(settings_for(url))
        self.letters = DeadLetterService(
            crm.services.open_unit_of_work,
            crm.services.messages,
            self.queues,
            self.notes,
        )

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(huntaze, ["dlq", *words, "--queue", "messages"])


@pytest.fixture
def operator(crm: Crm, sqs: Sqs, monkeypatch: pytest.MonkeyPatch) -> Operator:
    made = Operator(crm, sqs.url)
    services = SimpleNamespace(dead_letters=made.letters)
    monkeypatch.setattr("cli.dead_letters.services", lambda: services)
    return made


def bury(sqs: Sqs, *events: Event) -> list[str]:
    """Messages as SQS moves them, with what they were sent with; returns their bodies."""
    sqs.publish(*events)
    bodies = [one["Body"] for one in sqs.take()]
    sqs.client.purge_queue(QueueUrl=sqs.queue_url("messages"))
    for body in bodies:
        sqs.send(body, DEAD)
    return bodies


class TestOperators:
    def test_the_list_tells_what_and_why_and_hides_nothing_from_others(
        self, sqs: Sqs, operator: Operator
    ) -> None:
        event = requested("geheim")
        bury(sqs, event, released(5))
        sqs.send('{"geheim": 1}', DEAD)

        said = operator("list").output

        assert f"deliver_requested  messageId={event.payload.message_id}" in said
        assert "deliver_released  messageId=5 connectionId=3" in said
        assert "no task    neither a task nor a documented object" in said
        assert said.endswith("3 dead letters\n")
        assert "geheim" not in said
        assert sqs.left(DEAD) == (3, 0)

    def test_redriven_all_go_back_as_they_were(self, sqs: Sqs, operator: Operator) -> None:
        bodies = bury(sqs, *(requested(f"text {number}") for number in range(23)))

        assert operator("redrive", "--all").output == "23 redriven, 0 left\n"

        back = sqs.take()
        assert sorted(one["Body"] for one in back) == sorted(bodies)
        assert {one["Attributes"]["MessageGroupId"] for one in back} == {"3"}
        assert sqs.left(DEAD) == (0, 0)
        assert operator.notes.actions == ["dead_letter_redriven"] * 23
        assert operator("redrive", "--all").output == "0 redriven, 0 left\n"

    def test_one_is_found_by_its_id_and_the_others_stay(self, sqs: Sqs, operator: Operator) -> None:
        bury(sqs, *(requested(f"text {number}") for number in range(15)))
        [*_, last] = operator.queues.browse("messages", 100)

        assert operator("redrive", "--id", last.id).output == "1 redriven, 0 left\n"

        assert (sqs.left(), sqs.left(DEAD)) == ((1, 0), (14, 0))

    def test_a_limit_is_kept(self, sqs: Sqs, operator: Operator) -> None:
        bury(sqs, *(requested(f"text {number}") for number in range(15)))

        assert operator("redrive", "--all", "--limit", "12").output == "12 redriven, 0 left\n"
        assert operator("list", "--limit", "2").output.endswith("2 dead letters or more\n")

        assert (sqs.left(), sqs.left(DEAD)) == ((12, 0), (3, 0))

    def test_rubbish_is_not_redriven_but_discarded(self, sqs: Sqs, operator: Operator) -> None:
        sqs.send("{not json", DEAD)
        bury(sqs, requested("fine"))

        said = operator("redrive", "--all").output

        assert said.startswith("1 redriven, 1 left\nleft: ")
        assert "no task    not JSON" in said
        assert (sqs.left(), sqs.left(DEAD)) == ((1, 0), (1, 0))
        assert operator("discard", "--all", "--yes").output == "1 discarded, 0 left\n"
        assert sqs.left(DEAD) == (0, 0)

    def test_nothing_is_discarded_without_a_yes_and_a_choice(
        self, sqs: Sqs, operator: Operator
    ) -> None:
        bury(sqs, requested("fine"))

        assert operator("discard", "--all").exit_code == 1
        assert operator("discard", "--yes").exit_code == 2
        assert operator("redrive", "--all", "--id", "x").exit_code == 2
        assert sqs.left(DEAD) == (1, 0)

    def test_rows_are_dead_no_longer_and_the_audit_log_says_so(
        self, crm: Crm, sqs: Sqs, operator: Operator
    ) -> None:
        kept, by_uuid, by_number = (queued(crm) for _ in range(3))
        die(crm, kept, by_uuid, by_number)
        numbers = {row.public_id: row.id for row in crm.sql("SELECT id, public_id FROM messages")}
        sqs.publish(released(numbers[by_number]))
        [body] = [one["Body"] for one in sqs.take()]
        sqs.client.purge_queue(QueueUrl=sqs.queue_url("messages"))
        sqs.send(body, DEAD)
        payload = requested("x").payload.wire() | {"messageId": str(by_uuid)}
        sqs.send(json.dumps(payload), DEAD)
        sqs.send(json.dumps(payload | {"messageId": str(uuid4())}), DEAD)

        assert operator("redrive", "--all").output == "3 redriven, 0 left\n"

        assert [one["messageId"] for one in listed(crm)] == [str(kept)]
        assert count(crm) == 1
        lines = crm.sql("SELECT * FROM audit_log WHERE action LIKE 'dead%' ORDER BY subject_id")
        assert [(row.user_id, row.actor_id, row.subject_id) for row in lines] == [
            (crm.owner, None, one) for one in sorted((str(by_uuid), str(by_number)))
        ]

    def test_interrupted_it_comes_twice_and_is_sent_once(
        self, crm: Crm, sqs: Sqs, proxy: FaultProxy
    ) -> None:
        message = queued(crm)
        die(crm, message)
        payload = requested("Hi").payload.wire() | {"messageId": str(message)}
        sqs.send(json.dumps(payload), DEAD)
        shaky = Operator(crm, proxy.url)
        proxy.answers.append(("DeleteMessageBatch", 503))

        with pytest.raises(BusUnavailable):
            shaky.letters.redrive("messages", None, 10)
        assert len(shaky.letters.redrive("messages", None, 10).done) == 1

        back = sqs.take()
        assert len(back) == 2
        for one in back:
            event = MessageRequested.model_validate_json(one["Body"])
            crm.services.delivery.requested(event, datetime.now(UTC))
        assert len(crm.platform.delivered) == 1

    def test_rows_out_of_reach_leave_it_where_it_is(self, sqs: Sqs, operator: Operator) -> None:
        bury(sqs, requested("one"))

        def fails(_letters: object) -> None:
            raise RuntimeError("no database")

        with pytest.raises(RuntimeError):
            operator.queues.discard("messages", None, 10, fails)

        assert sqs.left(DEAD) == (1, 0)

    def test_sqs_that_is_away_is_told(
        self, crm: Crm, sqs: Sqs, operator: Operator, proxy: FaultProxy
    ) -> None:
        proxy.refusing = True
        operator.letters = Operator(crm, proxy.url).letters
        with pytest.raises(BusUnavailable):
            operator.letters.browse("messages", 1)

    def test_redriven_it_has_all_its_tries_again(
        self, sqs: Sqs, operator: Operator, tmp_path: Path
    ) -> None:
        """With a real worker: the message goes through its queue again, five more times."""
        sqs.publish(requested("fail once more"))
        with closing(Worker(sqs.url, tmp_path)) as worker:
            eventually(lambda: sqs.left(DEAD) == (1, 0))
            worker.forget()

            assert operator("redrive", "--all").output == "1 redriven, 0 left\n"

            eventually(lambda: worker.runs().count("fail once more") == 5)
            eventually(lambda: sqs.left(DEAD) == (1, 0))
        [again] = operator.queues.browse("messages", 10)
        assert again.task == "deliver_requested"


def test_ids_that_are_none_name_no_row(sqs: Sqs) -> None:
    for message_id in ("x", "7", True, 2**70, -1):
        body = requested("x").payload.wire() | {"messageId": message_id}
        sqs.send(json.dumps(body), DEAD)

    found = SqsDeadLetters(settings_for(sqs.url)).browse("messages", 10)

    assert len(found) == 5
    assert all(isinstance(one, DeadLetter) and one.row is None for one in found)
