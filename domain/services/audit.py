"""The audit: does the ledger prove what we promised? Lost, double, over the limit, promise error.

Nothing is changed. Zero everywhere is the only good answer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from domain.connections import ConnectionId
from domain.messages import MATCH_SLACK, Delay, PublicId, normalised
from domain.ports import Platform, PlatformUnavailable
from domain.repositories import LedgerCall, OpenUnitOfWork, SentMessage
from domain.services.rules import SendingRules

# A call may start this much nearer to the one before than the slots are: the half per cent that
# every interval is longer than the limit asks adds up to it in a minute.
SLACK_MS = 300.0
# A row is stuck when it stayed overdue for longer than any pass, lease or grace explains.
STUCK_AFTER = timedelta(minutes=5)
READ_DEADLINE = timedelta(seconds=10)


@dataclass(frozen=True)
class PlatformCheck:
    """What the platform's own list says: sent messages it does not show, accepted ones that no row
    knows, and chats that could not be read."""

    missing: Sequence[PublicId]
    surplus: int
    unread_chats: int


@dataclass(frozen=True)
class Audit:
    """The findings; `promise_error` holds p50, p95 and the largest, in seconds."""

    calls: int
    lost: Sequence[PublicId]
    double: Sequence[PublicId]
    over_limit: Mapping[ConnectionId, int]
    kept_promises: int
    promise_error: tuple[float, float, float] | None
    delayed: Mapping[Delay, int] = field(default_factory=dict)
    platform: PlatformCheck | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, sent twice, or sent too fast."""
        return not (
            self.lost
            or self.double
            or self.over_limit
            or (self.platform and (self.platform.missing or self.platform.surplus))
        )


class AuditService:
    """Reads the ledger, and where asked the platform."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, platform: Platform, rules: SendingRules
    ) -> None:
        self._open = open_unit_of_work
        self._platform = platform
        self._rules = rules

    def audit(self, since: datetime, *, ask_platform: bool = False) -> Audit:
        """Everything sent since an instant."""
        with self._open() as work:
            over: Counter[ConnectionId] = Counter()
            calls = 0
            for connection_id, group in groupby(
                work.ledger.calls(since), key=lambda call: call.connection_id
            ):
                made = list(group)
                calls += len(made)
                if found := over_limit(made, made[0].burst or self._rules.burst):
                    over[connection_id] = found
            errors = sorted(
                abs((sent - promised).total_seconds())
                for promised, sent in work.ledger.promises(since)
            )
            return Audit(
                calls=calls,
                lost=work.ledger.stuck(since, STUCK_AFTER),
                double=work.ledger.doubles(since),
                over_limit=dict(over),
                kept_promises=len(errors),
                promise_error=percentiles(errors),
                delayed=work.ledger.delayed(since),
                platform=self._ask(work.ledger.sent(since)) if ask_platform else None,
            )

    def _ask(self, sent: Iterable[SentMessage]) -> PlatformCheck:
        missing: list[PublicId] = []
        surplus = unread = 0
        for _, chat in groupby(sent, key=lambda one: (one.claim.connection_id, one.claim.fan_id)):
            messages = list(chat)
            try:
                gone, more = self._compare(messages)
            except PlatformUnavailable:
                unread += 1
            else:
                missing += gone
                surplus += more
        return PlatformCheck(missing, surplus, unread)

    def _compare(self, sent: Sequence[SentMessage]) -> tuple[list[PublicId], int]:
        """Messages the chat does not show, and how often it shows a text more than we sent it."""
        claim = sent[0].claim
        chat = self._platform.recent_messages(
            claim.account_id,
            claim.access_key,
            claim.platform_user_id,
            newer_than=min(one.queued_at for one in sent) - MATCH_SLACK,
            deadline=READ_DEADLINE,
        )
        shown = {one.id for one in chat if one.from_us}
        texts = Counter(normalised(one.text).strip() for one in chat if one.from_us)
        ours = Counter(normalised(one.claim.text).strip() for one in sent)
        missing = [
            one.public_id
            for one in sent
            if one.platform_message_id and one.platform_message_id not in shown
        ]
        return missing, sum(
            (texts[text] - count for text, count in ours.items() if texts[text] > count)
        )


def over_limit(calls: Sequence[LedgerCall], burst: int) -> int:
    """How many of one connection's calls, in the order of their start, came too early.

    Two calls i < j of burst b conform when they are at least the intervals between them apart,
    less b - 1 of them and the slack; where the rate changed in between, the shorter one counts."""
    early = 0
    owed = 0.0  # the intervals since the first call, in ms
    latest = float("-inf")
    for before, call in zip([calls[0], *calls], calls, strict=False):
        owed += 0 if call is before else min(before.interval_ms, call.interval_ms)
        on_time = call.started_at.timestamp() * 1000 - owed
        early += on_time < latest - (burst - 1) * call.interval_ms - SLACK_MS
        latest = max(latest, on_time)
    return early


def percentiles(errors: Sequence[float]) -> tuple[float, float, float] | None:
    """p50, p95 and the largest of sorted values; None when there are none."""
    if not errors:
        return None
    last = len(errors) - 1
    return errors[round(last * 0.5)], errors[round(last * 0.95)], errors[last]
