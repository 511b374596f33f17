"""Staging: a message's media go into the account's vault, and only then the message into the queue.

A content is uploaded once for a connection: its row is claimed under a lease before the upload. A
crash after the upload and before the row says so leaves a file in the vault that nothing uses.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from domain.connections import ConnectionId, ConnectionState
from domain.errors import Unavailable
from domain.media import (
    BACKOFF,
    SOURCE_KEPT,
    MediaRefused,
    MediaUnavailable,
    host_of,
)
from domain.messages import RULES, Attachment, Delay, MessageId, Outcome, State
from domain.ports import (
    Account,
    FetchedMedia,
    Journal,
    MediaSource,
    PlatformAccounts,
    PlatformRefused,
    PlatformUnavailable,
    RoomUnavailable,
    WaitingRoom,
)
from domain.repositories import OpenUnitOfWork, Staging, StoredMedia, UnitOfWork
from domain.services.promises import Promises
from domain.services.rules import SendingRules
from domain.services.wake_ups import wake_up

PASS_LIMIT = 500
# Where the gateway takes uploads.
STAGES = (ConnectionState.ACTIVE, ConnectionState.PAUSED)
# While another worker uploads the same content.
UPLOADING = timedelta(seconds=2)
# A gateway that asks us to slow down uses no try.
SLOW_DOWN = timedelta(seconds=60)
# What an upload's lease has beyond its deadline.
LEASE_SLACK = timedelta(seconds=30)
# No further file is begun later than this after the task's start: SQS hands its message to another
# worker after 300 s.
BEGIN_WITHIN = timedelta(seconds=60)


class Pause(Enum):
    """Why staging ends without a result this time, though nothing failed."""

    ELSEWHERE = "elsewhere"  # another worker uploads one of the files
    TIME = "time"  # the task has run long enough


@dataclass(frozen=True)
class Vault:
    """Where files go: an account's own."""

    connection_id: ConnectionId
    account: Account


@dataclass(frozen=True)
class Ready:
    """A file in the vault."""

    kind: str
    vault_id: str


class FileRefused(Exception):
    """One of the message's files will never do; the text is for people."""


class MediaService:
    """Puts the media of held messages into their account's vault."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        source: MediaSource,
        accounts: PlatformAccounts,
        room: WaitingRoom,
        rules: SendingRules,
        journal: Journal,
        upload_deadline: timedelta = timedelta(seconds=60),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_unit_of_work
        self._source = source
        self._accounts = accounts
        self._room = room
        self._rules = rules
        self._journal = journal
        self._upload_deadline = upload_deadline
        self._now = now
        self._monotonic = monotonic

    def wake_overdue(self) -> int:
        """Announce held messages again whose event got lost, or whose next try is due."""
        if not self._rules.enabled:
            return 0
        with self._open() as work:
            overdue = work.media.overdue(PASS_LIMIT)
            for message in overdue:
                work.emit(wake_up(message))
            work.commit()
        return len(overdue)

    def stage(self, message_id: MessageId) -> None:
        """Put a held message's files into the vault and let it go. Run twice, or by two workers at
        once, it uploads nothing twice; run for a message that is not held, it does nothing."""
        if not self._rules.enabled:
            return  # It waits; once sending is on, the sweep finds its wake-up overdue.
        with self._open() as work:
            staging = work.media.take(message_id, self._lease() + BEGIN_WITHIN)
            work.commit()
        if staging is None:
            return
        try:
            attachments = self._files(vault_of(staging), staging.message.attachments)
        except FileRefused as problem:
            self._fail(staging, "media_refused", str(problem))
        except MediaUnavailable as problem:
            self._try_later(staging, str(problem))
        except PlatformUnavailable:
            self._try_later(staging, "the platform did not take the file")
        except PlatformRefused as problem:
            self._platform_refused(staging, problem)
        except Unavailable:
            raise  # The database is away: nothing is known, and no try is used.
        except Exception as problem:  # noqa: BLE001  # a fault of ours must not loop for ever
            self._journal.alert(
                "staging_failed",
                messageId=str(staging.message.public_id),
                error=type(problem).__name__,
            )
            self._try_later(staging, "something went wrong on our side")
        else:
            if isinstance(attachments, Pause):
                self._come_back(staging, attachments)
            else:
                self._let_go(staging, attachments)

    def shelve(
        self, connection_id: ConnectionId, attachments: Sequence[Attachment]
    ) -> Sequence[Attachment] | None:
        """The attachments with their ids in one account's vault, put there if they are not there
        yet; None when that has to wait. Raises FileRefused for one that will never do, and
        MediaUnavailable and PlatformUnavailable, after which another try may succeed."""
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
            if connection is None or connection.state not in STAGES:
                return None
            account = work.accounts.of(connection_id)
        try:
            found = self._files(Vault(connection_id, account), attachments)
        except PlatformRefused as problem:
            if problem.outcome is Outcome.REFUSED:
                raise FileRefused(f"the platform: {problem.detail}") from problem
            self._pause(connection_id, problem)
            return None
        return None if isinstance(found, Pause) else found

    def _pause(self, connection_id: ConnectionId, problem: PlatformRefused) -> None:
        """A lost login or empty credits pause the connection; the room is told later."""
        pauses = RULES[problem.outcome].pauses
        if pauses is not None:
            with self._open() as work:
                work.connections.set_state(connection_id, pauses, problem.detail)
                work.commit()

    def _lease(self) -> timedelta:
        """How long one file may take from its first byte here to its id in the vault."""
        return 2 * self._upload_deadline + LEASE_SLACK

    # One file after another

    def _files(
        self, vault: Vault, attachments: Sequence[Attachment]
    ) -> Sequence[Attachment] | Pause:
        """The attachments with their vault ids."""
        started = self._monotonic()
        ready: dict[str, Ready] = {}
        elsewhere = False
        for number, attachment in enumerate(attachments, start=1):
            url = attachment.url
            if url in ready:
                continue
            if self._monotonic() - started > BEGIN_WITHIN.total_seconds():
                return Pause.TIME
            found = self._file(vault, url, number)
            if found is None:
                elsewhere = True
            else:
                ready[url] = found
        if elsewhere:
            return Pause.ELSEWHERE
        return [
            replace(one, type=ready[one.url].kind, media_id=ready[one.url].vault_id)
            for one in attachments
        ]

    def _file(self, vault: Vault, url: str, number: int) -> Ready | None:
        """One file in the vault; None while another worker puts it there."""
        connection_id = vault.connection_id
        url_hash = hashlib.sha256(url.encode()).hexdigest()
        with self._open() as work:
            known = work.media.known(connection_id, url_hash, SOURCE_KEPT)
        if known is not None:
            return _ready(known)
        try:
            with self._source.fetch(url) as fetched:
                with self._open() as work:
                    media = work.media.claim(
                        connection_id,
                        fetched.content_hash,
                        fetched.kind,
                        fetched.size,
                        self._upload_deadline + LEASE_SLACK,
                    )
                    work.media.remember(connection_id, url_hash, media.id)
                    work.commit()
                return _ready(media) if media.lease is None else self._put(vault, media, fetched)
        except MediaRefused as problem:
            self._journal.note("media_refused", host=host_of(url), fault=problem.fault.name.lower())
            raise FileRefused(f"file {number}: {problem.fault}") from problem
        except MediaUnavailable as problem:
            self._journal.note("media_unavailable", host=host_of(url))
            raise MediaUnavailable(f"file {number}: {problem}") from problem

    def _put(self, vault: Vault, media: StoredMedia, fetched: FetchedMedia) -> Ready:
        """Upload a file whose lease is ours."""
        try:
            vault_id = self._accounts.upload(
                vault.account, fetched.file, fetched.name, self._upload_deadline
            )
        except (PlatformRefused, PlatformUnavailable):
            with self._open() as work:
                work.media.give_up(media)
                work.commit()
            raise
        with self._open() as work:
            work.media.stored(media.id, vault_id)
            work.commit()
        self._journal.note(
            "media_stored",
            connectionId=vault.connection_id,
            mediaId=media.id,
            kind=fetched.kind,
            bytes=fetched.size,
        )
        return Ready(media.kind, vault_id)

    # What becomes of the message

    def _let_go(self, staging: Staging, attachments: Sequence[Attachment]) -> None:
        with self._open() as work:
            connection = work.connections.lock(staging.message.connection_id)
            message = work.messages.lock(staging.message.owner_id, staging.message.public_id)
            if message is None:
                return
            leaves = Promises(work, self._room, self._rules, self._now()).late(connection, message)
            late = leaves and message.promised_at and leaves > message.promised_at
            freed = work.media.staged(
                message,
                attachments,
                promised_at=leaves,
                delay=Delay.RETRY if late else None,
                wake_in=self._rules.wake_after,
            )
            if not freed:
                return  # Cancelled meanwhile, or another worker was faster.
            work.emit(wake_up(replace(message, hold=None)))
            work.commit()
        self._journal.note(
            "message_staged", messageId=str(message.public_id), files=len(attachments)
        )

    def _fail(self, staging: Staging, code: str, detail: str) -> None:
        with self._open() as work:
            if not self._still_held(work, staging):
                return
            work.messages.move(staging.message, State.FAILED, error_code=code, error_detail=detail)
            work.commit()
        self._journal.note(
            "message_media_failed", messageId=str(staging.message.public_id), code=code
        )

    def _try_later(self, staging: Staging, detail: str) -> None:
        tries = staging.message.wake_tries
        if tries >= len(BACKOFF):
            self._fail(staging, "media_unavailable", detail)
            return
        with self._open() as work:
            if self._still_held(work, staging):
                work.queue.refused([staging.message.id], BACKOFF[tries])
            work.commit()

    def _come_back(self, staging: Staging, pause: Pause) -> None:
        """No try is used: soon where another worker is busy, at once where only time ran out."""
        with self._open() as work:
            if self._still_held(work, staging):
                if pause is Pause.TIME:
                    work.emit(wake_up(staging.message))
                else:
                    work.queue.wake([staging.message.id], UPLOADING)
            work.commit()

    @staticmethod
    def _still_held(work: UnitOfWork, staging: Staging) -> bool:
        """Lock the row; False when it was cancelled, or let go by another worker, meanwhile."""
        return work.media.take(staging.message.id, LEASE_SLACK) is not None

    def _platform_refused(self, staging: Staging, problem: PlatformRefused) -> None:
        """As with a send: a lost login or empty credits pause the connection, nothing is lost."""
        if problem.outcome is Outcome.REFUSED:
            self._fail(staging, "media_refused", f"the platform: {problem.detail}")
            return
        pauses = RULES[problem.outcome].pauses
        with self._open() as work:
            if pauses:
                work.connections.set_state(staging.message.connection_id, pauses, problem.detail)
            if self._still_held(work, staging):
                work.queue.wake([staging.message.id], timedelta(0) if pauses else SLOW_DOWN)
            connection = work.connections.by_id(staging.message.connection_id)
            work.commit()
        if pauses and connection is not None:
            # A room that does not hear it hands out permits, which the claim refuses.
            with contextlib.suppress(RoomUnavailable):
                self._room.admit(self._rules.pace(connection), [])


def vault_of(staging: Staging) -> Vault:
    """The vault of the message's account."""
    account = Account(staging.account_id, staging.access_key)
    return Vault(staging.message.connection_id, account)


def _ready(media: StoredMedia) -> Ready | None:
    return Ready(media.kind, media.vault_id) if media.vault_id else None
