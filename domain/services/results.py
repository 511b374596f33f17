"""What became of a request to send, also as the text that an Idempotency-Key brings back."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.messages import Message, PublicId


@dataclass(frozen=True)
class SendResult:
    """What became of one request to send. `status` is `queued` or `failed`; with `error` nothing
    was stored. `replayed` says that an Idempotency-Key brought back an earlier answer."""

    message_id: PublicId | None
    status: str
    queued_at: datetime | None = None
    estimated_send_at: datetime | None = None
    error: str | None = None
    replayed: bool = False


REFUSED = SendResult(None, "failed")


def queued(message: Message) -> SendResult:
    return SendResult(
        message.public_id, message.state, message.queued_at, message.estimated_send_at
    )


def result_text(result: SendResult) -> str:
    def stamp(moment: datetime | None) -> str | None:
        return moment.isoformat() if moment else None

    return json.dumps(
        [
            str(result.message_id),
            result.status,
            stamp(result.queued_at),
            stamp(result.estimated_send_at),
        ]
    )


def result_from(text: str) -> SendResult:
    message_id, status, queued_at, estimate = json.loads(text)
    return SendResult(
        PublicId(UUID(message_id)),
        status,
        datetime.fromisoformat(queued_at) if queued_at else None,
        datetime.fromisoformat(estimate) if estimate else None,
        replayed=True,
    )
