"""One drill from start to verdict."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from system import Account

from drill.load import Load, Told
from drill.operator import Operator
from drill.schedule import schedule
from drill.stand import Stand, standing
from drill.trouble import Done, Trouble
from drill.verdict import (
    Rows,
    Verdict,
    compare_heard,
    compare_pace,
    compare_sent,
    compare_sums,
    compare_told,
    table,
    undisturbed,
)

# The fastest paces: the more messages, the more a fault can hit.
RATES = (600, 600, 300, 300)
FANS = 40
# What a fault left behind is done with after that: the longest lease and its grace.
AFTERMATH_SECONDS = 10.0


@dataclass(frozen=True)
class Report:
    """What was found, and what the processes last said if that was anything."""

    verdict: Verdict
    tails: str


def drill(directory: Path, seed: int, minutes: float, say: Callable[[str], None]) -> Report:
    """Load and disturb a system for so long, let it drain, and judge."""
    plan = schedule(seed, minutes)
    say(f"seed {seed}, {minutes:g} minutes, {len(plan)} disturbances:")
    for one in plan:
        say(str(one))
    with standing(directory) as stand:
        accounts = [stand.account(fans=FANS, rate=rate) for rate in RATES]
        operator = Operator(stand, accounts)
        load = Load(stand, accounts, seed, operator)
        trouble = Trouble(stand, accounts, Random(seed), say)
        end = time.monotonic() + minutes * 60
        say("it begins")
        load.start()
        try:
            trouble.run(plan)
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            load.stop()
        say("all faults are lifted")
        began = time.monotonic()
        left = operator.drain(lambda: unheard(stand, accounts), say)
        say(f"drained in {time.monotonic() - began:.0f} s")
        verdict = judged(stand, accounts, load.told, trouble.done, left)
        # Said before the system ends, which may fail too.
        for name, found in verdict.findings.items():
            for one in [*dict.fromkeys(found)][:20]:
                say(f"{name}: {one}")
        say(f"seed {seed}, {minutes:g} minutes")
        say("\n" + table(verdict, counted(stand, load.told, trouble.done, operator)))
        return Report(verdict, "" if verdict.is_good else stand.tails(40))


def judged(
    stand: Stand,
    accounts: Sequence[Account],
    told: Sequence[Told],
    done: Sequence[Done],
    left: dict[str, int],
) -> Verdict:
    verdict = Verdict(stuck=[f"{what}: {n}" for what, n in left.items()])
    rows = stored(stand, accounts)
    ours = {account.account_id for account in accounts}
    accepted = [one for one in stand.accepted() if one["account"] in ours]
    compare_sent(rows, accepted, verdict)
    compare_heard(rows, accepted, stand.money(), verdict)
    compare_told(told, rows, verdict)
    compare_sums(told, rows, verdict)
    paces = zip(accounts, RATES, strict=True)
    intervals = {account.account_id: 60 / rate * 1.005 for account, rate in paces}
    compare_pace(stand.door.calls, intervals, verdict)
    if (audit := stand.command("audit", "--platform")).returncode:
        verdict.lost.append(f"the product's own audit: {audit.stdout}")
    wall = time.time() - time.monotonic()
    windows = [(one.began + wall, one.ended + wall) for one in done]
    verdict.promise_errors = undisturbed(rows.sent, windows, AFTERMATH_SECONDS)
    return verdict


def stored(stand: Stand, accounts: Sequence[Account]) -> Rows:
    ids = [account.id for account in accounts]
    messages = stand.sql(
        "SELECT m.public_id, m.campaign_id, m.direction, m.text, m.state, m.queued_at, m.sent_at,"
        " m.promised_at, m.delay, m.platform_message_id AS id, c.account_id AS account,"
        " f.platform_user_id AS chat"
        " FROM messages m JOIN platform_connections c ON c.id = m.connection_id"
        " JOIN fans f ON f.id = m.fan_id WHERE c.id = ANY(%s)",
        ids,
    )
    fans = stand.sql(
        "SELECT replace(substring(handle FROM '^@(import_[0-9_]+)x'), '_', '-') AS name,"
        " count(*) AS n FROM fans WHERE starts_with(handle, '@import_') GROUP BY 1"
    )
    money = stand.sql(
        "SELECT c.account_id, t.platform_transaction_id AS id FROM transactions t"
        " JOIN platform_connections c ON c.id = t.connection_id WHERE c.id = ANY(%s)",
        ids,
    )
    return Rows(
        sent=[row for row in messages if row["direction"] == "out"],
        inbound=[row for row in messages if row["direction"] == "in"],
        campaigns=stand.sql("SELECT * FROM campaigns WHERE starts_with(name, 'Campaign ')"),
        imports=stand.sql("SELECT * FROM imports WHERE starts_with(file_name, 'import-')"),
        fans={row["name"]: row["n"] for row in fans},
        money=[(row["account_id"], row["id"]) for row in money],
    )


def unheard(stand: Stand, accounts: Sequence[Account]) -> int:
    """How much of what fans did is not here yet."""
    verdict = Verdict()
    ours = {account.account_id for account in accounts}
    accepted = [one for one in stand.accepted() if one["account"] in ours]
    compare_heard(stored(stand, accounts), accepted, stand.money(), verdict)
    return len(verdict.lost)


def counted(
    stand: Stand, told: Sequence[Told], done: Sequence[Done], operator: Operator
) -> dict[str, int]:
    """What was done, for the table."""
    counts = Counter({f"{kind}s asked for": 0 for kind in ("message", "campaign", "import")})
    for one in told:
        counts[f"{one.kind}s asked for"] += 1
        counts["requests"] += one.asked
        counts["unclear answers"] += one.unclear
        counts["refusals"] += len(one.refusals)
    accepted = stand.accepted()
    counts["calls at the platform's door"] = len(stand.door.calls)
    counts["messages at the platform"] = sum(one["from_us"] for one in accepted)
    counts["messages of fans"] = sum(not one["from_us"] for one in accepted)
    counts["transactions"] = len(stand.money())
    for row in stand.sql(
        "SELECT state, count(*) AS n FROM messages WHERE direction = 'out' AND"
        " starts_with(text, 'Direct ') OR starts_with(text, 'Campaign ') GROUP BY state ORDER BY 1"
    ):
        counts[f"rows {row['state']}"] = row["n"]
    for row in stand.sql(
        "SELECT state, count(*) AS n FROM imports WHERE starts_with(file_name, 'import-')"
        " GROUP BY state ORDER BY 1"
    ):
        counts[f"imports {row['state']}"] = row["n"]
    for click, n in sorted(operator.clicks.items()):
        counts[f"clicks: {click}"] = n
    for action, n in sorted(Counter(one.what.action for one in done).items()):
        counts[f"disturbances: {action}"] = n
    return dict(counts)
