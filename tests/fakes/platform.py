"""A platform in memory that answers what a test scripts; held to the contract of the real adapter."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

from domain.messages import RULES, Outcome
from domain.ports import (
    PlatformMessage,
    PlatformUnavailable,
    SendAnswer,
    SendRequest,
)


@dataclass(frozen=True)
class Turn:
    """How one call goes. `delivers`: the fan gets the message whatever the answer says;
    `forgets`: the gateway keeps nothing under the key."""

    answer: SendAnswer
    delivers: bool = False
    forgets: bool = False


class FakePlatform:
    """Accepts every message, except as scripted. Replays under a key as the gateway does.

    `delivered` is what fans got, in order; `calls` every request that arrived, replays included.
    `during`, when set, runs inside every call, before the answer.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.calls: list[SendRequest] = []
        self.delivered: list[SendRequest] = []
        self.readable = True
        self.during: Callable[[SendRequest], None] | None = None
        self._now = now
        self._turns: deque[Turn] = deque()
        self._keys: dict[tuple[str, str], tuple[SendRequest, SendAnswer]] = {}
        self._chats: dict[tuple[str, str], list[PlatformMessage]] = {}
        self._ids = 0
        self._lock = Lock()

    def script(self, *turns: Turn | SendAnswer | Outcome) -> None:
        """The next calls that are no replays go like this, one after another."""
        for turn in turns:
            answer = SendAnswer(turn) if isinstance(turn, Outcome) else turn
            self._turns.append(answer if isinstance(answer, Turn) else Turn(answer))

    def unscript(self) -> None:
        """What was scripted and has not happened does not."""
        self._turns.clear()

    def hear(self, account_id: str, platform_user_id: str, text: str) -> PlatformMessage:
        """The fan writes."""
        with self._lock:
            return self._append(account_id, platform_user_id, text, from_us=False)

    def send(self, request: SendRequest, deadline: timedelta) -> SendAnswer:
        if self.during is not None:
            self.during(request)
        with self._lock:
            self.calls.append(request)
            scope = (request.account_id, request.send_key)
            if scope in self._keys:
                first, answer = self._keys[scope]
                if first != request:
                    return SendAnswer(Outcome.KEY_REJECTED, 422)
                return replace(answer, replayed=True)
            turn = self._turns.popleft() if self._turns else Turn(SendAnswer(Outcome.SENT))
            sent = None
            if turn.delivers or turn.answer.outcome is Outcome.SENT:
                sent = self._deliver(request)
            answer = sent if sent and turn.answer.outcome is Outcome.SENT else turn.answer
            kept = sent or (answer if RULES[answer.outcome].stored else None)
            if kept and not turn.forgets:
                self._keys[scope] = (request, kept)
            return answer

    def recent_messages(
        self,
        account_id: str,
        access_key: str | None,
        platform_user_id: str,
        *,
        newer_than: datetime,
        deadline: timedelta,
    ) -> Sequence[PlatformMessage]:
        if not self.readable:
            raise PlatformUnavailable("scripted")
        with self._lock:
            chat = self._chats.get((account_id, platform_user_id), [])
            return [message for message in reversed(chat) if message.created_at > newer_than]

    def _deliver(self, request: SendRequest) -> SendAnswer:
        self.delivered.append(request)
        message = self._append(
            request.account_id,
            request.platform_user_id,
            request.text,
            from_us=True,
            price_cents=request.price_cents or 0,
            media_count=len(request.media_ids),
        )
        return SendAnswer(Outcome.SENT, 200, platform_message_id=message.id)

    def _append(
        self,
        account_id: str,
        platform_user_id: str,
        text: str,
        *,
        from_us: bool,
        price_cents: int = 0,
        media_count: int = 0,
    ) -> PlatformMessage:
        self._ids += 1
        message = PlatformMessage(
            str(self._ids), from_us, text.strip(), price_cents, media_count, self._now()
        )
        self._chats.setdefault((account_id, platform_user_id), []).append(message)
        return message
