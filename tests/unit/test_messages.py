"""Accepting and promising on fakes: rules of a draft, batches, estimates, changing one's mind."""

from datetime import timedelta

import pytest

from domain import notices
from domain.connections import ConnectionState
from domain.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from domain.messages import (
    CONTENT_MAX,
    METADATA_MAX_BYTES,
    TRANSITIONS,
    Draft,
    DraftFields,
    Outcome,
    State,
    attachments_of,
    check_transition,
)
from domain.ports import SendAnswer
from domain.repositories import Once
from domain.services.messages import MessageService
from domain.services.rules import SendingRules
from domain.users import Caller, OwnerId, Role, UserId
from tests.sending import INTERVAL, START, Desk


def problems(**changes: object) -> list[str]:
    attachments = attachments_of(changes.pop("media_urls", ()))
    draft = Draft(**({"content": "x", "attachments": attachments} | changes))
    with pytest.raises(Invalid) as refusal:
        Desk().messages.validate_message(draft)
    return [problem.field for problem in refusal.value.problems]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"content": ""}, ["content"]),
        ({"content": " \n\t"}, ["content"]),
        ({"content": "x" * (CONTENT_MAX + 1)}, ["content"]),
        ({"content": "a\x00b"}, ["content"]),
        ({"content": "a\ud800"}, ["content"]),
        ({"priority": 0}, ["priority"]),
        ({"priority": 11}, ["priority"]),
        ({"media_urls": ("http://s3.amazonaws.com/a.png",)}, ["mediaUrls.0"]),
        (
            {"media_urls": ("https://[", "https://u:p@s3.amazonaws.com/a")},
            ["mediaUrls.0", "mediaUrls.1"],
        ),
        ({"media_urls": ("https://s3.amazonaws.com/a.png",) * 21}, ["mediaUrls"]),
        ({"price_cents": 500}, ["priceCents"]),
        ({"price_cents": 299, "media_urls": ("https://media.s3.amazonaws.com/a",)}, ["priceCents"]),
        (
            {"price_cents": 20_001, "media_urls": ("https://media.s3.amazonaws.com/a",)},
            ["priceCents"],
        ),
        ({"metadata": {"a": "x" * METADATA_MAX_BYTES}}, ["metadata"]),
        ({"content": "", "priority": 0}, ["content", "priority"]),
    ],
)
def test_each_bad_field_is_named(changes: dict[str, object], fields: list[str]) -> None:
    assert problems(**changes) == fields


def test_lengths_count_code_points_after_normalising() -> None:
    draft = Desk().messages.validate_message(Draft("e\u0301" * CONTENT_MAX))

    assert len(draft.content) == CONTENT_MAX
    assert Desk().messages.validate_message(Draft("👋" * CONTENT_MAX)).content == "👋" * CONTENT_MAX


def test_a_priced_message_with_media_is_good() -> None:
    attachments = attachments_of(
        ("https://s3.amazonaws.com/a.MP4", "https://s3.amazonaws.com/b.mp3")
    )
    draft = Draft("x", attachments, price_cents=300)

    assert Desk().messages.validate_message(draft) == draft
    assert [one.type for one in attachments] == ["video", "audio"]


def test_a_conversation_names_the_fields_as_its_request_does_and_needs_no_text_beside_media() -> (
    None
):
    fields = DraftFields("text", "attachments", ".url", blank_with_media=True)
    attachments = attachments_of(("http://example.com/a.png",))

    assert problems(content="", fields=fields) == ["text"]
    assert problems(content="", fields=fields, attachments=attachments) == ["attachments.0.url"]
    with_media = Draft("", attachments_of(("https://s3.amazonaws.com/a.png",)), fields=fields)
    assert Desk().messages.validate_message(with_media) == with_media


def test_message_ids_are_random_uuids_of_version_4() -> None:
    assert {MessageService.generate_message_id().version for _ in range(3)} == {4}


def test_a_batch_answers_each_input_in_its_place() -> None:
    desk = Desk()
    items = [
        (f"fan_{desk.fan}", Draft("one")),
        ("fan_999999", Draft("nobody")),
        (f"fan_{desk.unlinked}", Draft("unlinked")),
        (f"fan_{desk.fan}", Draft(" ")),
        (f"{desk.fan}", Draft("two")),
    ]

    results = desk.messages.send_batch(desk.caller, items, desk.at)

    assert [one.status for one in results] == ["queued", "failed", "failed", "failed", "queued"]
    assert [bool(one.error) for one in results] == [False, True, True, True, False]
    assert [one.text for one in desk.data.messages()] == ["one", "two"]
    assert [results[0].estimated_send_at, results[4].estimated_send_at] == [START, START + INTERVAL]
    assert len(desk.bus.events) == 2


def test_fifty_promises_differ_by_one_interval_and_are_kept() -> None:
    desk = Desk()

    results = [desk.send(f"text {number}") for number in range(50)]
    desk.run(310)

    promised = [one.estimated_send_at for one in results]
    assert promised == [START + number * INTERVAL for number in range(50)]
    messages = [desk.message(one) for one in results]
    assert {one.state for one in messages} == {State.SENT}
    assert {one.delay for one in messages} == {None}
    late = [abs(one.sent_at - one.promised_at) for one in messages]
    assert max(late) < timedelta(milliseconds=100)


def test_the_first_promises_of_a_connection_follow_its_own_rate() -> None:
    desk = Desk()
    desk.data.change_connection(desk.connection, rate_per_minute=600.0)

    promised = [desk.send(f"text {number}").estimated_send_at for number in range(3)]

    interval = timedelta(milliseconds=100.5)
    assert promised == [START, START + interval, START + 2 * interval]


def test_a_promise_while_redis_is_away_follows_the_ledger() -> None:
    desk = Desk()
    desk.send("one")
    desk.work()
    desk.room.unavailable = True

    assert desk.send("two").estimated_send_at == START + INTERVAL
    assert desk.send("three").estimated_send_at == START + 2 * INTERVAL


def test_an_overtaken_message_says_so_and_shows_its_new_time() -> None:
    desk = Desk()
    desk.send("first")
    bulk = desk.send("bulk", priority=8)
    desk.work()
    desk.send("urgent", priority=1)
    desk.work()

    report = desk.messages.report(desk.caller, bulk.message_id)

    assert report.message.delay == "overtaken"
    assert report.message.promised_at == START + INTERVAL
    assert report.message.estimated_send_at == START + 2 * INTERVAL
    assert report.wait is not None
    assert (report.wait.reason, report.wait.ahead) == (notices.WaitReason.TURN, 1)
    assert report.notice is not None
    assert report.notice.text == "Queued, will be sent shortly"


def test_what_waits_behind_a_429_says_why_and_until_when() -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=timedelta(seconds=30)))
    first, second = desk.send("one"), desk.send("two")
    desk.work()

    for one in (first, second):
        report = desk.messages.report(desk.caller, one.message_id)
        assert report.wait is not None
        assert report.wait.reason is notices.WaitReason.RATE_LIMITED
        assert report.message.delay == "rate_limited"
    assert report.wait.until > START + timedelta(seconds=30)


def test_a_breaker_says_how_often_the_platform_failed() -> None:
    desk = Desk()
    desk.platform.script(*[Outcome.UNREACHABLE] * 5)
    result = desk.send()
    desk.run(32)

    report = desk.messages.report(desk.caller, result.message_id)

    assert len(desk.platform.calls) == 5
    assert report.wait is not None
    assert report.wait.reason is notices.WaitReason.BREAKER
    assert "5 times" in report.wait.text


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.AUTH_LOST, notices.WaitReason.CONNECTION_AUTH),
        (Outcome.QUOTA_EXHAUSTED, notices.WaitReason.CONNECTION_QUOTA),
    ],
)
def test_a_paused_account_is_the_reason_to_wait(
    outcome: Outcome, reason: notices.WaitReason
) -> None:
    desk = Desk()
    desk.platform.script(outcome)
    result = desk.send()
    desk.work()

    report = desk.messages.report(desk.caller, result.message_id)

    assert report.wait is not None
    assert report.wait.reason is reason
    assert desk.send("another").estimated_send_at is None


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda desk: None, notices.WaitReason.STARTING),
        (lambda desk: desk.use(SendingRules(enabled=False)), notices.WaitReason.DISABLED),
        (lambda desk: desk.room.flush(), notices.WaitReason.REBUILDING),
        (
            lambda desk: desk.connections.pause(desk.caller, desk.connection),
            notices.WaitReason.CONNECTION_PAUSED,
        ),
    ],
)
def test_each_reason_to_wait_is_told(prepare, reason: notices.WaitReason) -> None:
    desk = Desk()
    result = desk.send()
    prepare(desk)

    report = desk.messages.report(desk.caller, result.message_id)

    assert report.wait is not None
    assert report.wait.reason is reason


def test_media_are_the_reason_before_any_other() -> None:
    desk = Desk(SendingRules(enabled=False))
    result = desk.send(media_urls=("https://s3.amazonaws.com/a.png",))

    report = desk.messages.report(desk.caller, result.message_id)

    assert report.wait is not None
    assert report.wait.reason is notices.WaitReason.MEDIA


def test_a_sent_message_waits_for_nothing_and_a_refused_one_says_what_to_do() -> None:
    desk = Desk(SendingRules(rate_per_minute=600))
    sent = desk.send("one")
    desk.work()
    desk.platform.script(SendAnswer(Outcome.REFUSED, 422, detail="banned word"))
    refused = desk.send("two")
    desk.run(1)

    assert desk.messages.report(desk.caller, sent.message_id).notice is None
    report = desk.messages.report(desk.caller, refused.message_id)
    assert report.notice is not None
    assert report.notice.text == "Message failed to send"
    assert "banned word" in report.notice.reason
    assert report.wait is None


def test_an_unlisted_error_still_has_a_notice() -> None:
    desk = Desk()
    desk.platform.script(SendAnswer(Outcome.REFUSED, 404, error_code="http_404"))
    result = desk.send()
    desk.work()

    report = desk.messages.report(desk.caller, result.message_id)

    assert report.notice is not None
    assert report.notice.text == notices.FAILED


def test_a_message_in_the_air_says_so() -> None:
    desk = Desk()
    seen = []
    desk.platform.during = lambda _: seen.append(
        desk.messages.report(desk.caller, result.message_id).wait
    )
    result = desk.send()

    desk.work()

    assert [wait.reason for wait in seen] == [notices.WaitReason.SENDING]


def test_a_retry_promises_anew() -> None:
    desk = Desk()
    desk.platform.script(Outcome.REFUSED)
    first, second = desk.send("one"), desk.send("two")
    desk.run(30)
    assert desk.message(second).state is State.SENT

    again = desk.messages.retry(desk.caller, first.message_id, desk.at)

    assert again.estimated_send_at == desk.at
    with pytest.raises(Conflict):
        desk.messages.retry(desk.caller, second.message_id, desk.at)


def test_a_message_that_left_cannot_be_cancelled_nor_confirmed() -> None:
    desk = Desk()
    result = desk.send()
    desk.work()

    for refuse in (
        lambda: desk.messages.cancel(desk.caller, result.message_id),
        lambda: desk.messages.confirm_sent(desk.caller, result.message_id, desk.at),
    ):
        with pytest.raises(Conflict):
            refuse()


def test_the_same_key_answers_the_same_and_does_nothing_twice() -> None:
    desk = Desk()
    once = Once("key", "POST /send", "digest")
    recipient = f"fan_{desk.fan}"

    first = desk.messages.send_message(desk.caller, recipient, Draft("x"), desk.at, once)
    desk.wait(60)
    again = desk.messages.send_message(desk.caller, recipient, Draft("x"), desk.at, once)

    assert (again.message_id, again.queued_at, again.estimated_send_at) == (
        first.message_id,
        first.queued_at,
        first.estimated_send_at,
    )
    assert (first.replayed, again.replayed) == (False, True)
    assert len(desk.data.messages()) == 1
    cancelled = [
        desk.messages.cancel(desk.caller, first.message_id, Once("other", "cancel", ""))
        for _ in range(2)
    ]
    assert [one.status for one in cancelled] == ["cancelled", "cancelled"]


def test_a_cancel_while_redis_is_away_still_holds() -> None:
    desk = Desk()
    desk.send("one")
    second = desk.send("two")
    desk.work()
    desk.room.unavailable = True
    desk.messages.cancel(desk.caller, second.message_id)
    desk.room.unavailable = False

    desk.run(20)

    assert [call.text for call in desk.platform.calls] == ["one"]


def test_strangers_and_analysts_change_nothing() -> None:
    desk = Desk()
    result = desk.send()
    stranger = Caller(UserId(99), OwnerId(99), Role.OWNER)
    analyst = Caller(UserId(98), desk.owner, Role.ANALYST)

    with pytest.raises(NotFound):
        desk.messages.cancel(stranger, result.message_id)
    with pytest.raises(NotFound):
        desk.messages.report(stranger, result.message_id)
    with pytest.raises(Forbidden):
        desk.messages.cancel(analyst, result.message_id)
    with pytest.raises(Forbidden):
        desk.connections.pause(analyst, desk.connection)
    assert desk.messages.report(analyst, result.message_id).message.state is State.QUEUED


def test_a_disconnected_account_accepts_and_resumes_nothing() -> None:
    desk = Desk()
    desk.data.change_connection(desk.connection, state=ConnectionState.DISCONNECTED)

    with pytest.raises(Conflict):
        desk.send()
    with pytest.raises(Conflict):
        desk.connections.resume(desk.caller, desk.connection)
    with pytest.raises(NotFound):
        desk.connections.resume(desk.caller, desk.connection + 1000)


def test_paces_are_listed_with_and_without_redis() -> None:
    desk = Desk()
    assert [one.bucket is not None for one in desk.connections.list_paces(desk.caller)] == [True]

    desk.room.unavailable = True
    assert [one.bucket for one in desk.connections.list_paces(desk.caller)] == [None]


def test_the_status_counts_rows_and_shows_the_brokers_last_numbers_while_it_is_away() -> None:
    desk = Desk(SendingRules(rate_per_minute=600))
    desk.platform.script(Outcome.REFUSED)
    for number in range(4):
        desk.send(f"text {number}")
    desk.run(3)
    desk.send("waits", media_urls=("https://s3.amazonaws.com/a.png",))

    status = desk.messages.get_queue_status(desk.caller, desk.at)
    desk.bus.away = True
    stale = desk.messages.get_queue_status(desk.caller, desk.at)

    assert (status.queue_depth, status.messages_processed_today) == (1, 3)
    assert (status.messages_failed_today, status.failure_rate) == (1, 0.25)
    assert (status.stale, stale.stale, stale.sqs) == (False, True, status.sqs)
    assert stale.queue_depth == 1


def test_a_transition_outside_the_table_raises() -> None:
    for old in State:
        for new in State:
            if new in TRANSITIONS[old]:
                check_transition(old, new)
            else:
                with pytest.raises(IllegalTransition):
                    check_transition(old, new)
