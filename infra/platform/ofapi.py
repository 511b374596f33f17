"""The Platform port on the OFAPI gateway. One request per send and no retry of any kind: what the
answer proves is judged in outcomes.py, what follows from it in `domain.messages.RULES`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

from domain.messages import Outcome
from domain.ports import (
    PlatformMessage,
    PlatformUnavailable,
    SendAnswer,
    SendRequest,
)
from infra.platform import ofapi_wire as wire
from infra.platform.deadline import NEVER_LEFT, NO_ANSWER
from infra.platform.gateway import Gateway
from infra.platform.ofapi_wire import plain_text
from infra.platform.outcomes import classify, parse

__all__ = ["OfapiPlatform", "plain_text"]

PAGE_SIZE = 100  # the gateway's maximum
PAGES_MAX = 10


class OfapiPlatform(Gateway):
    """The Platform port on the gateway."""

    def send(self, request: SendRequest, deadline: timedelta) -> SendAnswer:
        """Send one message. Never raises: what cannot be told is Outcome.UNCLEAR."""
        key = self._usable_key(request.access_key)
        if key is None:
            return SendAnswer(
                Outcome.AUTH_LOST,
                error_code="unusable_key",
                detail="There is no access key, or it holds characters that no key has.",
            )
        try:
            answer = self._http.call(
                "POST",
                self._messages_url(request.account_id, request.platform_user_id),
                {
                    **wire.request_headers(key),
                    "Content-Type": "application/json",
                    "Idempotency-Key": request.send_key,
                },
                _body(request),
                monotonic() + deadline.total_seconds(),
            )
        except NEVER_LEFT as problem:
            return SendAnswer(
                Outcome.UNREACHABLE,
                error_code=wire.error_code(problem),
                detail="The gateway cannot be reached; nothing was sent.",
            )
        except Exception as problem:  # noqa: BLE001  the port promises an outcome for anything
            return SendAnswer(
                Outcome.UNCLEAR,
                error_code=wire.error_code(problem),
                detail="The call ended without an answer that says whether the message was sent.",
            )
        return classify(answer.status, answer.headers, answer.body, datetime.now(UTC))

    def recent_messages(
        self,
        account_id: str,
        access_key: str | None,
        platform_user_id: str,
        *,
        newer_than: datetime,
        deadline: timedelta,
    ) -> Sequence[PlatformMessage]:
        """The chat's messages newer than an instant, newest first; raises PlatformUnavailable
        unless the list is complete back to that instant."""
        ends_at = monotonic() + deadline.total_seconds()
        key = self._usable_key(access_key)
        if key is None:
            raise PlatformUnavailable("unusable_key")
        headers = wire.request_headers(key)
        url = self._messages_url(account_id, platform_user_id)
        found: dict[str, PlatformMessage] = {}
        query: dict[str, str | int] = {"limit": PAGE_SIZE, "order": "desc"}
        for _ in range(PAGES_MAX):
            items, has_more = self._page(f"{url}?{urlencode(query)}", headers, ends_at)
            page = [_message(item, platform_user_id) for item in items]
            progress = any(message.id not in found for message in page)
            found.update((message.id, message) for message in page)
            if not has_more or any(message.created_at <= newer_than for message in page):
                newer = [m for m in found.values() if m.created_at > newer_than]
                return sorted(newer, key=lambda m: m.created_at, reverse=True)
            if not progress:
                raise PlatformUnavailable("the chat's pages do not lead on")
            query["last_id"] = page[-1].id
        raise PlatformUnavailable(f"the chat has more than {PAGES_MAX} pages since then")

    def _page(self, url: str, headers: dict[str, str], ends_at: float) -> tuple[list[Any], bool]:
        """One page of a chat, and whether there is another."""
        try:
            answer = self._http.call("GET", url, headers, None, ends_at)
        except NO_ANSWER as problem:
            raise PlatformUnavailable(wire.error_code(problem)) from problem
        top = parse(answer.body)
        if answer.status != 200 or not isinstance(top, dict):
            raise PlatformUnavailable(f"http_{answer.status}")
        try:
            items = wire.list_of(top)
        except TypeError as problem:
            raise PlatformUnavailable(str(problem)) from problem
        return items, wire.says_more(top) and bool(items)

    def _messages_url(self, account_id: str, platform_user_id: str) -> str:
        account, fan = quote(account_id, safe=""), quote(platform_user_id, safe="")
        return f"{self._base_url}/{account}/chats/{fan}/messages"


def _body(request: SendRequest) -> bytes:
    """The same bytes for the same message: the gateway compares them under one key."""
    fields: dict[str, object] = {"text": request.text, "blockBannedWords": "strict_ban"}
    if request.price_cents:
        fields["price"] = request.price_cents / 100
    if request.media_ids:
        # Ids of the vault are numbers on the wire, ids of uploads are words.
        fields["mediaFiles"] = [int(m) if m.isdecimal() else m for m in request.media_ids]
    return json.dumps(fields, separators=(",", ":")).encode()


def _message(item: Any, platform_user_id: str) -> PlatformMessage:
    try:
        return wire.message(item, platform_user_id)
    except wire.UNREADABLE as problem:
        raise PlatformUnavailable("a message in the chat cannot be read") from problem
