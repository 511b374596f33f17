"""A real worker process on the SQS emulator, behind a proxy that fails on demand."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from faults import FaultProxy
from sqs import Sqs, Worker, eventually, requested

pytest_plugins = ["sqs_fixtures"]

NOTHING = (0, 0)


@pytest.fixture(scope="module")
def standing_proxy(emulator: Sqs) -> Iterator[FaultProxy]:
    with FaultProxy(emulator.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def standing_worker(
    standing_proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    worker = Worker(standing_proxy.url, tmp_path_factory.mktemp("worker"))
    yield worker
    worker.close()


@pytest.fixture
def worker(proxy: FaultProxy, standing_worker: Worker) -> Worker:
    """One process for most of these tests, which it has to outlive."""
    assert standing_worker.is_running()
    standing_worker.forget()
    return standing_worker


@pytest.fixture
def proxy(sqs: Sqs, standing_proxy: FaultProxy) -> FaultProxy:
    """The way from that process to SQS, without faults."""
    standing_proxy.mend()
    return standing_proxy


@pytest.mark.parametrize(
    "answers",
    [
        [("", 403)] * 3,
        [("", 503)] * 7,
        [("", 400), ("", 500), ("", 504)],
        [("ReceiveMessage", 200)] * 2,
    ],
    ids=["403 x3", "503 x7", "400 500 504", "200 of somebody else x2"],
)
def test_survives_bad_answers_and_then_delivers(
    sqs: Sqs, proxy: FaultProxy, worker: Worker, answers: list[tuple[str, int]]
) -> None:
    proxy.answers.extend(answers)
    eventually(lambda: not proxy.answers)

    sqs.publish(requested("after the storm"))

    eventually(lambda: sqs.left() == NOTHING)
    assert worker.runs() == ["after the storm"]
    # A busy machine may add a failure of its own.
    assert len(worker.lines("receive_failed")) >= len(
        [status for _, status in answers if status != 200]
    )


def test_survives_refused_and_reset_connections_and_then_delivers(
    sqs: Sqs, proxy: FaultProxy, worker: Worker
) -> None:
    proxy.refusing = True
    proxy.reset()
    eventually(lambda: len(worker.lines("receive_failed")) >= 3)
    sqs.publish(requested("after the storm"))

    proxy.refusing = False

    eventually(lambda: sqs.left() == NOTHING)
    assert worker.runs() == ["after the storm"]


def test_gives_a_dead_connection_up_and_then_delivers(
    sqs: Sqs, proxy: FaultProxy, worker: Worker
) -> None:
    def given_up() -> list:
        proxy.freeze()  # also what was opened since the last time
        return worker.lines("receive_failed")

    eventually(given_up, 60)

    sqs.publish(requested("after the silence"))

    eventually(lambda: sqs.left() == NOTHING, 60)
    assert worker.lines("receive_failed")[0]["error"] == "ReadTimeoutError"
    # A second time if the acknowledgement took a dead connection from the pool.
    assert set(worker.runs()) == {"after the silence"}


def test_a_failed_acknowledgement_costs_one_more_run(
    sqs: Sqs, proxy: FaultProxy, worker: Worker
) -> None:
    proxy.answers.append(("DeleteMessage", 503))

    sqs.publish(requested("twice"))

    eventually(lambda: len(worker.runs()) == 2 and sqs.left() == NOTHING)
    sqs.publish(requested("next"))
    eventually(lambda: worker.runs() == ["twice", "twice", "next"])
    assert [one["call"] for one in worker.lines("queue_call_failed")] == ["delete"]


def test_understands_the_bare_documented_object(sqs: Sqs, worker: Worker) -> None:
    sqs.send(json.dumps(requested("from elsewhere").payload.wire()))

    eventually(lambda: sqs.left() == NOTHING)
    assert worker.runs() == ["from elsewhere"]
    [line] = worker.lines("task_finished")
    assert len(line["correlationId"]) == 32


def test_what_is_no_task_goes_to_the_dead_letters_at_once(sqs: Sqs, worker: Worker) -> None:
    strange = {
        "{not json": "not JSON",
        "[1]": "not a JSON object",
        '{"orderId": 7}': "neither a task nor a documented object",
        '{"headers": {"task": "format_disk"}, "body": "[[{}],{},{}]"}': "no task of this queue",
        "[" * 50_000: "not JSON",
    }
    for body in strange:
        sqs.send(body)

    eventually(lambda: sqs.left() == NOTHING)

    dead = {one["Body"]: one["MessageAttributes"]["reason"] for one in sqs.take("messages-dlq")}
    assert {body: reason["StringValue"] for body, reason in dead.items()} == strange
    assert worker.runs() == []


def test_dead_letters_out_of_reach_leave_the_message_where_it_is(
    sqs: Sqs, proxy: FaultProxy, worker: Worker
) -> None:
    proxy.answers.append(("SendMessage", 503))

    sqs.send("{not json")

    eventually(lambda: sqs.left() == NOTHING)
    assert len(sqs.take("messages-dlq")) == 1
    assert not proxy.answers
    assert worker.is_running()


def test_poison_goes_to_the_dead_letters_at_its_first_run(sqs: Sqs, worker: Worker) -> None:
    sqs.publish(requested("poison"))

    eventually(lambda: sqs.left() == NOTHING)

    assert worker.runs() == ["poison"]
    [dead] = sqs.take("messages-dlq")
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "the fan is gone"
    assert json.loads(json.loads(dead["Body"])["body"])[0][0]["content"] == "poison"


def test_a_failing_task_runs_five_times_and_the_last_is_told(sqs: Sqs, worker: Worker) -> None:
    sqs.publish(requested("fail"), requested("fine"))

    eventually(lambda: sqs.left("messages-dlq") == (1, 0))

    assert Counter(worker.runs()) == Counter(
        {"fail": 5, "last deliver_requested: fail": 1, "fine": 1}
    )
    assert worker.runs()[-1] == "last deliver_requested: fail"
    assert [one["receives"] for one in worker.lines("task_finished") if "receives" in one] == [
        1, 2, 3, 4, 5
    ]  # fmt: skip
    assert sqs.left() == NOTHING


def test_logs_are_json_and_show_no_text_of_messages(sqs: Sqs, worker: Worker) -> None:
    events = [requested(f"{word} 0 geheim") for word in ("fine", "fail", "poison", "sleep")]
    sqs.publish(*events)
    sqs.send('{"geheim": 1}')
    eventually(lambda: sqs.left("messages-dlq")[0] == 3)
    lines = [json.loads(one) for one in worker.log().splitlines()]

    assert "geheim" not in worker.log()
    assert all(list(one)[:4] == ["timestamp", "level", "service", "action"] for one in lines)
    finished = [one for one in lines if one["action"] == "task_finished"]
    assert Counter(one["outcome"] for one in finished) == Counter(done=2, poisoned=1, failed=5)
    assert {one["correlationId"] for one in finished} == {one.correlation_id for one in events}
    assert {one["error"] for one in finished if one["outcome"] == "failed"} == {"RuntimeError"}
    assert {(one["queue"], one["task"]) for one in finished} == {("messages", "deliver_requested")}
