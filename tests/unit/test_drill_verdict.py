"""A drill's judgement: each kind of harm is seen, and what is allowed is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from drill.load import Told
from drill.verdict import (
    Rows,
    Verdict,
    compare_heard,
    compare_pace,
    compare_sent,
    compare_sums,
    compare_told,
    undisturbed,
)

ACCOUNT = {"account": "acct", "chat": "7"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rows(**given: Any) -> Rows:
    nothing: dict[str, Any] = {
        "sent": [],
        "inbound": [],
        "campaigns": [],
        "imports": [],
        "fans": {},
        "money": [],
    }
    return Rows(**nothing | given)


def row(text: str = "Hi", state: str = "sent", **more: Any) -> dict[str, Any]:
    return ACCOUNT | {"text": text, "state": state, "public_id": text, "campaign_id": None} | more


def there(text: str = "Hi", *, from_us: bool = True, number: int = 1) -> dict[str, Any]:
    return ACCOUNT | {"text": text, "from_us": from_us, "id": number}


def kinds(verdict: Verdict) -> list[str]:
    return [name for name, found in verdict.findings.items() for _ in found]


@pytest.mark.parametrize(
    ("here", "platform", "found"),
    [
        ([row()], [there()], []),
        ([row(state="delivered")], [there()], []),
        ([row(state="failed"), row("No", "cancelled")], [], []),
        ([row(state="queued")], [there()], []),  # stuck, and said so elsewhere
        ([row()], [], ["lost"]),
        ([], [there()], ["lost"]),
        ([row()], [there(), there()], ["double"]),
        ([row(), row()], [there()], ["double"]),
        ([row(state="failed")], [there()], ["untrue"]),
        ([row(state="cancelled")], [there()], ["untrue"]),
    ],
)
def test_rows_and_the_platforms_chats_are_compared_both_ways(
    here: list[dict[str, Any]], platform: list[dict[str, Any]], found: list[str]
) -> None:
    verdict = Verdict()

    compare_sent(rows(sent=here), platform, verdict)

    assert kinds(verdict) == found
    assert verdict.is_good == (not found)


@pytest.mark.parametrize(
    ("told", "here", "found"),
    [
        (Told("message", "Hi", ids={"Hi"}), [row()], []),
        (Told("message", "Hi", unclear=2), [row()], []),
        (Told("message", "Hi", unclear=2), [], []),
        (Told("message", "Hi", refusals=[422]), [], []),
        (Told("message", "Hi", refusals=[422], unclear=1), [row()], []),
        (Told("message", "Hi", ids={"Hi"}), [], ["lost"]),
        (Told("message", "Hi", ids={"other"}), [row()], ["lost"]),
        (Told("message", "Hi", unclear=1), [row(), row()], ["double"]),
        (Told("message", "Hi", ids={"Hi", "Ho"}), [row(), row(public_id="Ho")], ["double"]),
        (Told("message", "Hi", refusals=[422]), [row()], ["untrue"]),
    ],
)
def test_what_a_caller_was_told_is_what_is_stored(
    told: Told, here: list[dict[str, Any]], found: list[str]
) -> None:
    verdict = Verdict()

    compare_told([told], rows(sent=here), verdict)

    assert kinds(verdict) == found


def test_a_fans_message_is_here_once_and_money_too() -> None:
    platform = [there(from_us=False, number=n) for n in (1, 2, 3)]
    money = [{"account": "acct", "id": n} for n in ("a", "b")]
    here = rows(
        inbound=[{"account": "acct", "id": n} for n in ("1", "2", "2")],
        money=[("acct", "a"), ("acct", "a")],
    )
    verdict = Verdict()

    compare_heard(here, platform, money, verdict)

    assert kinds(verdict) == ["lost", "lost", "double", "double"]


@pytest.mark.parametrize(
    ("inserted", "fans", "found"), [(2, 2, []), (1, 2, ["lost"]), (2, 3, ["double"])]
)
def test_an_imports_rows_add_up(inserted: int, fans: int, found: list[str]) -> None:
    one = {"file_name": "import-1.csv", "state": "completed", "inserted": inserted, "total_rows": 2}
    verdict = Verdict()

    compare_sums(
        [Told("import", "import-1", size=2)], rows(imports=[one], fans={"import-1": fans}), verdict
    )

    assert kinds(verdict) == found


def test_a_completed_campaign_has_a_message_for_each_recipient() -> None:
    campaigns = [{"id": 1, "name": "Campaign 1", "status": "completed"}]
    verdict = Verdict()

    compare_sums(
        [Told("campaign", "Campaign 1", size=2)],
        rows(campaigns=campaigns, sent=[row(campaign_id=1)]),
        verdict,
    )

    assert kinds(verdict) == ["lost"]


def test_calls_nearer_than_the_pace_are_counted_by_account() -> None:
    calls = [("slow", 0.0), ("fast", 0.1), ("slow", 0.5), ("fast", 0.5)]
    verdict = Verdict()

    compare_pace(calls, {"slow": 1.0, "fast": 0.1}, verdict)

    assert verdict.over_limit == ["1 of 2 calls of slow"]


def test_a_promise_counts_only_where_no_fault_came_near() -> None:
    def kept(after: float) -> dict[str, Any]:
        queued = NOON + timedelta(seconds=after)
        return row(
            queued_at=queued,
            promised_at=queued + timedelta(seconds=1),
            sent_at=queued + timedelta(seconds=3),
            delay=None,
        )

    fault = (NOON + timedelta(seconds=10)).timestamp(), (NOON + timedelta(seconds=20)).timestamp()

    assert undisturbed([kept(0), kept(8), kept(15), kept(22), kept(40)], [fault], 5) == [2, 2]
