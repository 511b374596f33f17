"""What became of a message whose call ended without proof: the rules, given what the chat shows."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from domain.messages import (
    KEY_LIFETIME,
    MATCH_SLACK,
    SETTLE_MAX_CALLS,
    Attempt,
    Outcome,
    normalised,
)
from domain.ports import PlatformMessage
from domain.repositories import Doubtful


class Verdict(StrEnum):
    """How an `unknown` message was settled."""

    SENT = "sent"
    AGAIN = "again"  # the same key once more
    PERSON = "person"  # two buttons: it was sent, send again
    LATER = "later"  # the chat could not be read


def unproven(one: Doubtful) -> Sequence[Attempt]:
    """The attempts that may have reached the platform without our knowing."""
    silent = (None, Outcome.UNCLEAR, Outcome.KEY_REJECTED)
    return [attempt for attempt in one.attempts if attempt.outcome in silent]


def first_call(one: Doubtful) -> datetime:
    """The earliest instant at which the platform may have got this message."""
    calls = unproven(one) or one.attempts
    return min(attempt.started_at or attempt.claimed_at for attempt in calls)


def matching(one: Doubtful, chat: Sequence[PlatformMessage]) -> list[PlatformMessage]:
    """The chat's messages that could be this one, oldest first."""
    text = normalised(one.message.text).strip()
    earliest = first_call(one) - MATCH_SLACK
    found = [
        candidate
        for candidate in chat
        if candidate.from_us
        and normalised(candidate.text).strip() == text
        and candidate.price_cents == (one.message.price_cents or 0)
        and candidate.media_count == len(one.message.attachments)
        and candidate.created_at >= earliest
    ]
    return sorted(found, key=lambda candidate: candidate.created_at)


def decide(one: Doubtful, candidates: int, twins: int, now: datetime) -> Verdict:
    """What became of a message, given how many of the chat's messages could be it and are held by
    no row, and how many rows, this one included, look alike.

    As many candidates as rows: each was sent, and which row gets which id makes no difference.
    None: this one was not sent. Fewer than rows: asking with the same key is safe while the gateway
    keeps its first answer, which it does unless that was a 5xx or 408. More: somebody else wrote
    the same text."""
    if candidates and candidates == twins:
        return Verdict.SENT
    calls = unproven(one)
    if candidates and (candidates > twins or any(answer_forgotten(call) for call in calls)):
        return Verdict.PERSON
    key_lives = now - first_call(one) < KEY_LIFETIME
    return Verdict.AGAIN if key_lives and len(calls) < SETTLE_MAX_CALLS else Verdict.PERSON


def answer_forgotten(call: Attempt) -> bool:
    """Whether the gateway did not store what it answered to this call."""
    return call.http_status is not None and (call.http_status == 408 or call.http_status >= 500)
