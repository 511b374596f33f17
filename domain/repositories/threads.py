"""Messages as they are read: a thread, a search, and what changed."""

from typing import Protocol
from uuid import UUID

from domain.conversations import ConversationId
from domain.messages import MessageId
from domain.paging import Page
from domain.threads import Changes, MessageFilter, Stretch, ThreadMessage
from domain.users import OwnerId


class ThreadRepository(Protocol):
    """Messages of both directions. Cursors that are none of ours raise Invalid."""

    def newest(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, cursor: str | None
    ) -> Stretch:
        """The newest messages, or those before a cursor."""
        ...

    def after(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, cursor: str
    ) -> Stretch:
        """The messages that follow a cursor."""
        ...

    def around(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, message_id: MessageId
    ) -> Stretch | None:
        """The messages before and after one of them; None when it is not in this thread."""
        ...

    def find(self, owner_id: OwnerId, message: int | UUID) -> ThreadMessage | None:
        """One message by its id or public id."""
        ...

    def page(
        self, owner_id: OwnerId, asked: MessageFilter, limit: int, cursor: str | None
    ) -> Page[ThreadMessage]:
        """Across conversations, newest first. With `q`: messages that hold all its words, the last
        of them as the beginning of one; then the total is capped lower."""
        ...

    def token(self) -> str:
        """What `changes` takes to tell all that changes from now on."""
        ...

    def changes(self, owner_id: OwnerId, token: str, limit: int) -> Changes:
        """Rows changed since a token, committed late or not. The same token comes back when
        nothing changed. Raises Invalid for a token that is none of ours."""
        ...
