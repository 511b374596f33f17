"""The badge and the list of every page: what failed, why, and what to do."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.errors import NotFound
from domain.notifications import Notification, NotificationId, Unseen
from domain.paging import Page
from domain.repositories import OpenUnitOfWork
from domain.users import Caller, Permission

RESOLVED_AT_ONCE = 200
SWEEP_SECONDS = 30.0


@dataclass(frozen=True)
class Notifications:
    """A page, and what the caller has not seen."""

    page: Page[Notification]
    unseen: Unseen


class NotificationService:
    """The use cases of notifications; they are raised where rows change."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._open = open_unit_of_work
        self._monotonic = monotonic
        self._sweeps_after = float("-inf")

    def list_notifications(
        self, caller: Caller, limit: int, cursor: str | None, *, is_open: bool | None = None
    ) -> Notifications:
        """A page of the team's, newest first; raises Invalid for a cursor that is none of ours."""
        caller.require(Permission.READ)
        with self._open() as work:
            page = work.notifications.page(caller.owner_id, limit, cursor, is_open=is_open)
            return Notifications(page, work.notifications.unseen(caller))

    def unseen(self, caller: Caller) -> Unseen:
        """The badge."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.notifications.unseen(caller)

    def failed_messages(
        self, caller: Caller, notification_id: NotificationId, limit: int
    ) -> Sequence[UUID]:
        """Its direct messages that stand as failed, oldest first; raises NotFound."""
        caller.require(Permission.SEND)
        with self._open() as work:
            found = work.notifications.failed(caller.owner_id, notification_id, limit)
        if found is None:
            raise NotFound("no such notification")
        return found

    def see(self, caller: Caller, up_to: NotificationId) -> Unseen:
        """Everything up to there was seen by the caller; others keep their badge."""
        caller.require(Permission.READ)
        with self._open() as work:
            work.notifications.see(caller, up_to)
            left = work.notifications.unseen(caller)
            work.commit()
        return left

    def sweep(self) -> int:
        """Mark what has been resolved, so that counting stays cheap; what is shown never waits for
        it. Between two passes that find nothing lies SWEEP_SECONDS: it looks at every open one."""
        if self._monotonic() < self._sweeps_after:
            return 0
        with self._open() as work:
            resolved = work.notifications.resolve(RESOLVED_AT_ONCE)
            work.commit()
        if not resolved:
            self._sweeps_after = self._monotonic() + SWEEP_SECONDS
        return resolved
