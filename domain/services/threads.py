"""Reading messages: a thread, a search across conversations, and what changed since a look."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain import notices
from domain.connections import Connection, ConnectionId
from domain.conversations import Conversation, ConversationId
from domain.errors import FieldProblem, Invalid, NotFound
from domain.messages import State
from domain.pacing import BucketView
from domain.paging import Page
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import OpenUnitOfWork, UnitOfWork
from domain.services.rules import SendingRules
from domain.threads import Bubble, MessageFilter, Stretch, ThreadMessage
from domain.users import Caller, Permission

# What one poll tells at most of each kind.
CHANGES_MAX = 500
NOW = "now"


@dataclass(frozen=True)
class Thread:
    """A part of a thread, ready to be shown."""

    bubbles: Sequence[Bubble]
    stretch: Stretch


@dataclass(frozen=True)
class News:
    """What changed, ready to be shown, and the token to ask with next."""

    bubbles: Sequence[Bubble]
    conversations: Sequence[Conversation]
    token: str
    is_more: bool


class ThreadService:
    """The use cases of reading messages."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, room: WaitingRoom, rules: SendingRules
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._rules = rules

    def read(
        self,
        caller: Caller,
        conversation_id: ConversationId,
        limit: int,
        now: datetime,
        *,
        cursor: str | None = None,
        after: str | None = None,
        around: str | None = None,
    ) -> Thread:
        """The newest messages, those before `cursor`, those behind `after`, or those on both sides
        of the message `around` (its id or messageId). Raises NotFound and Invalid."""
        caller.require(Permission.READ)
        if sum(one is not None for one in (cursor, after, around)) > 1:
            raise Invalid(FieldProblem("cursor", "use one of cursor, after and around"))
        owner = caller.owner_id
        with self._open() as work:
            if work.conversations.addressee(owner, conversation_id) is None:
                raise NotFound("no such conversation")
            if around is not None:
                stretch = self._around(work, caller, conversation_id, limit, around)
            elif after is not None:
                stretch = work.threads.after(owner, conversation_id, limit, after)
            else:
                stretch = work.threads.newest(owner, conversation_id, limit, cursor)
            connections = self._connections(work, stretch.messages)
        return Thread(self._bubbles(stretch.messages, connections, now), stretch)

    @staticmethod
    def _around(
        work: UnitOfWork, caller: Caller, conversation_id: ConversationId, limit: int, around: str
    ) -> Stretch:
        found = work.threads.find(caller.owner_id, message_key(around))
        if found is not None:
            stretch = work.threads.around(caller.owner_id, conversation_id, limit, found.id)
            if stretch is not None:
                return stretch
        raise NotFound("no such message in this conversation")

    def list_messages(
        self, caller: Caller, asked: MessageFilter, limit: int, cursor: str | None, now: datetime
    ) -> tuple[Sequence[Bubble], Page[ThreadMessage]]:
        """Messages of all conversations, newest first; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            page = work.threads.page(caller.owner_id, asked, limit, cursor)
            connections = self._connections(work, page.items)
        return self._bubbles(page.items, connections, now), page

    def changes(self, caller: Caller, since: str, now: datetime) -> News:
        """What changed since a token of ours; `now` gives a first token. Raises Invalid."""
        caller.require(Permission.READ)
        with self._open() as work:
            if since == NOW:
                return News([], [], work.threads.token(), is_more=False)
            found = work.threads.changes(caller.owner_id, since, CHANGES_MAX)
            connections = self._connections(work, found.messages)
        bubbles = self._bubbles(found.messages, connections, now)
        return News(bubbles, found.conversations, found.token, found.is_more)

    def bubble(self, caller: Caller, public_id: UUID, now: datetime) -> Bubble:
        """One message; raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            found = work.threads.find(caller.owner_id, public_id)
            if found is None:
                raise NotFound("no such message")
            connections = self._connections(work, [found])
        [bubble] = self._bubbles([found], connections, now)
        return bubble

    # Why a message waits

    @staticmethod
    def _connections(
        work: UnitOfWork, messages: Sequence[ThreadMessage]
    ) -> dict[ConnectionId, Connection]:
        """The accounts on which one of these messages waits."""
        waiting = {one.connection_id for one in messages if waits(one)}
        found = (work.connections.by_id(one) for one in sorted(waiting))
        return {one.id: one for one in found if one}

    def _bubbles(
        self,
        messages: Sequence[ThreadMessage],
        connections: dict[ConnectionId, Connection],
        now: datetime,
    ) -> Sequence[Bubble]:
        views = self._views(list(connections))
        return [self._bubble(one, connections, views, now) for one in messages]

    def _bubble(
        self,
        one: ThreadMessage,
        connections: dict[ConnectionId, Connection],
        views: dict[ConnectionId, BucketView],
        now: datetime,
    ) -> Bubble:
        can_unsend = not one.is_unsending and one.unsend_problem(now) is None
        if one.outgoing is None:
            return Bubble(one, None, None, can_unsend)
        wait = None
        if one.connection_id in connections:
            # How many go before it would cost a question to Redis for each: the message's own
            # page says it.
            wait = notices.explain_wait(
                one.outgoing,
                connections[one.connection_id],
                views.get(one.connection_id),
                None,
                enabled=self._rules.enabled,
            )
        return Bubble(one, wait, notices.notice_of(one.outgoing, wait), can_unsend)

    def _views(self, connection_ids: list[ConnectionId]) -> dict[ConnectionId, BucketView]:
        if not connection_ids:
            return {}
        try:
            seen = self._room.view(connection_ids)
        except RoomUnavailable:
            return {}
        return dict(zip(connection_ids, seen, strict=True))


def waits(one: ThreadMessage) -> bool:
    """Whether something must still happen before it is sent."""
    return one.outgoing is not None and one.outgoing.state in {
        State.QUEUED,
        State.SENDING,
        State.UNKNOWN,
    }


def message_key(text: str) -> int | UUID:
    """A message's id or messageId; raises NotFound for what is neither."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("no such message in this conversation") from None


def as_accepted(bubble: Bubble, estimate: datetime | None) -> Bubble:
    """The message as it stood when it was accepted: a repeated request gets the first answer,
    whatever became of the message meanwhile."""
    one = bubble.message
    assert one.outgoing is not None
    accepted = replace(
        one.outgoing,
        state=State.QUEUED,
        estimated_send_at=estimate,
        sent_at=None,
        delay=None,
        error_code=None,
    )
    first = replace(
        one,
        outgoing=accepted,
        opened_at=None,
        purchased_at=None,
        deleted_at=None,
        is_unsending=False,
    )
    return Bubble(first, None, notices.ACCEPTED, can_unsend=False)
