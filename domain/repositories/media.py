"""Media on their way into a connection's vault, and the messages that wait for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.connections import ConnectionId
from domain.media import MediaId
from domain.messages import Attachment, Delay, Message, MessageId


@dataclass(frozen=True)
class Staging:
    """A held message with its account's keys."""

    message: Message
    account_id: str
    access_key: str | None


@dataclass(frozen=True)
class StoredMedia:
    """A file of a connection, by its content; without `vault_id` it is not in the vault yet.
    With a `lease` the right to upload it is the caller's until then, and nobody else's."""

    id: MediaId
    kind: str
    vault_id: str | None
    lease: datetime | None = None


class MediaRepository(Protocol):
    """Rows of media and held messages. Leases and wake-ups run on the database's clock."""

    def overdue(self, limit: int) -> Sequence[Message]:
        """Held messages of connections that are active or paused by hand whose wake-up is due,
        oldest first; each is put off so that no second process takes it."""
        ...

    def take(self, message_id: MessageId, lease: timedelta) -> Staging | None:
        """A held message to work on, put off for `lease`; None when it waits for no media."""
        ...

    def known(
        self, connection_id: ConnectionId, url_hash: str, kept: timedelta
    ) -> StoredMedia | None:
        """What an address held when it was fetched for the connection in the last `kept`, if that
        is in the vault or just being uploaded."""
        ...

    def claim(
        self,
        connection_id: ConnectionId,
        content_hash: str,
        kind: str,
        size: int,
        lease: timedelta,
    ) -> StoredMedia:
        """The file with this content. Of any number of callers one gets the lease, until it is
        stored, given up, or the lease ran out."""
        ...

    def remember(self, connection_id: ConnectionId, url_hash: str, media_id: MediaId) -> None:
        """Note that this address held this file just now."""
        ...

    def stored(self, media_id: MediaId, vault_id: str) -> None:
        """It is in the vault. An id that was stored earlier stays."""
        ...

    def give_up(self, media: StoredMedia) -> None:
        """The upload failed: the next caller may try at once, unless one has the lease already."""
        ...

    def staged(
        self,
        message: Message,
        attachments: Sequence[Attachment],
        *,
        promised_at: datetime | None,
        delay: Delay | None,
        wake_in: timedelta,
    ) -> bool:
        """Let a held message go: its attachments carry their vault ids, `promised_at` becomes the
        estimate and, unless it was promised before, the promise; tries start anew. Rows that were
        promised a time and now go after it are OVERTAKEN. False when it is not held any more."""
        ...
