"""What a request leaves in the log."""

from flask import g, request

from api.auth import caller, known_caller
from api.context import services
from domain.services.results import SendResult


def message_queued(result: SendResult, recipient_id: str) -> None:
    """A message was accepted; nothing for a repeated request. Who reads these lines knows exactly
    their eight keys: the correlation id stands in the request's own line, with the same message."""
    if result.replayed:
        return
    g.message_id = str(result.message_id)
    services().journal.note(
        "message_queued",
        messageId=g.message_id,
        userId=str(caller().owner_id),
        recipientId=recipient_id,
        queueDepth=services().monitoring.queue_depth(caller()),
    )


def http_request(route: str, status: int, seconds: float) -> None:
    """A request was answered."""
    user = known_caller()
    services().journal.note(
        "http_request",
        method=request.method[:16],
        route=route,
        status=status,
        durationMs=round(seconds * 1000, 1),
        userId=str(user.user_id) if user else None,
        requestId=g.request_id,
        **({"messageId": g.message_id} if "message_id" in g else {}),
    )
