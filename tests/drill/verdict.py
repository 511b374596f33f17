"""Comparing what callers were told, what the rows say and what the platform received: pure
functions, whose findings are sentences. No sentence is the only good answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from system import ACCEPTED

from bench.measures import over_limit, percentile
from drill.load import Told

Row = Mapping[str, Any]


@dataclass
class Verdict:
    """Findings by what they are, and the promise errors in seconds."""

    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    over_limit: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    promise_errors: Sequence[float] = ()

    @property
    def findings(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "double": self.double,
            "untrue": self.untrue,
            "over-limit": self.over_limit,
            "stuck": self.stuck,
        }

    @property
    def is_good(self) -> bool:
        return not any(self.findings.values())


@dataclass(frozen=True)
class Rows:
    """What PostgreSQL holds: outgoing and incoming messages, campaigns, imports with how many fans
    there are of each, and the ids of transactions."""

    sent: Sequence[Row]
    inbound: Sequence[Row]
    campaigns: Sequence[Row]
    imports: Sequence[Row]
    fans: Mapping[str, int]
    money: Sequence[tuple[str, str]]


def compare_sent(rows: Rows, accepted: Sequence[Row], verdict: Verdict) -> None:
    """Each outgoing row against the platform's chats, in both directions."""
    there = Counter(place(one) for one in accepted if one["from_us"])
    here: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows.sent:
        here[place(row)].append(row)
    for where, twins in here.items():
        if len(twins) > 1:
            verdict.double.append(f"{len(twins)} rows of {where}")
        is_sent = any(row["state"] in ACCEPTED for row in twins)
        if is_sent and not there[where]:
            verdict.lost.append(f"sent, but not at the platform: {where}")
        if there[where] and all(row["state"] in {"failed", "cancelled"} for row in twins):
            verdict.untrue.append(f"{twins[0]['state']}, but at the platform: {where}")
    for where, count in there.items():
        if count > 1:
            verdict.double.append(f"{count} times at the platform: {where}")
        if where not in here:
            verdict.lost.append(f"at the platform, but in no row: {where}")


def compare_heard(
    rows: Rows, accepted: Sequence[Row], money: Sequence[Row], verdict: Verdict
) -> None:
    """What fans wrote and paid is here, once."""
    texts = Counter((row["account"], row["id"]) for row in rows.inbound)
    moved = Counter(rows.money)
    wrote = {(one["account"], str(one["id"])) for one in accepted if not one["from_us"]}
    paid = {(one["account"], one["id"]) for one in money}
    for name, told, found in (("message", wrote, texts), ("transaction", paid, moved)):
        verdict.lost += [f"a fan's {name} is in no row: {one}" for one in told - found.keys()]
        verdict.double += [
            f"{n} rows of a fan's {name}: {one}" for one, n in found.items() if n > 1
        ]


def compare_told(told: Iterable[Told], rows: Rows, verdict: Verdict) -> None:
    """Each caller's answers against the rows that its request left."""
    left: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows.sent:
        if row["campaign_id"] is None:
            left["message", row["text"]].append(str(row["public_id"]))
    for row in rows.campaigns:
        left["campaign", row["name"]].append(str(row["public_id"]))
    for row in rows.imports:
        left["import", row["file_name"].removesuffix(".csv")].append(str(row["id"]))
    for one in told:
        found = left[one.kind, one.name]
        if len(one.ids) > 1 or len(found) > 1:
            verdict.double.append(f"{one.name}: told {sorted(one.ids)}, stored {found}")
        if one.ids - set(found):
            verdict.lost.append(f"{one.name}: told {sorted(one.ids)}, stored {found}")
        if one.refusals and not one.ids and not one.unclear and found:
            verdict.untrue.append(f"{one.name}: refused {one.refusals}, stored {found}")


def compare_sums(told: Iterable[Told], rows: Rows, verdict: Verdict) -> None:
    """Campaigns have a message for each recipient, imports a fan for each line."""
    sizes = {one.name: one.size for one in told}
    written = Counter(row["campaign_id"] for row in rows.sent)
    for row in rows.campaigns:
        count, size = written[row["id"]], sizes[row["name"]]
        if row["status"] == "completed" and count != size:
            verdict.lost.append(f"{row['name']}: {count} messages of {size}")
    for row in rows.imports:
        name = row["file_name"].removesuffix(".csv")
        counts = row["inserted"], row["total_rows"], rows.fans.get(name, 0)
        if row["state"] == "completed" and set(counts) != {sizes[name]}:
            kind = verdict.double if max(counts) > sizes[name] else verdict.lost
            kind.append(f"{name}: inserted, lines and fans are {counts}, of {sizes[name]}")


def compare_pace(
    calls: Sequence[tuple[str, float]], intervals: Mapping[str, float], verdict: Verdict
) -> None:
    """Each account's calls at the platform's door, replays and refused ones too."""
    for account, interval in intervals.items():
        times = [at for one, at in calls if one == account]
        if early := over_limit(times, interval):
            verdict.over_limit += [f"{early} of {len(times)} calls of {account}"] * early


def undisturbed(
    rows: Iterable[Row], windows: Sequence[tuple[float, float]], after: float
) -> list[float]:
    """The promise errors of messages whose way, from the request to the call, no fault touched;
    what a fault leaves to do takes up to `after` seconds more."""
    return [
        abs(row["sent_at"] - row["promised_at"]).total_seconds()
        for row in rows
        if row["state"] in ACCEPTED
        and row["promised_at"]
        and row["delay"] is None
        and not any(
            begin <= row["sent_at"].timestamp() and row["queued_at"].timestamp() <= end + after
            for begin, end in windows
        )
    ]


def place(one: Row) -> tuple[str, str, str]:
    return one["account"], one["chat"], one["text"]


def table(verdict: Verdict, counts: Mapping[str, int]) -> str:
    """The result, a line each; then what was done."""
    lines = [f"{name:<34} {len(found):>8}" for name, found in verdict.findings.items()]
    errors = verdict.promise_errors
    shown = (
        f"{percentile(errors, 0.5):.3f} / {percentile(errors, 0.95):.3f} s (of {len(errors)})"
        if errors
        else "nothing was undisturbed"
    )
    lines.append(f"{'promise error p50 / p95':<34} {shown}")
    lines += [f"{name:<34} {count:>8}" for name, count in counts.items()]
    return "\n".join(lines)
