"""What became of one message, and why it still waits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domain import notices
from domain.errors import NotFound
from domain.messages import Attempt, Message, State
from domain.pacing import BucketView
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import OpenUnitOfWork
from domain.services.promises import instant
from domain.services.rules import SendingRules
from domain.services.wake_ups import waiting
from domain.users import OwnerId


@dataclass(frozen=True)
class MessageReport:
    """Everything a user may ask about one message."""

    message: Message
    wait: notices.Wait | None
    notice: notices.Notice | None
    attempts: Sequence[Attempt]


class ReportReader:
    """Reads a message's row with its place in the waiting room."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, room: WaitingRoom, rules: SendingRules
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._rules = rules

    def read(self, owner_id: OwnerId, public_id: UUID) -> MessageReport:
        """State, promise, why it waits and its attempts; raises NotFound."""
        with self._open() as work:
            message = work.messages.get(owner_id, public_id)
            if message is None:
                raise NotFound("no such message")
            attempts = work.messages.attempts(message.id)
            connection = work.connections.by_id(message.connection_id)
            campaign_id = message.campaign_id
            campaign = work.campaigns.standing(campaign_id) if campaign_id else None
        assert connection is not None
        view, place = self._look(message)
        ahead = None
        if place:
            ahead, slot_ms = place
            message = replace(message, estimated_send_at=instant(slot_ms))
        wait = notices.explain_wait(
            message, connection, view, ahead, enabled=self._rules.enabled, campaign=campaign
        )
        notice = notices.notice_of(message, wait)
        return MessageReport(message, wait, notice, attempts)

    def _look(self, message: Message) -> tuple[BucketView | None, tuple[int, float] | None]:
        """The bucket, and how many go before this message and its slot, as it is now."""
        if message.state is not State.QUEUED:
            return None, None
        try:
            [view] = self._room.view([message.connection_id])
            return view, self._room.place(message.connection_id, waiting(message))
        except RoomUnavailable:
            return None, None
