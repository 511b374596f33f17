"""The simulated platform's endpoints: those of the gateway below /api, its own below /_admin."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import Any

from infra.local.simulator_faults import (
    KINDS,
    BadFault,
    Fault,
    Faults,
    How,
    Kind,
    Reply,
    error_reply,
    json_reply,
    too_fast,
)
from infra.local.simulator_ledger import Delivery, KeyState, Ledger, Scope
from infra.local.simulator_page import page
from infra.local.simulator_wire import (
    chat_view,
    envelope,
    fan_view,
    key_problem,
    message_view,
    paged,
    problems_of,
)


@dataclass
class State:
    """All that the simulator knows and was told."""

    ledger: Ledger
    faults: Faults
    three_second_rule: bool = False
    latency_ms: float = 0


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
        return _let_out(reply, fault, how)

    def _accept(self, account: str, chat: str) -> tuple[Reply, Delivery | None]:
        """The usual answer, and the message if it was good."""
        fields = _json_object(self.body)
        problems = problems_of(fields)
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
            media=tuple(str(file) for file in fields.get("mediaFiles") or ()),
            key=self.key,
            received_at=self.arrived_at,
        )
        return json_reply(200, envelope(message_view(message))), message

    def list_messages(self, account: str, chat: str) -> Reply | Disturbed:
        messages = [message_view(m) for m in self.state.ledger.chat(account, chat)]
        return self._read(account, chat, paged(messages, self.query, self.path))

    def get_message(self, account: str, chat: str, number: str) -> Reply | Disturbed:
        for message in self.state.ledger.chat(account, chat):
            if str(message.id) == number:
                return self._read(account, chat, envelope(message_view(message)))
        return error_reply(404, "NOT_FOUND")

    def delete_message(self, account: str, chat: str, number: str) -> Reply:
        if number.isdecimal() and self.state.ledger.delete(
            account, chat, int(number), self.arrived_at
        ):
            return json_reply(200, envelope({"success": True}))
        return error_reply(404, "NOT_FOUND")

    def list_chats(self, account: str) -> Reply | Disturbed:
        chats = [chat_view(chat, last) for chat, last in self.state.ledger.chats(account)]
        return self._read(account, None, paged(chats, self.query, self.path))

    def list_active_fans(self, account: str) -> Reply | Disturbed:
        fans = [fan_view(chat) for chat, _ in self.state.ledger.chats(account)]
        return self._read(account, None, envelope(fans))

    def _read(self, account: str, chat: str | None, content: object) -> Reply | Disturbed:
        """A read, disturbed by the faults that are set on reads."""
        fault = self.state.faults.take(account, chat, "read")
        if fault is None:
            return json_reply(200, content)
        kind = KINDS[fault.kind]
        if kind.delays:
            fault.over.wait(fault.seconds)
        reply = kind.reply(fault) if kind.reply else json_reply(200, content)
        return _let_out(reply, fault, kind.how)

    def add_fault(self) -> Reply:
        try:
            fault = self.state.faults.add(_json_object(self.body))
        except BadFault as problem:
            return error_reply(422, "BAD_FAULT", str(problem))
        return json_reply(201, fault.as_json())

    def list_faults(self) -> Reply:
        return json_reply(200, [fault.as_json() for fault in self.state.faults.listed()])

    def clear_faults(self) -> Reply:
        self.state.faults.clear()
        return self.list_faults()

    def change_settings(self) -> Reply:
        state, fields = self.state, _json_object(self.body)
        state.three_second_rule = bool(fields.get("threeSecondRule", state.three_second_rule))
        state.latency_ms = float(fields.get("latencyMs", state.latency_ms))
        content = {"threeSecondRule": state.three_second_rule, "latencyMs": state.latency_ms}
        return json_reply(200, content)

    def show_ledger(self) -> Reply:
        deliveries = self.state.ledger.deliveries(self.query.get("account"))
        return json_reply(200, [delivery.as_json() for delivery in deliveries])

    def clear_ledger(self) -> Reply:
        self.state.ledger.clear()
        return json_reply(200, [])

    def add_inbound(self) -> Reply:
        """A fan writes: {account, chat, text}."""
        fields = _json_object(self.body)
        if not all(isinstance(fields.get(name), str) for name in ("account", "chat", "text")):
            return error_reply(422, "VALIDATION_ERROR", "give account, chat and text")
        message = self.state.ledger.add_inbound(
            fields["account"], fields["chat"], fields["text"], self.arrived_at
        )
        return json_reply(201, message.as_json())

    def health(self) -> Reply:
        return json_reply(200, {"status": "ok"})

    def page(self) -> Reply:
        html = page(self.state.ledger.deliveries(), self.state.faults.listed())
        return Reply(200, html.encode(errors="replace"), content_type="text/html; charset=utf-8")


def _let_out(reply: Reply | None, fault: Fault | None, how: How) -> Reply | Disturbed:
    if fault is not None and (reply is None or how is not How.ANSWER):
        return Disturbed(reply, fault, how)
    assert reply is not None  # without a fault there is always the usual answer
    return reply


def _json_object(body: bytes) -> dict[str, Any]:
    """The fields of a body; none if it is no JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


_ACCOUNT = "/api/([^/]+)"
_CHAT = _ACCOUNT + "/chats/([^/]+)"
_TABLE: tuple[tuple[str, str, Callable[..., Reply | Disturbed]], ...] = (
    ("POST", _CHAT + "/messages", Call.send_message),
    ("GET", _CHAT + "/messages", Call.list_messages),
    ("GET", _CHAT + "/messages/([^/]+)", Call.get_message),
    ("DELETE", _CHAT + "/messages/([^/]+)", Call.delete_message),
    ("GET", _ACCOUNT + "/chats", Call.list_chats),
    ("GET", _ACCOUNT + "/fans/active", Call.list_active_fans),
    ("POST", "/_admin/faults", Call.add_fault),
    ("GET", "/_admin/faults", Call.list_faults),
    ("DELETE", "/_admin/faults", Call.clear_faults),
    ("POST", "/_admin/settings", Call.change_settings),
    ("GET", "/_admin/ledger", Call.show_ledger),
    ("DELETE", "/_admin/ledger", Call.clear_ledger),
    ("POST", "/_admin/inbound", Call.add_inbound),
    ("GET", "/_admin/health", Call.health),
    ("GET", "/", Call.page),
)
ROUTES = tuple((method, re.compile(pattern), route) for method, pattern, route in _TABLE)
