"""The caller's queue in numbers. Rows are counted; what SQS says is shown beside them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.ports import Bus, BusUnavailable, StatusCache
from domain.repositories import OpenUnitOfWork
from domain.services.rules import SendingRules
from domain.users import Caller

KEPT = timedelta(seconds=2)
# While SQS is away its last numbers are shown, marked as stale.
BROKER_KEPT = timedelta(minutes=10)


@dataclass(frozen=True)
class QueueStatus:
    """The caller's queue in numbers; the day begins at midnight in `time_zone`. `sqs` is the
    broker's approximation, and `stale` says that it could not be asked just now."""

    as_of: datetime
    enabled: bool
    queue_depth: int
    messages_in_flight: int
    unknown: int
    dlq_count: int
    last_processed_at: datetime | None
    messages_queued_today: int
    messages_processed_today: int
    messages_failed_today: int
    time_zone: str
    sqs: Mapping[str, int] | None
    stale: bool

    @property
    def failure_rate(self) -> float | None:
        """failed / (sent + failed) today; None when there is neither."""
        done = self.messages_processed_today + self.messages_failed_today
        return round(self.messages_failed_today / done, 4) if done else None


class StatusReader:
    """Counts, and remembers the answer for two seconds per user."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, bus: Bus, cache: StatusCache, rules: SendingRules
    ) -> None:
        self._open = open_unit_of_work
        self._bus = bus
        self._cache = cache
        self._rules = rules

    def read(self, caller: Caller, now: datetime) -> QueueStatus:
        """The status, at most two seconds old."""
        key = f"queue:{caller.user_id}"
        if remembered := self._cache.get(key):
            return from_text(remembered)
        status = self._count(caller, now)
        self._cache.put(key, to_text(status), KEPT)
        return status

    def _count(self, caller: Caller, now: datetime) -> QueueStatus:
        with self._open() as work:
            user = work.users.get(caller.user_id)
            zone = ZoneInfo(user.time_zone if user else "UTC")
            midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            counts = work.messages.status(caller.owner_id, midnight.astimezone(UTC))
        sqs, stale = self._broker_counts()
        return QueueStatus(
            as_of=now,
            enabled=self._rules.enabled,
            queue_depth=counts.queued,
            messages_in_flight=counts.sending,
            unknown=counts.unknown,
            dlq_count=counts.dead_lettered,
            last_processed_at=counts.last_sent_at,
            messages_queued_today=counts.queued_today,
            messages_processed_today=counts.sent_today,
            messages_failed_today=counts.failed_today,
            time_zone=zone.key,
            sqs=sqs,
            stale=stale,
        )

    def _broker_counts(self) -> tuple[Mapping[str, int] | None, bool]:
        try:
            [queue] = self._bus.depths("messages")
        except BusUnavailable:
            remembered = self._cache.get("sqs")
            return (json.loads(remembered) if remembered else None), True
        counts = {
            "depth": queue.depth,
            "inFlight": queue.in_flight,
            "deadLetters": queue.dead_letters,
        }
        self._cache.put("sqs", json.dumps(counts), BROKER_KEPT)
        return counts, False


def to_text(status: QueueStatus) -> str:
    """For the cache; from_text undoes it."""
    return json.dumps(asdict(status), default=datetime.isoformat)


def from_text(text: str) -> QueueStatus:
    """What to_text wrote."""
    values = json.loads(text)
    for name in ("as_of", "last_processed_at"):
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    return QueueStatus(**values)
