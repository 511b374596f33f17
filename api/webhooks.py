"""Where the platform's gateway delivers its webhooks.

A signature is the login here. Events are stored also while the product is off, so that nothing is
lost; without ONLYFANS_WEBHOOK_SECRET nobody can sign, and everything is refused."""

import re

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from api.bodies import IDEMPOTENCY_KEY, WEBHOOK_MAX, Routes
from api.context import services
from api.documents import problems
from api.errors import not_authenticated
from api.examples import webhooks as examples
from api.schemas import webhooks as schemas

webhooks = Routes("webhooks", __name__, url_prefix="/api/webhooks", tag="Webhooks")
SIGNATURE = re.compile(r"[0-9A-Fa-f]{64}")
HEADERS = [
    {
        "name": "Signature",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "pattern": f"^{SIGNATURE.pattern}$"},
        "description": "hex HMAC-SHA256 of the raw body with ONLYFANS_WEBHOOK_SECRET",
    },
    {
        "name": "X-OFAPI-Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "an event is stored once under its key; without one, under its body's hash",
    },
]
BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["event", "account_id"],
                "properties": {
                    "event": {"type": "string", "minLength": 1, "maxLength": 200},
                    "account_id": {"type": "string", "minLength": 1, "maxLength": 200},
                    "payload": {"type": "object"},
                },
            },
            "example": examples.MESSAGE_RECEIVED,
        }
    },
}


@webhooks.post("/onlyfans")
@webhooks.output(
    schemas.Received,
    example=examples.RECEIVED,
    description="Stored, known already, or of the moment only (somebody types)",
)
@webhooks.doc(
    summary="Take a webhook of the gateway's",
    description="At most 1 MiB. The signature is checked before anything is read. Repeated"
    " deliveries are answered alike and stored once; a worker makes rows of the event.",
    responses=problems(400, 401, 413, 422, 503),
    extensions={"parameters": HEADERS, "requestBody": BODY},
)
def receive() -> schemas.Received:
    body = request.get_data()
    if len(body) > WEBHOOK_MAX:  # A chunked body has no length before it is read.
        raise RequestEntityTooLarge
    if not services().inbound.genuine(body, request.headers.get("Signature")):
        raise not_authenticated()
    event_id = services().inbound.receive(
        body, _key("X-OFAPI-Idempotency-Key"), _key("X-OFAPI-Redelivery-Of")
    )
    if event_id is not None:
        services().journal.note("platform_event_received", eventId=event_id)
    return schemas.Received(received=True)


def _key(header: str) -> str | None:
    """A key that can be kept; any other counts as none."""
    value = request.headers.get(header, "")
    return value if IDEMPOTENCY_KEY.fullmatch(value) else None
