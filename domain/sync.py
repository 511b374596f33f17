"""How far a synchronisation got: marks that a crash leaves behind and the next run goes on from.

The three lists of an account are read in passes. A pass goes from the newest item down to where the
pass before began; only when it is through does the mark move.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

# Clocks differ, and lists lag behind what they list.
OVERLAP = timedelta(minutes=2)
# How far back the first pass of a new connection reads.
CHAT_HISTORY, MONEY_HISTORY = timedelta(days=30), timedelta(days=90)
# A transaction may change its status long after it was made: look back once a day.
MONEY_OVERLAP, MONEY_LOOK_BACK = timedelta(days=1), timedelta(days=30)
FANS_EVERY = timedelta(days=1)
LISTED_MAX = 500


@dataclass(frozen=True)
class ChatMarks:
    """The pass over the chats. `done_to`: everything up to it is here; `prior`: the same, one pass
    earlier, to which each chat is read, since chats change places while they are paged. `page`,
    `read` and the chat `at` with its `mark` say where a pass stands.

    `listed` is which last message each chat had when we listed it: on some gateways listing marks
    a chat as read, so what it says of unread messages is only believed of chats that we did not
    list since, unless the gateway was seen to keep them unread (`keeps_unread`)."""

    done_to: str | None = None
    prior: str | None = None
    top: str | None = None
    page: str | None = None
    read: tuple[str, ...] = ()
    at: str | None = None
    mark: str | None = None
    listed: dict[str, str] = field(default_factory=dict)
    keeps_unread: bool = False
    # Something of this pass must be told again: the next one goes as far back.
    has_waits: bool = False

    @classmethod
    def of(cls, marks: Mapping[str, Any]) -> Self:
        stored = dict(marks.get("chats") or {})
        return cls(**{**stored, "read": tuple(stored.get("read", ()))})

    def as_json(self) -> dict[str, Any]:
        """Bounded: of the chats that were listed, the last are kept."""
        kept = dict(list(self.listed.items())[-LISTED_MAX:])
        return {"chats": asdict(self) | {"listed": kept}}

    def chat_read(self, fan_id: str, last_id: str) -> "ChatMarks":
        """One chat is through."""
        listed = {**self.listed, fan_id: last_id}
        return replace(self, read=(*self.read, fan_id), at=None, mark=None, listed=listed)

    def must_return(self, fan_id: str) -> "ChatMarks":
        """Something of this chat must be told again."""
        listed = {fan: last for fan, last in self.listed.items() if fan != fan_id}
        return replace(self, listed=listed, has_waits=True)

    def passed(self) -> "ChatMarks":
        """The pass is through, and the next begins at its top."""
        prior, done = self.done_to, self.top or self.done_to
        if self.has_waits:
            prior, done = self.prior, self.done_to
        return ChatMarks(
            done_to=done, prior=prior, listed=self.listed, keeps_unread=self.keeps_unread
        )

    def floor(self, now: datetime) -> datetime:
        """How far back each chat is read. Passes may follow each other closely, and what a list
        shows late, or moved while it was paged, is older than both."""
        known = instant(self.prior) or instant(self.done_to)
        return known - OVERLAP if known else now - CHAT_HISTORY

    def stop_at(self, now: datetime) -> datetime:
        """Chats that rest since then were handled by the pass before."""
        done = instant(self.done_to)
        return done - OVERLAP if done else now - CHAT_HISTORY


@dataclass(frozen=True)
class MoneyMarks:
    """The pass over the transactions, from `since` on."""

    done_to: str | None = None
    looked_back_at: str | None = None
    since: str | None = None
    top: str | None = None
    page: str | None = None

    @classmethod
    def of(cls, marks: Mapping[str, Any]) -> Self:
        return cls(**(marks.get("money") or {}))

    def as_json(self) -> dict[str, Any]:
        return {"money": asdict(self)}

    def begin(self, now: datetime) -> "MoneyMarks":
        """Where a pass that begins now starts; the same pass if it has begun."""
        if self.since is not None:
            return self
        done, looked = instant(self.done_to), instant(self.looked_back_at)
        since = done - MONEY_OVERLAP if done else now - MONEY_HISTORY
        if looked is None or now - looked >= FANS_EVERY:
            since, looked = min(since, now - MONEY_LOOK_BACK), now
        return MoneyMarks(self.done_to, looked.isoformat(), since.isoformat(), now.isoformat())


@dataclass(frozen=True)
class FanMarks:
    """The pass over the fans."""

    done_at: str | None = None
    began_at: str | None = None
    page: str | None = None

    @classmethod
    def of(cls, marks: Mapping[str, Any]) -> Self:
        return cls(**(marks.get("fans") or {}))

    def as_json(self) -> dict[str, Any]:
        return {"fans": asdict(self)}

    def is_due(self, now: datetime, asked_at: datetime | None) -> bool:
        """At connect, on request, and daily; a pass that has begun goes on."""
        done = instant(self.done_at)
        if self.began_at is not None or done is None:
            return True
        return now - done >= FANS_EVERY or (asked_at is not None and asked_at > done)


def instant(text: object) -> datetime | None:
    """A stored moment."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None
