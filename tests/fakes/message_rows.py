"""What the fakes of messages and of the queue share."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain.connections import ConnectionId
from domain.messages import (
    Message,
    State,
)
from tests.fakes.tables import Session

CALLED = {State.SENDING, State.UNKNOWN}
MAY_BE_DEAD = {State.QUEUED, State.SENDING, State.UNKNOWN, State.FAILED}
WORKING = timedelta(seconds=60)
TOLERANCE = timedelta(seconds=2)


class Rows:
    """The message rows of one session, and how they change."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def _all(self) -> list[Message]:
        return list(self._session.rows.messages.values())

    def _change(self, message: Message, **changes: object) -> Message:
        changed = replace(message, **changes)
        self._session.write().messages[message.id] = changed
        return changed

    def _due(self, wake_in: timedelta | None) -> datetime | None:
        return None if wake_in is None else self._session.now + wake_in

    def holds_platform_id(
        self, connection_id: ConnectionId, platform_ids: Sequence[str]
    ) -> frozenset[str]:
        return frozenset(
            one.platform_message_id
            for one in self._all
            if one.connection_id == connection_id
            and one.platform_message_id is not None
            and one.platform_message_id in platform_ids
        )
