"""A worker process from its start to its end, counting what it ran and what it left behind."""

from collections import Counter
from pathlib import Path

from sqs import Sqs, Worker, eventually, released, requested

pytest_plugins = ["sqs_fixtures"]


def test_every_message_runs_once_and_leaves_nothing(sqs: Sqs, tmp_path: Path) -> None:
    sqs.set_visibility(60)
    texts = [f"text {number}" for number in range(30)]

    sqs.publish(*map(requested, texts), released(5))

    worker = Worker(sqs.url, tmp_path)
    eventually(lambda: sqs.left() == (0, 0))
    worker.close()

    assert Counter(worker.runs()) == Counter([*texts, "released 5"])
    requests = sqs.requests()
    assert requests["DeleteMessage"]["requests"] == 31
    assert requests["SendMessageBatch"]["requests"] == 4


def test_terminating_finishes_what_runs_and_loses_nothing(sqs: Sqs, tmp_path: Path) -> None:
    sqs.set_visibility(60)
    texts = [f"sleep 0.6 {number}" for number in range(12)]
    sqs.publish(*map(requested, texts))
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
    first = Worker(sqs.url, places[0])
    eventually(lambda: len(first.runs()) >= 1)

    first.terminate()
    code = first.wait()

    assert code == 0
    begun = len(first.runs())
    assert sqs.left() == (12 - begun, 0)  # what ran was settled, what did not was handed back
    second = Worker(sqs.url, places[1])
    eventually(lambda: sqs.left() == (0, 0))
    second.terminate()
    assert second.wait() == 0
    assert Counter(first.runs() + second.runs()) == Counter(texts)


def test_terminating_ends_although_sqs_is_away(tmp_path: Path) -> None:
    worker = Worker("http://127.0.0.1:1", tmp_path)
    eventually(lambda: len(worker.lines("receive_failed")) >= 2)

    worker.terminate()

    assert worker.wait() == 0
