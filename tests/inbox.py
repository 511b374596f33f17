"""Conversations and messages as rows, for tests of the inbox."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from domain.messages import Outcome
from domain.ports import Account, PlatformRefused, PlatformUnavailable
from tests.crm import Crm

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


class Inbox:
    """Writes rows as workers and webhooks would."""

    def __init__(self, crm: Crm) -> None:
        self.crm = crm

    def conversation(self, fan: int | None = None, **columns: object) -> int:
        fan = fan or self.crm.fan()
        [owner] = self.crm.sql("SELECT user_id, connection_id FROM fans WHERE id = :fan", fan=fan)
        row: dict[str, object] = {
            "user_id": owner.user_id,
            "fan_id": fan,
            "connection_id": owner.connection_id,
            "last_message_at": START,
            "is_direct": True,
        } | columns
        return self._insert("conversations", row)

    def message(self, conversation: int, text: str = "Hello!", **columns: object) -> int:
        """A message of the fan's, unless told otherwise; the conversation's row follows."""
        [talk] = self.crm.sql("SELECT * FROM conversations WHERE id = :id", id=conversation)
        row: dict[str, object] = {
            "public_id": uuid4(),
            "user_id": talk.user_id,
            "connection_id": talk.connection_id,
            "conversation_id": conversation,
            "fan_id": talk.fan_id,
            "direction": "in",
            "text": text,
            "created_at": START,
        } | columns
        if row["direction"] == "out":
            row = {"state": "sent", "queued_at": row["created_at"]} | row
        made = self._insert("messages", row)
        self.crm.sql(
            """
            UPDATE conversations SET
              last_direction = CASE WHEN :at >= last_message_at THEN :direction
                ELSE last_direction END,
              last_message_at = greatest(last_message_at, :at),
              unread_count = (SELECT count(*) FROM messages WHERE conversation_id = :id
                AND direction = 'in' AND NOT read)
            WHERE id = :id
            """,
            id=conversation,
            at=row["created_at"],
            direction=row["direction"],
        )
        return made

    def sent(self, conversation: int, text: str = "Hi", **columns: object) -> UUID:
        """A message of ours that stands in the chat; returns its messageId."""
        row = {"public_id": uuid4(), "platform_message_id": str(uuid4()), "state": "sent"}
        row |= {"sent_at": datetime.now(UTC)} | columns
        self.message(conversation, text, direction="out", **row)
        return UUID(str(row["public_id"]))

    def _insert(self, table: str, row: dict[str, object]) -> int:
        names, marks = ", ".join(row), ", ".join(f":{one}" for one in row)
        [made] = self.crm.sql(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", **row)
        return int(made.id)


class Chats:
    """The two calls of PlatformAccounts that the inbox makes, kept in `calls`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.refuses: Outcome | None = None
        self.is_away = False

    def mark_read(self, account: Account, platform_user_id: str, deadline: timedelta) -> None:
        self._call("mark_read", account.account_id, platform_user_id)

    def unsend(
        self, account: Account, platform_user_id: str, message_id: str, deadline: timedelta
    ) -> None:
        self._call("unsend", account.account_id, platform_user_id, message_id)

    def _call(self, *call: str) -> None:
        self.calls.append(call)
        if self.is_away:
            raise PlatformUnavailable("scripted")
        if self.refuses:
            raise PlatformRefused(self.refuses, "scripted")
