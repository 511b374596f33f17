"""Two rows of one message become one: the platform told of it before we knew that it is ours."""

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.messages import MessageId

# What the platform told of a message before we knew that it is ours.
DOUBLE = sql(
    """
    SELECT id, opened_at, purchased_at, deleted_at FROM messages
    WHERE connection_id = :connection_id AND platform_message_id = :platform_id
      AND origin = 'platform' AND direction = 'out' AND id <> :id
    FOR UPDATE
    """
)
MERGE_DOUBLE = (
    sql("UPDATE transactions SET message_id = :id WHERE message_id = :double"),
    sql("DELETE FROM messages WHERE id = :double"),
    sql(
        """
        UPDATE messages SET opened_at = coalesce(opened_at, :opened_at),
          purchased_at = coalesce(purchased_at, :purchased_at),
          deleted_at = coalesce(deleted_at, :deleted_at)
        WHERE id = :id
        """
    ),
)
CLAIM_ID = sql(
    """
    UPDATE messages m SET
      platform_message_id = :platform_id,
      state = CASE WHEN m.deleted_at IS NOT NULL AND m.state IN ('sent', 'delivered') THEN 'unsent'
                   WHEN :told AND m.state = 'sent' THEN 'delivered' ELSE m.state END
    WHERE m.id = :id AND m.platform_message_id IS DISTINCT FROM :platform_id AND NOT EXISTS (
      SELECT FROM messages other
      WHERE other.connection_id = :connection_id AND other.platform_message_id = :platform_id)
    """
)


def claim_id(
    session: Session, connection_id: ConnectionId, message_id: MessageId, platform_id: str
) -> None:
    """Take the id that the platform answered with, and what else it told of that message."""
    told = take_over(session, connection_id, message_id, platform_id)
    names = {"id": message_id, "connection_id": connection_id, "platform_id": platform_id}
    session.execute(CLAIM_ID, {**names, "told": told})


def take_over(
    session: Session, connection_id: ConnectionId, message_id: MessageId, platform_id: str
) -> bool:
    """Make the row that the platform's word alone created part of this message; False when there
    is none."""
    names = {"id": message_id, "connection_id": connection_id, "platform_id": platform_id}
    double = session.execute(DOUBLE, names).one_or_none()
    if double is None:
        return False
    facts = {
        "id": message_id,
        "double": double.id,
        "opened_at": double.opened_at,
        "purchased_at": double.purchased_at,
        "deleted_at": double.deleted_at,
    }
    for statement in MERGE_DOUBLE:
        session.execute(statement, facts)
    return True
