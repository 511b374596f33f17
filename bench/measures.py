"""The bench's own rulers: pure functions over receive times and server counters.

Times are seconds. None of them reads our code's opinion of itself.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

# Of every minute, what the pace leaves for jitter: see docs/performance.md.
SLACK = 0.3
# The SQS actions that move a message; the rest asks about queues.
CARRYING = frozenset(
    {
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
    }
)
# What our client asks of Redis itself; every other command ran inside a script.
ASKED_DIRECTLY = frozenset(
    {
        "auth",
        "client|setinfo",
        "eval",
        "evalsha",
        "hello",
        "info",
        "ping",
        "script|exists",
        "script|load",
        "select",
        "subscribe",
        "unsubscribe",
    }
)

Counts = Mapping[str, int]
Told = Mapping[str, Mapping[str, int]]  # action -> requests, messages, empty, failed


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def utilisation(times: Sequence[float], interval: float) -> float:
    """The share of the slots between the first and the last message that were used."""
    return (len(times) - 1) * interval / (max(times) - min(times))


def interval_errors(times: Sequence[float], interval: float) -> list[float]:
    """How far each gap between neighbours is from the interval, without its sign."""
    return [abs(later - earlier - interval) for earlier, later in pairwise(sorted(times))]


def over_limit(times: Sequence[float], interval: float, slack: float = SLACK) -> int:
    """How many messages came too early: t_j - t_i < (j - i) x interval - slack for some i < j."""
    early = 0
    latest = float("-inf")
    for place, time in enumerate(sorted(times)):
        on_time = time - place * interval
        early += on_time < latest - slack
        latest = max(latest, on_time)
    return early


def most_within(times: Sequence[float], window: float) -> int:
    """The most messages that any half-open window of this length holds."""
    ordered = sorted(times)
    most = first = 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def overtaken(order: Sequence[int]) -> float:
    """The share of pairs that arrived in the wrong order: 0 in order, 1 reversed."""
    size = len(order)
    wrong = sum(order[earlier] > order[later] for later in range(size) for earlier in range(later))
    return wrong / (size * (size - 1) / 2)


def carrying(before: Told, after: Told) -> dict[str, int]:
    """The requests between two counts of one queue that carried messages, by action."""
    found = {}
    for action in CARRYING & after.keys():
        row, old = after[action], before.get(action, {})
        requests = row["requests"] - old.get("requests", 0)
        empty = row["empty"] - old.get("empty", 0)
        if requests - empty:
            found[action] = requests - empty
    return found


def empty_polls(before: Told, after: Told) -> int:
    """The polls between two counts of one queue that brought nothing."""
    old = before.get("ReceiveMessage", {}).get("empty", 0)
    return after.get("ReceiveMessage", {}).get("empty", 0) - old


def difference(before: Counts, after: Counts) -> dict[str, int]:
    """What was added to each counter, those that stood still left out."""
    return {
        name: count - before.get(name, 0)
        for name, count in after.items()
        if count != before.get(name, 0)
    }


def inside_scripts(commands: Counts) -> int:
    """How many of these Redis commands scripts ran."""
    return sum(count for name, count in commands.items() if name not in ASKED_DIRECTLY)


def refused(statuses: Mapping[int, int], good: int) -> int:
    """How many answers had another status than the good one."""
    return sum(count for status, count in statuses.items() if status != good)


def fairness(times: Sequence[Sequence[float]]) -> float:
    """Jain's index of what each account got while all had something waiting, that is until the
    first of them had everything: 1 when equal, 1 / accounts when one took all."""
    end = min(max(one) for one in times)
    shares = [sum(at <= end for at in one) for one in times]
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def used_since(times: Sequence[Sequence[float]], since: float, interval: float) -> float:
    """The share of their slots that accounts used from `since` until each had everything."""
    return sum(map(len, times)) * interval / sum(max(one) - since for one in times)
