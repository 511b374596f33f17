"""The shape of a log line, and what never gets into one."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from infra.logging import configure_logging, failure, get_logger


class Stream(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.getvalue().splitlines()]


@pytest.fixture
def stream() -> Iterator[Stream]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = Stream()
    configure_logging("INFO", stream)
    yield stream
    root.handlers[:], root.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_a_line_has_the_documented_keys_in_order(stream: Stream) -> None:
    with bound_contextvars(correlation_id="c1"):
        get_logger().info(
            "message_queued", messageId="m1", user_id="7", recipient_id="u42", queueDepth=3
        )

    [line] = stream.lines()
    timestamp = line.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp)
    assert list(line.items()) == [
        ("level", "info"),
        ("service", "onlyfans-rate-limiter"),
        ("action", "message_queued"),
        ("messageId", "m1"),
        ("userId", "7"),
        ("recipientId", "u42"),
        ("queueDepth", 3),
    ]


def test_the_correlation_id_is_added_while_it_is_bound(stream: Stream) -> None:
    with bound_contextvars(correlation_id="c1"):
        get_logger().info("inside")
    get_logger().info("outside")

    assert [one.get("correlationId") for one in stream.lines()] == ["c1", None]


def test_lines_below_the_level_are_left_out(stream: Stream) -> None:
    get_logger().debug("detail")

    assert stream.lines() == []


@pytest.mark.parametrize(
    "name",
    [
        "content",
        "text",
        "messageText",
        "access_token",
        "Authorization",
        "newPassword",
        "jwt_secret",
    ],
)
def test_values_under_telling_keys_are_replaced(stream: Stream, name: str) -> None:
    get_logger().info(
        "oops", **{name: "geheim"}, nested={name: ["geheim"]}, many=[{name: "geheim"}]
    )

    assert "geheim" not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") == 3


def test_harmless_keys_keep_their_values(stream: Stream) -> None:
    get_logger().info("fine", contentType="text/csv", tokens=3, text_length=5)

    [line] = stream.lines()
    assert (line["contentType"], line["tokens"], line["textLength"]) == ("text/csv", 3, 5)


def test_an_unknown_object_shows_its_type_only(stream: Stream) -> None:
    get_logger().info("oops", message=ValueError("geheim"))

    assert stream.lines()[0]["message"] == "<ValueError>"


def test_data_cannot_pose_as_the_head_of_a_line(stream: Stream) -> None:
    get_logger().info("real", service="forged", timestamp="never", note='"}\n{"action": "forged"}')

    [line] = stream.lines()
    assert (line["service"], line["action"]) == ("onlyfans-rate-limiter", "real")


def test_an_exception_shows_where_it_came_from_and_not_what_it_says(stream: Stream) -> None:
    try:
        try:
            {}["geheim"]
        except KeyError as cause:
            raise ValueError("geheim") from cause
    except ValueError as problem:
        get_logger().error("failed", **failure(problem))
        get_logger().exception("failed")
        logging.getLogger("somebody").exception("failed")

    lines = stream.lines()
    assert "geheim" not in stream.getvalue()
    assert [one["error"] for one in lines] == ["ValueError from KeyError"] * 3
    assert all(one["at"][0].startswith("test_logging.py:") for one in lines)


def test_libraries_speak_json_too_from_warning_up(stream: Stream) -> None:
    logging.getLogger("botocore").info("request body")
    logging.getLogger("botocore").warning("retrying %s", "soon")

    [line] = stream.lines()
    assert (line["level"], line["action"]) == ("warning", "library_spoke")
    assert (line["logger"], line["message"]) == ("botocore", "retrying soon")


@pytest.mark.parametrize("logger", ["celery.worker.strategy", "kombu.transport"])
def test_of_celery_only_the_template_is_shown(stream: Stream, logger: str) -> None:
    logging.getLogger(logger).error("Task %(name)s args: %(args)s", {"name": "t", "args": "geheim"})

    assert "geheim" not in stream.getvalue()
    assert stream.lines()[0]["message"] == "Task %(name)s args: %(args)s"


def test_without_a_stream_lines_go_to_standard_output(
    stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO")
    get_logger().info("hello")

    assert json.loads(capsys.readouterr().out)["action"] == "hello"
    assert sys.stdout is not None
