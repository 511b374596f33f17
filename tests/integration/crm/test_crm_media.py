"""Staging on real rows: once for each content, whatever crashes, and no message without its media."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock, Thread
from typing import Any

import pytest

from domain.connections import ConnectionId
from domain.errors import Unavailable
from domain.events import MediaRequested, MessageRequested
from domain.media import MediaFault, MediaRefused, MediaUnavailable
from domain.messages import MessageId, Outcome, State
from domain.ports import FetchedMedia, PlatformRefused, PlatformUnavailable
from domain.services.media import MediaService
from domain.services.rules import SendingRules
from tests.crm import Crm

CDN = "https://cdn.s3.amazonaws.com"
A, B = f"{CDN}/a.png?X-Amz-Signature=secret", f"{CDN}/b.mp4"


class Crash(BaseException):
    """The process ends here."""


class FakeSource:
    """A MediaSource of prepared files; `fails` answers instead, once for each entry."""

    def __init__(self) -> None:
        self.files = {A: ("image", b"picture"), B: ("video", b"film")}
        self.fails: list[BaseException] = []
        self.fetched: list[str] = []
        self.during: Callable[[], None] | None = None

    @contextmanager
    def fetch(self, url: str) -> Iterator[FetchedMedia]:
        self.fetched.append(url)
        if self.during is not None:
            self.during()
        if self.fails:
            raise self.fails.pop(0)
        kind, content = self.files[url]
        digest = hashlib.sha256(content).hexdigest()
        yield FetchedMedia(io.BytesIO(content), f"{digest[:16]}.bin", kind, len(content), digest)


class FakeVault:
    """The upload of PlatformAccounts; `fails` and `crashes` end it before, or after, the file is
    stored."""

    def __init__(self) -> None:
        self.uploads: list[tuple[str, bytes]] = []
        self.fails: list[BaseException] = []
        self.crashes: list[BaseException] = []
        self.during: Callable[[], None] | None = None
        self._lock = Lock()

    def upload(self, account, file, name, deadline) -> str:
        if self.during is not None:
            self.during()
        with self._lock:
            if self.fails:
                raise self.fails.pop(0)
            self.uploads.append((account.account_id, file.read()))
            if self.crashes:
                raise self.crashes.pop(0)
            return str(7000 + len(self.uploads))


@dataclass
class Studio:
    """The application with a staging service on fakes of the outside."""

    crm: Crm
    fan: int
    source: FakeSource = field(default_factory=FakeSource)
    vault: FakeVault = field(default_factory=FakeVault)
    rules: SendingRules | None = None

    def service(self, open_unit_of_work: Any = None, **more: Any) -> MediaService:
        services = self.crm.services
        return MediaService(
            open_unit_of_work or services.open_unit_of_work,
            source=self.source,
            accounts=self.vault,
            room=services.room,
            rules=self.rules or services.rules,
            journal=services.journal,
            **more,
        )

    def send(self, *urls: str, fan: int | None = None, **more: object) -> int:
        """The row's id of a message with these media."""
        body = {"recipientId": f"fan_{fan or self.fan}", "content": "Look", "mediaUrls": list(urls)}
        answer = self.crm.post("/api/onlyfans/messages/send", body | more)
        assert answer.status_code == 202, answer.json
        [row] = self.crm.sql(
            "SELECT id FROM messages WHERE public_id = :id", id=answer.json["messageId"]
        )
        return int(row.id)

    def row(self, message_id: int) -> Any:
        [row] = self.crm.sql(
            "SELECT *, extract(epoch FROM wake_after - now()) AS wakes_in"
            " FROM messages WHERE id = :id",
            id=message_id,
        )
        return row

    def shown(self, message_id: int) -> Any:
        return self.crm.get(f"/api/onlyfans/messages/{self.row(message_id).public_id}").json

    def change(self, message_id: int, deed: str) -> Any:
        return self.crm.post(f"/api/onlyfans/messages/{self.row(message_id).public_id}/{deed}")

    def stage(self, message_id: int) -> None:
        self.service().stage(MessageId(message_id))

    def events(self, kind: type) -> list[Any]:
        return [one for one in self.crm.bus.events if isinstance(one.payload, kind)]

    def pass_time(self, seconds: float) -> None:
        """Every instant in the rows moves into the past."""
        by = {"by": timedelta(seconds=seconds)}
        self.crm.sql("UPDATE messages SET wake_after = wake_after - cast(:by AS interval)", **by)
        self.crm.sql("UPDATE media SET lease_until = lease_until - cast(:by AS interval)", **by)
        self.crm.sql(
            "UPDATE media_sources SET fetched_at = fetched_at - cast(:by AS interval)", **by
        )

    def deliver(self) -> list[tuple[str, ...]]:
        """Let workers handle what was announced; the media of each call to the platform."""
        for event in self.events(MessageRequested):
            self.crm.services.delivery.requested(event.payload, datetime.now(UTC))
        for permit in self.crm.services.room.release(10).permits:
            self.crm.services.delivery.deliver(permit)
        return [call.media_ids for call in self.crm.platform.calls]


@pytest.fixture
def studio(crm: Crm) -> Studio:
    return Studio(crm, crm.fan())


def ready(studio: Studio, message_id: int) -> bool:
    row = studio.row(message_id)
    return row.hold is None and all(one.get("mediaId") for one in row.attachments)


def test_a_message_with_media_waits_for_them_and_says_so(studio: Studio) -> None:
    message = studio.send(A)

    row, shown = studio.row(message), studio.shown(message)
    assert (row.state, row.hold, row.promised_at) == ("queued", "media", None)
    assert 25 < row.wakes_in <= 30
    [event] = studio.events(MediaRequested)
    assert (event.payload.message_id, event.group, event.row) == (
        message,
        str(studio.crm.connection),
        message,
    )
    assert studio.events(MessageRequested) == []
    assert shown["wait"]["reason"] == "media"
    assert shown["notice"]["text"] == "Queued, will be sent shortly"
    assert studio.deliver() == []


def test_staging_stores_the_file_and_lets_the_message_go_with_it(studio: Studio) -> None:
    message = studio.send(A, priceCents=500)

    studio.stage(message)

    row = studio.row(message)
    assert studio.vault.uploads == [("acct_luna", b"picture")]
    assert row.attachments == [{"type": "image", "url": A, "mediaId": "7001"}]
    assert (row.state, row.hold, row.wake_tries, row.delay) == ("queued", None, 0, None)
    assert row.promised_at == row.estimated_send_at is not None
    [event] = studio.events(MessageRequested)
    assert event.row == message
    assert studio.deliver() == [("7001",)]
    assert studio.row(message).state == "sent"
    [media] = studio.crm.sql("SELECT * FROM media")
    assert (media.kind, media.bytes, media.vault_id, media.lease_until) == (
        "image",
        7,
        "7001",
        None,
    )


def test_staging_twice_changes_nothing(studio: Studio) -> None:
    message = studio.send(A)
    studio.stage(message)
    before = studio.row(message).estimated_send_at

    studio.stage(message)

    assert len(studio.vault.uploads) == len(studio.events(MessageRequested)) == 1
    assert studio.row(message).estimated_send_at == before


def test_three_files_of_which_two_are_equal_are_two_uploads_and_three_media(studio: Studio) -> None:
    twin = f"{CDN}/twin.png"
    studio.source.files[twin] = studio.source.files[A]
    message = studio.send(A, B, twin)

    studio.stage(message)

    assert [content for _, content in studio.vault.uploads] == [b"picture", b"film"]
    assert [(one["type"], one["mediaId"]) for one in studio.row(message).attachments] == [
        ("image", "7001"),
        ("video", "7002"),
        ("image", "7001"),
    ]
    assert studio.deliver() == [("7001", "7002", "7001")]


def test_one_address_twice_in_a_message_is_fetched_once(studio: Studio) -> None:
    message = studio.send(A, A)

    studio.stage(message)

    assert (studio.source.fetched, len(studio.vault.uploads)) == ([A], 1)
    assert studio.deliver() == [("7001", "7001")]


def test_an_address_fetched_lately_is_not_fetched_again_and_a_known_content_never_uploaded_again(
    studio: Studio,
) -> None:
    studio.stage(studio.send(A))

    soon = studio.send(A)
    studio.stage(soon)
    assert (ready(studio, soon), studio.source.fetched) == (True, [A])

    studio.pass_time(15 * 60 + 1)
    later = studio.send(A)
    studio.stage(later)

    assert (ready(studio, later), studio.source.fetched) == (True, [A, A])
    assert len(studio.vault.uploads) == 1


def test_an_address_whose_content_changed_is_uploaded_anew(studio: Studio) -> None:
    studio.stage(studio.send(A))
    studio.source.files[A] = ("image", b"another")
    studio.pass_time(15 * 60 + 1)

    message = studio.send(A)
    studio.stage(message)

    assert studio.row(message).attachments[0]["mediaId"] == "7002"


def test_another_account_has_a_vault_of_its_own(studio: Studio) -> None:
    crm = studio.crm
    [second] = crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, 'b', 'acct_second') RETURNING id",
        owner=crm.owner,
    )
    fan = crm.fan("B", connection_id=second.id)
    studio.stage(studio.send(A))
    message = studio.send(A, fan=fan)

    studio.stage(message)

    assert [account for account, _ in studio.vault.uploads] == ["acct_luna", "acct_second"]
    assert studio.row(message).attachments[0]["mediaId"] == "7002"


def test_two_workers_at_once_upload_once_and_both_messages_go(studio: Studio) -> None:
    first, second = studio.send(A), studio.send(A)
    met = Barrier(2, timeout=10)
    studio.source.during = met.wait  # Both have found nothing known, and hold the file.

    threads = [Thread(target=studio.stage, args=(one,)) for one in (first, second)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(timeout=20)
    studio.source.during = None

    assert len(studio.vault.uploads) == 1
    [waits] = [one for one in (first, second) if not ready(studio, one)] or [None]
    if waits is not None:
        assert studio.row(waits).wakes_in <= 2
        assert studio.row(waits).wake_tries == 0
        studio.stage(waits)
    assert ready(studio, first)
    assert ready(studio, second)
    assert len(studio.vault.uploads) == 1


def test_while_another_worker_uploads_the_message_comes_back_soon(studio: Studio) -> None:
    first, second = studio.send(A), studio.send(A)
    studio.vault.during = lambda: studio.stage(second) if len(studio.source.fetched) == 1 else None

    studio.stage(first)

    row = studio.row(second)
    assert (row.hold, row.wake_tries, row.wakes_in <= 2) == ("media", 0, True)
    studio.pass_time(3)
    assert studio.service().wake_overdue() == 1
    studio.stage(second)
    assert ready(studio, second)
    assert len(studio.vault.uploads) == 1


def test_two_workers_on_one_message_let_it_go_once(studio: Studio) -> None:
    message = studio.send(A)
    studio.vault.during = lambda: None

    def twin() -> None:
        studio.vault.during = None
        studio.pass_time(600)  # the first worker looks dead: its lease is over
        studio.stage(message)

    studio.vault.during = twin
    studio.stage(message)

    assert len(studio.events(MessageRequested)) == 1
    # The slow worker's file stays in the vault unused; one id is the content's.
    assert len(studio.vault.uploads) == 2
    assert studio.row(message).attachments[0]["mediaId"] == "7001"
    assert [one.vault_id for one in studio.crm.sql("SELECT vault_id FROM media")] == ["7001"]


@pytest.mark.parametrize("opening", range(1, 9))
def test_a_crash_between_any_two_effects_loses_nothing_and_sends_once(
    studio: Studio, opening: int
) -> None:
    message = studio.send(A, B)
    openings = 0

    def crashing() -> Any:
        nonlocal openings
        openings += 1
        if openings == opening:
            raise Crash
        return studio.crm.services.open_unit_of_work()

    with pytest.raises(Crash):
        studio.service(crashing).stage(MessageId(message))
    assert studio.deliver() == []

    for _ in range(3):
        studio.pass_time(300)
        for event in wake(studio):
            studio.stage(event)
    assert ready(studio, message)
    assert studio.deliver() == [tuple(one["mediaId"] for one in studio.row(message).attachments)]
    media = studio.crm.sql("SELECT vault_id FROM media")
    assert len(media) == 2
    # A crash right after an upload leaves one file that nothing uses.
    assert len(studio.vault.uploads) - len(media) == (1 if opening in {4, 7} else 0)


def wake(studio: Studio) -> list[int]:
    """The messages that the sweep announces."""
    studio.crm.bus.events = [one for one in studio.crm.bus.events if not media_event(one)]
    studio.service().wake_overdue()
    return [event.payload.message_id for event in studio.events(MediaRequested)]


def media_event(event: Any) -> bool:
    return isinstance(event.payload, MediaRequested)


@pytest.mark.parametrize("where", ["fetch", "before the upload", "after the upload"])
def test_a_crash_outside_of_transactions_is_made_good(studio: Studio, where: str) -> None:
    message = studio.send(A)
    {
        "fetch": studio.source.fails,
        "before the upload": studio.vault.fails,
        "after the upload": studio.vault.crashes,
    }[where].append(Crash())

    with pytest.raises(Crash):
        studio.stage(message)
    assert studio.deliver() == []
    studio.pass_time(300)
    [again] = wake(studio)
    studio.stage(again)

    assert again == message
    assert ready(studio, message)
    assert len(studio.vault.uploads) == (2 if where == "after the upload" else 1)
    assert len(studio.deliver()) == 1


def test_a_refused_announcement_is_made_good_in_a_second(studio: Studio) -> None:
    studio.crm.bus.refuses = lambda event: True
    message = studio.send(A)

    assert studio.row(message).wakes_in <= 1
    studio.crm.bus.refuses = lambda event: False
    studio.pass_time(2)
    assert wake(studio) == [message]
    assert wake(studio) == []


@pytest.mark.parametrize("fault", list(MediaFault))
def test_a_final_refusal_fails_the_message_with_its_reason_and_remedy(
    studio: Studio, fault: MediaFault
) -> None:
    message = studio.send(B, A)
    studio.stage(studio.send(B))
    studio.source.fails.append(MediaRefused(fault))

    studio.stage(message)

    row, shown = studio.row(message), studio.shown(message)
    assert (row.state, row.error_code, row.hold, row.wake_after) == (
        "failed",
        "media_refused",
        "media",
        None,
    )
    assert shown["notice"]["text"] == "Message failed to send"
    assert shown["notice"]["reason"].endswith(f"(file 2: {fault})")
    assert shown["notice"]["remedy"]
    assert "secret" not in shown["notice"]["reason"]
    assert (len(studio.vault.uploads), studio.deliver()) == (1, [("7001",)])


def test_what_the_platform_refuses_is_final(studio: Studio) -> None:
    message = studio.send(A)
    studio.vault.fails.append(PlatformRefused(Outcome.REFUSED, "The file is too long."))

    studio.stage(message)

    assert studio.row(message).error_code == "media_refused"
    assert "the platform: The file is too long." in studio.shown(message)["notice"]["reason"]


@pytest.mark.parametrize("side", ["host", "platform"])
def test_a_failure_that_may_heal_is_tried_six_times_with_growing_pauses(
    studio: Studio, side: str
) -> None:
    message = studio.send(A)
    if side == "host":
        studio.source.fails += [MediaUnavailable("its host answers 503")] * 6
    else:
        studio.vault.fails += [PlatformUnavailable("http_503")] * 6

    for pause in (5, 15, 60, 180, 600):
        studio.stage(message)
        row = studio.row(message)
        assert (row.state, row.hold) == ("queued", "media")
        assert pause - 3 < row.wakes_in <= pause
        studio.pass_time(pause - 4)
        assert wake(studio) == []
        studio.pass_time(5)
        assert wake(studio) == [message]
    assert "tries: 5" in studio.shown(message)["wait"]["text"]
    studio.stage(message)

    row, shown = studio.row(message), studio.shown(message)
    assert (row.state, row.error_code) == ("failed", "media_unavailable")
    assert shown["notice"]["text"] == "Message failed to send"
    assert studio.deliver() == []


def test_a_fault_of_ours_uses_a_try_and_does_not_loop_for_ever(studio: Studio) -> None:
    message = studio.send(A)
    studio.source.fails += [ZeroDivisionError("a bug")] * 6

    for _ in range(6):
        studio.stage(message)

    row, reason = studio.row(message), studio.shown(message)["notice"]["reason"]
    assert (row.state, row.error_code) == ("failed", "media_unavailable")
    assert reason.endswith("(something went wrong on our side)")


def test_a_database_that_is_away_uses_no_try(studio: Studio) -> None:
    message = studio.send(A)
    studio.source.fails.append(Unavailable("the database does not answer"))

    with pytest.raises(Unavailable):
        studio.stage(message)

    assert studio.row(message).wake_tries == 0
    studio.stage(message)
    assert ready(studio, message)


def test_retry_stages_a_failed_message_again(studio: Studio) -> None:
    message = studio.send(A)
    studio.source.fails.append(MediaRefused(MediaFault.MISSING))
    studio.stage(message)
    studio.crm.bus.events = []

    answer = studio.change(message, "retry")

    assert (answer.status_code, answer.json["status"]) == (200, "queued")
    assert answer.json["estimatedSendTime"] is None
    assert [one.payload.message_id for one in studio.events(MediaRequested)] == [message]
    assert studio.events(MessageRequested) == []
    row = studio.row(message)
    assert (row.hold, row.wake_tries, row.error_code) == ("media", 0, None)
    studio.stage(message)
    assert studio.deliver() == [("7001",)]


def test_a_held_message_can_be_cancelled_and_never_goes(studio: Studio) -> None:
    message = studio.send(A)

    assert studio.change(message, "cancel").status_code == 200

    studio.stage(message)
    studio.pass_time(3600)
    assert wake(studio) == []
    assert (studio.row(message).state, studio.source.fetched, studio.deliver()) == (
        "cancelled",
        [],
        [],
    )


@pytest.mark.parametrize("fails", [None, MediaRefused(MediaFault.TYPE), MediaUnavailable("slow")])
def test_a_message_cancelled_during_staging_stays_cancelled(
    studio: Studio, fails: Exception | None
) -> None:
    message = studio.send(A)
    studio.source.fails += [fails] if fails else []
    studio.source.during = lambda: studio.change(message, "cancel") and None

    studio.stage(message)

    row = studio.row(message)
    assert (row.state, row.error_code, row.wake_after) == ("cancelled", None, None)
    assert studio.events(MessageRequested) == []


def test_staging_goes_on_while_an_account_is_paused_by_hand(studio: Studio) -> None:
    message = studio.send(A)
    studio.crm.post(f"/api/connections/{studio.crm.connection}/pause")

    studio.pass_time(31)
    assert wake(studio) == [message]
    studio.stage(message)

    row = studio.row(message)
    assert (row.state, row.hold, row.promised_at) == ("queued", None, None)
    assert studio.deliver() == []
    studio.crm.post(f"/api/connections/{studio.crm.connection}/resume")
    studio.crm.services.healing.heal()
    assert studio.deliver() == [("7001",)]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.AUTH_LOST, "paused_auth"), (Outcome.QUOTA_EXHAUSTED, "paused_quota")],
)
def test_a_lost_login_pauses_the_account_and_resuming_stages_on(
    studio: Studio, outcome: Outcome, state: str
) -> None:
    message = studio.send(A)
    studio.vault.fails.append(PlatformRefused(outcome, "Log in again."))

    studio.stage(message)

    [connection] = studio.crm.sql(
        "SELECT state FROM platform_connections WHERE id = :id", id=studio.crm.connection
    )
    row = studio.row(message)
    assert (connection.state, row.state, row.hold, row.wake_tries) == (state, "queued", "media", 0)
    studio.pass_time(3600)
    assert wake(studio) == []
    studio.crm.post(f"/api/connections/{studio.crm.connection}/resume")
    assert wake(studio) == [message]
    studio.stage(message)
    assert studio.deliver() == [("7001",)]


def test_a_gateway_that_asks_us_to_slow_down_uses_no_try(studio: Studio) -> None:
    message = studio.send(A)
    studio.vault.fails += [PlatformRefused(Outcome.RATE_LIMITED, "Slow down.")] * 8

    for _ in range(8):
        studio.stage(message)
        row = studio.row(message)
        assert (row.state, row.hold, row.wake_tries) == ("queued", "media", 0)
        assert 50 < row.wakes_in <= 60
    studio.stage(message)

    assert ready(studio, message)


def test_many_slow_files_are_staged_by_several_tasks(studio: Studio) -> None:
    urls = [f"{CDN}/{number}.png" for number in range(5)]
    for url in urls:
        studio.source.files[url] = ("image", url.encode())
    message = studio.send(*urls)
    passed: list[int] = []
    studio.source.during = lambda: passed.append(40)
    service = studio.service(monotonic=lambda: sum(passed))
    announced = []
    while not ready(studio, message) and len(announced) < 5:
        studio.crm.bus.events = []
        service.stage(MessageId(message))
        announced.append([one.payload.message_id for one in studio.events(MediaRequested)])

    assert announced == [[message], [message], []]
    assert studio.row(message).wake_tries == 0
    assert sorted(studio.source.fetched) == sorted(urls)
    assert len(studio.vault.uploads) == 5


def test_nothing_is_staged_while_sending_is_off(studio: Studio) -> None:
    message = studio.send(A)
    studio.rules = SendingRules(enabled=False)

    studio.stage(message)
    studio.pass_time(31)
    assert studio.service().wake_overdue() == 0
    assert studio.source.fetched == []

    studio.rules = None
    assert wake(studio) == [message]


def test_a_message_let_go_late_keeps_its_place_and_says_why_others_wait(studio: Studio) -> None:
    held = studio.send(A)
    younger = [studio.send() for _ in range(2)]
    before = [studio.row(one).promised_at for one in younger]

    studio.stage(held)

    row = studio.row(held)
    assert row.promised_at < before[0] + timedelta(seconds=1)
    assert row.delay is None
    assert [studio.row(one).delay for one in younger] == ["overtaken", "overtaken"]
    assert [studio.row(one).promised_at for one in younger] == before


def test_the_claim_refuses_a_held_row_and_one_whose_media_are_not_in_the_vault(
    studio: Studio,
) -> None:
    held, stripped, half, good = (studio.send(A, B) for _ in range(4))
    known, unknown = {"type": "image", "url": A, "mediaId": "1"}, {"type": "image", "url": A}
    for message, hold, files in (
        (held, "media", [known, known]),
        (stripped, None, [unknown, unknown]),
        (half, None, [known, unknown]),
        (good, None, [known, known]),
    ):
        studio.crm.sql(
            "UPDATE messages SET hold = :hold, attachments = cast(:files AS jsonb) WHERE id = :id",
            hold=hold,
            files=str(files).replace("'", '"'),
            id=message,
        )

    def claimed(message: int) -> tuple[str, ...] | None:
        with studio.crm.services.open_unit_of_work() as work:
            claim = work.messages.claim(MessageId(message), timedelta(seconds=60))
            work.commit()
        return claim.media_ids if claim else None

    assert [claimed(one) for one in (held, stripped, half, good)] == [None, None, None, ("1", "1")]


def test_healing_and_the_audit_leave_held_rows_to_the_sweep(studio: Studio) -> None:
    message = studio.send(A)
    studio.pass_time(3600)
    studio.crm.bus.events = []

    studio.crm.services.healing.heal()

    assert (studio.row(message).state, studio.crm.bus.events) == ("queued", [])
    audit = studio.crm.services.audit.audit(datetime.now(UTC) - timedelta(hours=2))
    assert audit.lost == []
    assert wake(studio) == [message]


def test_a_foreign_host_is_refused_by_name_and_stores_nothing(studio: Studio) -> None:
    answer = studio.crm.post(
        "/api/onlyfans/messages/send",
        {
            "recipientId": f"fan_{studio.fan}",
            "content": "Look",
            "mediaUrls": [A, "https://169.254.169.254/latest/meta-data"],
        },
    )

    assert answer.status_code == 422
    assert answer.json["details"] == [
        {
            "field": "mediaUrls.1",
            "message": "use an https:// address of s3.amazonaws.com, *.amazonaws.com",
        }
    ]
    assert studio.crm.sql("SELECT 1 FROM messages") == []


def test_a_disconnected_account_stages_nothing_and_nothing_is_lost(studio: Studio) -> None:
    message = studio.send(A)
    with studio.crm.services.open_unit_of_work() as work:
        work.connections.set_state(ConnectionId(studio.crm.connection), "disconnected", None)
        work.commit()
    studio.pass_time(3600)

    assert wake(studio) == []
    studio.stage(message)
    assert studio.source.fetched == []
    assert studio.row(message).state == State.QUEUED
