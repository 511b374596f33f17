"""Facts wait for people's work in the order in which everybody locks: nobody waits in a circle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic

from sqlalchemy import text

from domain.inbound import FanSeen
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver

BLOCKED = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
AT = "2026-06-10T18:35:30+00:00"


def does_not_hold(crm: Crm, first: str, then: str, work: Callable[[], object]) -> None:
    """Lock what `first` selects, let the work wait for it, and lock what `then` selects, which the
    work therefore does not hold yet."""
    with ThreadPoolExecutor(1) as pool:
        with crm.engine.begin() as ours:
            ours.execute(text(f"{first} FOR NO KEY UPDATE"))
            done = pool.submit(work)
            until = monotonic() + 3
            while not crm.sql(BLOCKED)[0].n:
                assert monotonic() < until, "the work waits for nothing"
            ours.execute(text(f"{then} FOR NO KEY UPDATE NOWAIT"))
        done.result(10)


def test_an_event_is_taken_after_its_connection_as_an_erasure_does(crm: Crm) -> None:
    deliver(crm, webhooks.received(1, 501, AT))
    [event] = crm.sql("SELECT id FROM platform_events")

    does_not_hold(
        crm,
        "SELECT FROM platform_connections",
        "SELECT FROM platform_events",
        lambda: crm.services.inbound.handle(event.id, datetime.now(UTC)),
    )

    assert crm.sql("SELECT outcome FROM platform_events")[0].outcome == "handled"


def test_many_fans_are_locked_in_the_order_of_their_ids(crm: Crm) -> None:
    low, high = crm.fan(platform_user_id="501"), crm.fan(platform_user_id="502")

    def listed() -> None:
        with crm.services.open_unit_of_work() as work:
            connection = work.connections.lock(crm.connection)
            facts = [FanSeen("502", name="Second"), FanSeen("501", name="First")]
            crm.services.inbound.apply(work, connection, facts, datetime.now(UTC))
            work.commit()

    does_not_hold(
        crm,
        f"SELECT FROM fans WHERE id = {low}",
        f"SELECT FROM fans WHERE id = {high}",
        listed,
    )

    assert len(crm.sql("SELECT FROM fans WHERE told <> '{}'")) == 2
