"""The inbox: conversations, what stands beside one, and writing in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.connections import ConnectionId
from domain.conversations import (
    BUILT_IN,
    Conversation,
    ConversationFilter,
    ConversationId,
    FanPanel,
    VaultFile,
)
from domain.errors import Conflict, NotFound
from domain.fans import Fan, FanId, recipient_id
from domain.messages import Draft
from domain.paging import Page
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.services.messages import MessageService
from domain.services.results import SendResult
from domain.services.threads import ThreadService, as_accepted
from domain.threads import Bubble
from domain.users import Caller, OwnerId, Permission


@dataclass(frozen=True)
class Opened:
    """A conversation with the panel beside it."""

    conversation: Conversation
    panel: FanPanel


class ConversationService:
    """The use cases of conversations."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, messages: MessageService, threads: ThreadService
    ) -> None:
        self._open = open_unit_of_work
        self._messages = messages
        self._threads = threads

    def list_conversations(
        self,
        caller: Caller,
        asked: ConversationFilter,
        limit: int,
        cursor: str | None,
        now: datetime,
        *,
        view: str | None = None,
        until: str | None = None,
    ) -> Page[Conversation]:
        """The one with the newest message first. `view` is a saved view's id or the name of a
        built-in one; what is asked beside it wins. `until` is a cursor too: the list ends there.
        Raises NotFound and Invalid."""
        caller.require(Permission.READ)
        with self._open() as work:
            chosen = asked if view is None else asked.over(self._view(work, caller.owner_id, view))
            return work.conversations.page(
                caller.owner_id, chosen.checked(), limit, cursor, now, until=until
            )

    @staticmethod
    def _view(work: UnitOfWork, owner_id: OwnerId, view: str) -> ConversationFilter:
        if view in BUILT_IN:
            return BUILT_IN[view]
        is_id = view.isascii() and view.isdigit() and len(view) <= 18
        found = work.saved_views.get(owner_id, int(view)) if is_id else None
        if found is None:
            raise NotFound("no such view")
        return found.filter

    def open(self, caller: Caller, conversation_id: ConversationId) -> Opened:
        """One conversation and its fan panel; raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            found = work.conversations.get(caller.owner_id, conversation_id)
            if found is None:
                raise NotFound("no such conversation")
            panel = work.conversations.panel(caller.owner_id, found.fan.id)
        if not caller.may(Permission.MONEY):
            panel = replace(panel, gross_cents=None, net_cents=None)
        return Opened(found, panel)

    def files(
        self, caller: Caller, conversation_id: ConversationId, limit: int
    ) -> tuple[Sequence[VaultFile], FanPanel]:
        """What this conversation's account has sent of late to anybody, and the fan's panel, which
        tells what of it the fan has had. Raises NotFound."""
        opened = self.open(caller, conversation_id)
        return self.files_of(caller, opened.conversation.connection_id, limit), opened.panel

    def files_of(
        self, caller: Caller, connection_id: ConnectionId, limit: int
    ) -> Sequence[VaultFile]:
        """What one of the caller's accounts has sent of late, the newest first."""
        caller.require(Permission.SEND)
        with self._open() as work:
            return work.conversations.files(caller.owner_id, connection_id, limit)

    def send(
        self,
        caller: Caller,
        conversation_id: ConversationId,
        draft: Draft,
        now: datetime,
        once: Once | None = None,
    ) -> tuple[Bubble, SendResult]:
        """Accept a message to the fan of this conversation, as `MessageService.send_message` does.

        Raises its errors, and Conflict when the fan is deleted or writes through another account
        by now."""
        caller.require(Permission.SEND)
        result = self._messages.send_to(
            caller, self._addressee(caller, conversation_id), draft, now, once
        )
        assert result.message_id is not None
        bubble = self._threads.bubble(caller, result.message_id, now)
        return as_accepted(bubble, result.estimated_send_at), result

    def _addressee(
        self, caller: Caller, conversation_id: ConversationId
    ) -> Callable[[UnitOfWork], Fan]:
        def find(work: UnitOfWork) -> Fan:
            fan_id = work.conversations.addressee(caller.owner_id, conversation_id)
            if fan_id is None:
                raise NotFound("no such conversation")
            fan = self._reachable(work, caller.owner_id, fan_id)
            if work.fans.conversation(fan) != conversation_id:
                raise Conflict(
                    "this fan is linked to another account by now: write in that conversation",
                    code="fan_not_linked",
                )
            return fan

        return find

    def _reachable(self, work: UnitOfWork, owner_id: OwnerId, fan_id: FanId) -> Fan:
        try:
            return self._messages.addressee(work, owner_id, recipient_id(fan_id))
        except NotFound:
            raise Conflict(
                "this fan is deleted: restore the fan first", code="fan_deleted"
            ) from None
