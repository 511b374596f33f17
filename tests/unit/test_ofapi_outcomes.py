"""What each answer of the gateway proves: one line per answer."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import Outcome
from infra.platform.ofapi import plain_text
from infra.platform.outcomes import classify

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HTML = {"content-type": "text/html"}


def upstream(status, **fields):
    return {"error": "ONLYFANS_COM_ERROR", "onlyfans_response": {"status": status, **fields}}


def judge(status, content, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return classify(status, headers or {}, body, NOW)


@pytest.mark.parametrize(
    ("status", "content", "message_id"),
    [
        (200, {"data": {"id": 123}}, "123"),
        (201, {"data": {"id": "abc1"}}, "abc1"),
        (200, {"data": {"id": 7, "success": True, "hasError": False}}, "7"),
        # The text and the media are not the gateway speaking.
        (200, {"data": {"id": 7, "text": "<p>Please allow 3 seconds</p>"}}, "7"),
        (200, {"data": {"id": 7, "media": [{"hasError": True}]}}, "7"),
        (200, {"data": {"id": 7}, "_meta": {"_credits": {"balance": 0}}}, "7"),
    ],
)
def test_an_id_without_a_no_is_proof_of_sent(status, content, message_id):
    answer = judge(status, content)

    assert answer.outcome is Outcome.SENT
    assert answer.platform_message_id == message_id
    assert (answer.error_code, answer.detail) == (None, None)


@pytest.mark.parametrize(
    ("status", "content", "outcome"),
    [
        # 2xx that says no, or nothing
        (200, {"data": {"id": 7, "hasError": True}}, Outcome.REFUSED),
        (200, {"data": {"id": 7}, "hasError": True}, Outcome.REFUSED),
        (200, {"data": {"id": 7}, "success": False}, Outcome.REFUSED),
        (200, {"data": {"success": False}}, Outcome.REFUSED),
        (200, {"data": {"canSendMessage": False}}, Outcome.REFUSED),
        (200, {"data": {}}, Outcome.UNCLEAR),
        (200, {"data": None}, Outcome.UNCLEAR),
        (200, {"data": {"id": None}}, Outcome.UNCLEAR),
        (200, {"data": {"id": 0}}, Outcome.UNCLEAR),
        (200, {"data": {"id": True}}, Outcome.UNCLEAR),
        (200, {"data": {"id": 1.5}}, Outcome.UNCLEAR),
        (200, {"data": {"id": ""}}, Outcome.UNCLEAR),
        (200, {"data": {"id": ["7"]}}, Outcome.UNCLEAR),
        (200, {"id": 7}, Outcome.UNCLEAR),
        (200, [{"id": 7}], Outcome.UNCLEAR),
        (200, b"", Outcome.UNCLEAR),
        (200, b'{"data": {"id": 7', Outcome.UNCLEAR),
        (200, b"<html>", Outcome.UNCLEAR),
        (204, b"", Outcome.UNCLEAR),
        # too fast
        (429, {}, Outcome.RATE_LIMITED),
        (429, b"<html>", Outcome.RATE_LIMITED),
        (400, {"error": "ONLYFANS_COM_RATE_LIMIT_ERROR"}, Outcome.RATE_LIMITED),
        (500, {"error": "ONLYFANS_COM_RATE_LIMIT_ERROR"}, Outcome.RATE_LIMITED),
        (200, {"error": "ONLYFANS_COM_RATE_LIMIT_ERROR"}, Outcome.RATE_LIMITED),
        (400, upstream(429), Outcome.RATE_LIMITED),
        (400, {"message": "Please Allow 3 seconds between messages"}, Outcome.RATE_LIMITED),
        (
            400,
            upstream(400, body={"error": {"code": 0, "message": "Allow 3 seconds"}}),
            Outcome.RATE_LIMITED,
        ),
        # the key
        (409, {"error": "IDEMPOTENCY_CONFLICT"}, Outcome.IN_PROGRESS),
        (409, {"error": "SOMETHING_ELSE"}, Outcome.UNCLEAR),
        (409, b"", Outcome.UNCLEAR),
        (400, {"error": "IDEMPOTENCY_KEY_INVALID"}, Outcome.KEY_REJECTED),
        (422, {"error": "IDEMPOTENCY_KEY_MISMATCH"}, Outcome.KEY_REJECTED),
        # the account
        (401, {"error": "Unauthorized. Go to the console"}, Outcome.AUTH_LOST),
        (401, b"", Outcome.AUTH_LOST),
        (400, {"error": "ONLYFANS_SESSION_EXPIRED"}, Outcome.AUTH_LOST),
        (500, {"error": "ONLYFANS_SESSION_EXPIRED"}, Outcome.AUTH_LOST),
        (400, upstream(401), Outcome.AUTH_LOST),
        (402, {}, Outcome.QUOTA_EXHAUSTED),
        (403, {"error": "INSUFFICIENT_CREDITS"}, Outcome.QUOTA_EXHAUSTED),
        (403, {"error": "NO_SUBSCRIPTION"}, Outcome.QUOTA_EXHAUSTED),
        # refused
        (400, {}, Outcome.REFUSED),
        (403, {}, Outcome.REFUSED),
        (404, {}, Outcome.REFUSED),
        (404, b"", Outcome.REFUSED),
        (422, {"error": "VALIDATION_ERROR"}, Outcome.REFUSED),
        (400, upstream(404), Outcome.REFUSED),
        (500, upstream(403), Outcome.REFUSED),
        (418, {"canSendMessage": False}, Outcome.REFUSED),
        # proves nothing
        (408, {}, Outcome.UNCLEAR),
        (400, upstream(408), Outcome.UNCLEAR),
        (400, upstream(409), Outcome.UNCLEAR),
        (400, upstream(500), Outcome.UNCLEAR),
        (500, {}, Outcome.UNCLEAR),
        (503, {"canSendMessage": False}, Outcome.UNCLEAR),
        (502, b"<html>", Outcome.UNCLEAR),
        (520, b"error code: 520", Outcome.UNCLEAR),
        (403, b"<!doctype html>", Outcome.UNCLEAR),
        (301, b"", Outcome.UNCLEAR),
        (307, {}, Outcome.UNCLEAR),
        (418, {}, Outcome.UNCLEAR),
        (999, b"\xff\xfe", Outcome.UNCLEAR),
        (500, b"[" * 100_000, Outcome.UNCLEAR),
        # proves not sent
        (500, {"request_outcome": "not_sent"}, Outcome.NOT_SENT),
        (500, {"data": {"request_outcome": "not_sent"}}, Outcome.NOT_SENT),
        (408, {"meta": {"request_outcome": "not_sent"}}, Outcome.NOT_SENT),
        (504, {"_meta": {"request_outcome": "not_sent"}}, Outcome.NOT_SENT),
        (400, {**upstream(500), "request_outcome": "not_sent"}, Outcome.NOT_SENT),
        (500, {"request_outcome": "unknown"}, Outcome.UNCLEAR),
        # a refusal says more than not sent
        (422, {"request_outcome": "not_sent"}, Outcome.REFUSED),
        (429, {"request_outcome": "not_sent"}, Outcome.RATE_LIMITED),
    ],
)
def test_every_answer_has_its_outcome(status, content, outcome):
    answer = judge(status, content)

    assert answer.outcome is outcome
    assert answer.http_status == status
    assert answer.platform_message_id is None


def test_the_content_type_alone_makes_html():
    assert judge(403, b"blocked", HTML).outcome is Outcome.UNCLEAR


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("5", timedelta(seconds=5)),
        (" 0 ", timedelta(0)),
        ("7200", timedelta(hours=1)),
        ("9" * 5000, timedelta(hours=1)),
        ("Fri, 02 Jan 2026 03:05:05 GMT", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 03:04:00 GMT", timedelta(0)),
        ("Fri, 02 Jan 2099 00:00:00 GMT", timedelta(hours=1)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0665", None),
        ("Fri, 99 Jan 2026 03:05:05 GMT", None),
        ("Fri, 02 Jan 99999 03:05:05 GMT", None),
        ("Fri, 02 Jan 2026 03:05:05 +" + "9" * 30, None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(value, wait):
    assert judge(429, {}, {"retry-after": value}).retry_after == wait


def test_retry_after_counts_only_where_the_pace_is_the_trouble():
    assert judge(503, {}, {"retry-after": "5"}).retry_after is None
    assert judge(429, {}).retry_after is None


def test_a_replay_says_so():
    assert judge(200, {"data": {"id": 7}}, {"idempotent-replayed": "true"}).replayed is True
    assert judge(422, {}, {"idempotent-replayed": "true"}).replayed is True
    assert judge(200, {"data": {"id": 7}}).replayed is False


@pytest.mark.parametrize(
    ("status", "content", "code", "detail"),
    [
        (
            422,
            {"error": "VALIDATION_ERROR", "errors": {"text": ["our text"], "price": ["1"]}},
            "VALIDATION_ERROR",
            "The platform does not accept: text, price.",
        ),
        (
            422,
            {"error": "VALIDATION_ERROR", "errors": {"our text": ["x"]}},
            "VALIDATION_ERROR",
            "The platform does not accept this message. Check its text, price and media.",
        ),
        (
            422,
            {"error": "BANNED_WORDS", "bannedWords": ["meet", "escort", 3, "a\nb"]},
            "BANNED_WORDS",
            "Remove the words the platform bans: meet, escort.",
        ),
        (
            403,
            {"canSendMessage": False},
            "http_403",
            "The platform does not let the account write to this fan.",
        ),
        (
            404,
            {"error": "our text was not found"},
            "http_404",
            "The fan or the account is no longer there. Check that the fan still subscribes.",
        ),
        (500, b"our text", "http_500", "The answer does not say whether the message was sent."),
    ],
)
def test_the_detail_is_for_people_and_never_the_text(status, content, code, detail):
    answer = judge(status, content)

    assert (answer.error_code, answer.detail) == (code, detail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "error",
                    "errors",
                    "message",
                    "onlyfans_response",
                    "status",
                    "body",
                    "bannedWords",
                    "request_outcome",
                    "_meta",
                ]
            ),
            inner,
        )
    ),
)


@given(status=st.integers(100, 599), content=JSON, retry_after=st.text())
def test_no_json_is_strange_enough_to_raise_or_to_pass_for_sent(status, content, retry_after):
    answer = judge(status, content, {"retry-after": retry_after})

    assert answer.outcome is not Outcome.SENT  # the strategy never makes an id


@given(status=st.integers(100, 599), body=st.binary())
def test_no_bytes_are_strange_enough_to_raise(status, body):
    assert classify(status, {}, body, NOW).outcome in Outcome


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello</p>", "Hello"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("<p>one</p>\n<p class='x'>two</p>\n", "one\ntwo"),
        ("<p>one<br />\ntwo<br>three</p>", "one\ntwo\nthree"),
        (
            "<p>I &lt;3 you &amp; &quot;him&quot; &#39;&#x1F389;</p>",
            'I <3 you & "him" \'\U0001f389',
        ),
        ('<p>see <a href="https://x.example">x</a> <strong>now</strong></p>', "see x now"),
        ("plain <3 text", "plain <3 text"),
        ("<p>&amp;lt;b&amp;gt;</p>", "&lt;b&gt;"),
        ("<p>cafe\u0301</p>", "caf\u00e9"),
        ("", ""),
    ],
)
def test_html_reads_as_a_person_reads_it(html, text):
    assert plain_text(html) == text


def test_hostile_html_costs_linear_time():
    assert plain_text("<a" * 500_000) == "<a" * 500_000
