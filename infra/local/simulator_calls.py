"""The simulated platform's sends and chats, and what every endpoint has in its hands."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from threading import Timer
from time import sleep
from typing import Any

from infra.local.simulator_events import Events
from infra.local.simulator_faults import (
    KINDS,
    Fault,
    Faults,
    How,
    Kind,
    Reply,
    error_reply,
    json_reply,
    too_fast,
)
from infra.local.simulator_ledger import Delivery, KeyState, Ledger, Scope, clock
from infra.local.simulator_webhooks import Webhooks
from infra.local.simulator_wire import (
    banned_words,
    envelope,
    key_problem,
    message_view,
    paged,
    problems_of,
    says_banned,
)
from infra.local.simulator_world import World

# How long a send waits for its own webhook, when that is to come first.
TOLD_SECONDS = 5.0
ANSWER_SHARE = 0.4
ANSWERS = ("Haha 😄", "Thank you!", "Tell me more", "When is the next set?", "Love it 💛")


@dataclass
class State:
    """All that the simulator knows and was told.

    `sent_webhook` says when `messages.sent` comes: "before" the send's answer, or "after" it by
    `sent_delay` seconds. `fans_answer`: now and then one writes back. `listing_reads`: whoever
    lists a chat's messages has read them."""

    ledger: Ledger
    faults: Faults
    world: World
    webhooks: Webhooks
    three_second_rule: bool = False
    latency_ms: float = 0
    sent_webhook: str = "after"
    sent_delay: float = 0
    fans_answer: bool = False
    listing_reads: bool = False
    dice: Random = field(default_factory=Random)

    @property
    def events(self) -> Events:
        return Events(self.world, self.webhooks)

    def hear(self, account: str, chat: str, text: str, media: tuple[str, ...] = ()) -> Delivery:
        """A fan writes; it is in the chat, and told."""
        message = self.ledger.add_inbound(account, chat, text, clock(), media)
        self.events.message_received(message)
        return message


@dataclass(frozen=True)
class Disturbed:
    """An answer that goes out in a fault's way, or not at all."""

    reply: Reply | None
    fault: Fault
    how: How


@dataclass(frozen=True)
class Call:
    """One request; every endpoint is a method, with the path's parts as arguments."""

    state: State
    arrived_at: float
    path: str
    query: Mapping[str, str]
    key: str | None
    body: bytes
    content_type: str = ""

    def send_message(self, account: str, chat: str) -> Reply | Disturbed:
        """Keys first, as at the gateway: a replay meets neither faults nor the pace."""
        if self.key is None:
            return self._first_send(account, chat, None)
        if problem := key_problem(self.key):
            return error_reply(400, "IDEMPOTENCY_KEY_INVALID", problem)
        scope = Scope(account, self.key)
        fingerprint = hashlib.sha256(chat.encode() + b"\n" + self.body).hexdigest()
        key_state, stored = self.state.ledger.open_key(scope, fingerprint, self.arrived_at)
        if key_state is KeyState.MISMATCH:
            return error_reply(422, "IDEMPOTENCY_KEY_MISMATCH", "The key is of another call.")
        if key_state is KeyState.RUNNING:
            return error_reply(409, "IDEMPOTENCY_CONFLICT", "The first call still runs.")
        if stored is not None and stored.status is not None:
            return Reply(stored.status, stored.body.encode(), {"Idempotent-Replayed": "true"})
        return self._first_send(account, chat, scope)

    def _first_send(self, account: str, chat: str, scope: Scope | None) -> Reply | Disturbed:
        sleep(self.state.latency_ms / 1000)
        fault = self.state.faults.take(account, chat, "send")
        kind = KINDS[fault.kind] if fault else Kind(accepts=True)
        reply, message = None, None
        if fault and kind.delays:
            fault.over.wait(fault.seconds)
        if kind.accepts:
            reply, message = self._accept(account, chat)
        if fault and kind.reply and (message or not kind.accepts):
            reply = kind.reply(fault)
        how = kind.how
        if fault and how is How.HANG and message is None:
            fault.over.wait(fault.seconds)  # while the key counts as running
            how = How.DROP
        # The gateway keeps the first answer of a key, except those that promise nothing.
        if reply is None or reply.status >= 500 or reply.status in (408, 429):
            self.state.ledger.close_key(scope, message=message)
        else:
            self.state.ledger.close_key(scope, reply.status, reply.body.decode(), message)
        if message is not None:
            self._tell_sent(message)
        return _let_out(reply, fault, how)

    def _tell_sent(self, message: Delivery) -> None:
        state = self.state
        if state.sent_webhook == "before":
            state.events.message_sent(message).over.wait(TOLD_SECONDS)
        else:
            state.events.message_sent(message, after=state.sent_delay)
        if state.fans_answer and state.dice.random() < ANSWER_SHARE:
            words = state.dice.choice(ANSWERS)
            later = Timer(
                state.dice.uniform(2, 15), state.hear, (message.account, message.chat, words)
            )
            later.daemon = True
            later.start()

    def _accept(self, account: str, chat: str) -> tuple[Reply, Delivery | None]:
        """The usual answer, and the message if it was good."""
        fields = json_object(self.body)
        problems = problems_of(fields)
        if not problems and (words := banned_words(fields)):
            return json_reply(422, says_banned(words)), None
        media = () if problems else tuple(str(file) for file in fields.get("mediaFiles") or ())
        if unknown := self.state.world.use_media(account, media):
            problems["mediaFiles"] = [f"Unknown or used media: {', '.join(unknown)}."]
        if problems:
            content = {
                "error": "VALIDATION_ERROR",
                "message": "The given data was invalid.",
                "errors": problems,
            }
            return json_reply(422, content), None
        ledger = self.state.ledger
        if self.state.three_second_rule and ledger.too_soon(account, self.arrived_at, 3):
            return json_reply(429, too_fast()), None
        message = Delivery(
            id=ledger.new_id(),
            account=account,
            chat=chat,
            text=fields.get("text") or "",
            price=fields.get("price") or 0,
            media=media,
            key=self.key,
            received_at=self.arrived_at,
        )
        return json_reply(200, envelope(message_view(message, self.state.world))), message

    def list_messages(self, account: str, chat: str) -> Reply | Disturbed:
        found = self.state.ledger.chat(account, chat)
        messages = [message_view(message, self.state.world) for message in found]
        if self.state.listing_reads:
            self.state.world.mark_read(account, chat)
        return self.read(account, chat, paged(messages, self.query, self.path, by_id=True))

    def get_message(self, account: str, chat: str, number: str) -> Reply | Disturbed:
        for message in self.state.ledger.chat(account, chat):
            if str(message.id) == number:
                content = envelope(message_view(message, self.state.world))
                return self.read(account, chat, content)
        return error_reply(404, "NOT_FOUND")

    def delete_message(self, account: str, chat: str, number: str) -> Reply | Disturbed:
        if number.isdecimal() and self.state.ledger.delete(
            account, chat, int(number), self.arrived_at
        ):
            self.state.events.message_deleted(account, int(number))
            return self.write(account, chat, envelope({"success": True}))
        return error_reply(404, "NOT_FOUND")

    def read(self, account: str, chat: str | None, content: object) -> Reply | Disturbed:
        """A read, disturbed by the faults that are set on reads."""
        return self._usual(account, chat, content, "read")

    def write(self, account: str, chat: str | None, content: object) -> Reply | Disturbed:
        """A change that is no send, disturbed by the faults that are set on writes."""
        return self._usual(account, chat, content, "write")

    def _usual(self, account: str, chat: str | None, content: object, on: str) -> Reply | Disturbed:
        fault = self.state.faults.take(account, chat, on)
        if fault is None:
            return json_reply(200, content)
        kind = KINDS[fault.kind]
        if kind.delays:
            fault.over.wait(fault.seconds)
        reply = kind.reply(fault) if kind.reply else json_reply(200, content)
        return _let_out(reply, fault, kind.how)


def _let_out(reply: Reply | None, fault: Fault | None, how: How) -> Reply | Disturbed:
    if fault is not None and (reply is None or how is not How.ANSWER):
        return Disturbed(reply, fault, how)
    assert reply is not None  # without a fault there is always the usual answer
    return reply


def json_object(body: bytes) -> dict[str, Any]:
    """The fields of a body; none if it is no JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
