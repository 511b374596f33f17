"""Dead letters as response bodies."""

from api.schemas import dead_letters as schemas
from domain.dead_letters import DeadMessage


def dead_letter(one: DeadMessage) -> schemas.DeadLetterView:
    fault = f" ({one.reason})" if one.reason else ""
    return schemas.DeadLetterView(
        message_id=one.message.public_id,
        conversation_id=one.message.conversation_id,
        fan_id=one.message.fan_id,
        connection_id=one.message.connection_id,
        status=one.message.state,
        dead_at=one.dead_at,
        reason=f"its queue task failed five times{fault}",
        remedy=one.remedy,
        can_redrive=one.can_redrive,
    )
