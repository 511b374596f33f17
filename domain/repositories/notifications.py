"""Notifications: raised and resolved by the repositories whose rows they tell of."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from domain.notifications import Notification, NotificationId, Unseen
from domain.paging import Page
from domain.users import Caller, OwnerId


class NotificationRepository(Protocol):
    """A team's notifications, and up to where each member has seen them.

    They are written with the commit that made them true: by messages (failed, or unknown for a
    person), connections (paused by the platform, failing), campaigns (paused by themselves, failed)
    and imports (failed). One that is resolved stays in the list and says so."""

    def page(
        self, owner_id: OwnerId, limit: int, cursor: str | None, *, is_open: bool | None
    ) -> Page[Notification]:
        """Newest first; `is_open` leaves out those that are resolved, or those that are not.
        Raises Invalid for a cursor that is none of ours."""
        ...

    def failed(
        self, owner_id: OwnerId, notification_id: NotificationId, limit: int
    ) -> Sequence[UUID] | None:
        """Its direct messages that stand as failed, oldest first; None when there is no such."""
        ...

    def unseen(self, caller: Caller) -> Unseen:
        """Cheap enough for every page: it counts no further than UNSEEN_MAX."""
        ...

    def see(self, caller: Caller, up_to: NotificationId) -> None:
        """Remember that this user has seen everything up to there; never less than before."""
        ...

    def resolve(self, limit: int) -> int:
        """Mark those none of whose messages stands as failed any more; returns how many."""
        ...
