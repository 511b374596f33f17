"""The measure of the limit: which calls came too early."""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.connections import ConnectionId
from domain.messages import Outcome, State
from domain.ports import SendAnswer
from domain.repositories import LedgerCall
from domain.services.audit import AuditService, PlatformCheck, over_limit, percentiles
from tests.fakes.platform import Turn
from tests.sending import START as BEGIN
from tests.sending import Desk

START = datetime(2026, 11, 23, tzinfo=UTC)
INTERVAL = 6030.0


def calls(*at_ms: float, interval: float = INTERVAL) -> list[LedgerCall]:
    return [
        LedgerCall(ConnectionId(1), 1, START + timedelta(milliseconds=ms), interval) for ms in at_ms
    ]


def test_calls_exactly_one_interval_apart_conform() -> None:
    assert over_limit(calls(*(n * INTERVAL for n in range(20))), burst=1) == 0


def test_a_call_may_be_early_by_the_slack_and_no_more() -> None:
    assert over_limit(calls(0, INTERVAL - 299), burst=1) == 0
    assert over_limit(calls(0, INTERVAL - 301), burst=1) == 1


def test_small_earliness_adds_up_over_many_calls() -> None:
    steps = [n * (INTERVAL - 100) for n in range(6)]

    assert over_limit(calls(*steps), burst=1) == 2


def test_a_burst_allows_its_calls_at_once_and_no_further() -> None:
    assert over_limit(calls(0, 0, 0), burst=3) == 0
    assert over_limit(calls(0, 0, 0, 0), burst=3) == 1


def test_where_the_rate_changed_the_shorter_interval_counts() -> None:
    slow, fast = calls(0), calls(200, 300, interval=100)

    assert over_limit(slow + fast, burst=1) == 0


def test_a_late_call_earns_nothing_for_those_after_it() -> None:
    assert over_limit(calls(0, 60_000, 60_001), burst=1) == 1


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=30))
def test_the_quick_measure_equals_the_definition(gaps: list[int]) -> None:
    at = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    early_by = {
        j: max((j - i) * INTERVAL - (at[j] - at[i]) for i in range(j)) for j in range(1, len(at))
    }
    # Exactly at the slack, the rounding of instants decides.
    assume(all(abs(by - 300) > 0.01 for by in early_by.values()))

    assert over_limit(calls(*at), burst=1) == sum(by > 300 for by in early_by.values())


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentiles([]) is None
    assert percentiles([1.0]) == (1.0, 1.0, 1.0)
    assert percentiles([float(n) for n in range(101)]) == (50.0, 95.0, 100.0)


def test_what_the_platform_took_long_before_it_said_so_is_not_missing() -> None:
    desk = Desk()
    desk.platform.script(Turn(SendAnswer(Outcome.UNCLEAR), delivers=True))
    sent = desk.send()
    desk.run(8)
    assert desk.message(sent).state is State.UNKNOWN
    desk.wait(60)
    # The chat is read while the call is still on its way.
    arrived, desk.platform._chats = desk.platform._chats, {}
    desk.healing.settle()
    desk.platform._chats = arrived
    desk.healing.heal()
    desk.run(20)
    assert desk.message(sent).state is State.SENT

    found = AuditService(desk.data.open, desk.platform, desk.rules).audit(BEGIN, ask_platform=True)

    assert found.platform == PlatformCheck(missing=[], surplus=0, unread_chats=0)
