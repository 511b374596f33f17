"""What the platform still tells of a fan that was merged goes to the one that was kept, and parting
the two gives back exactly what was there before."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.inbound import FanSeen, MessageSeen
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver, handle_all

NOW = datetime(2026, 7, 1, tzinfo=UTC)
AT = "2026-06-20T10:00:00+00:00"


@pytest.fixture
def pair(crm: Crm) -> tuple[int, int, int]:
    """A kept fan of another account, the merged one of ours, and the merge."""
    second = crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, 'Mila', 'acct_mila') RETURNING id",
        owner=crm.owner,
    )[0].id
    kept = crm.fan("Jane", handle="@jane", connection_id=second, platform_user_id="900")
    tell(crm, webhooks.received(1, 501, "2026-06-10T10:00:00+00:00", "<p>before</p>"))
    tell(crm, webhooks.paid("t1", 501, "2026-06-10 12:00:00", 5))
    [other] = crm.sql("SELECT id FROM fans WHERE platform_user_id = '501'")
    answer = crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": other.id})
    assert answer.status_code == 200, answer.json
    return kept, other.id, answer.json["mergeId"]


def tell(crm: Crm, raw: bytes) -> None:
    deliver(crm, raw)
    assert handle_all(crm, NOW) == ["handled"]


def of(crm: Crm, fan: int) -> dict[str, Any]:
    """What belongs to a fan."""
    [row] = crm.sql(
        "SELECT deleted_at IS NULL AS live, value_cents, (SELECT array_agg(m.text ORDER BY m.id)"
        " FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        " WHERE c.fan_id = f.id) AS texts, (SELECT array_agg(platform_transaction_id"
        " ORDER BY id) FROM transactions WHERE fan_id = f.id) AS money FROM fans f WHERE id = :id",
        id=fan,
    )
    return dict(row._mapping)


def test_messages_and_money_of_a_merged_fan_go_to_the_kept_one(
    crm: Crm, pair: tuple[int, int, int]
) -> None:
    kept, other, _ = pair

    tell(crm, webhooks.received(2, 501, AT, "<p>after</p>"))
    tell(crm, webhooks.paid("t2", 501, "2026-06-20 12:00:00", 7))
    tell(crm, webhooks.subscribed(3, 501, AT))

    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 2
    assert of(crm, kept) == {
        "live": True,
        "value_cents": 1200,
        "texts": ["before", "after"],
        "money": ["t1", "t2"],
    }
    assert of(crm, other) == {"live": False, "value_cents": 500, "texts": None, "money": None}


def test_the_synchronisation_follows_the_merge_too(crm: Crm, pair: tuple[int, int, int]) -> None:
    kept, _, _ = pair
    services = crm.services
    fan = FanSeen("501", "fan501")
    fact = MessageSeen(fan, "77", False, "synced", 0, (), datetime(2026, 6, 21, tzinfo=UTC))
    with services.open_unit_of_work() as work:
        connection = work.connections.lock(crm.connection)
        services.inbound.apply(work, connection, [fan, fact], NOW)
        work.sync.read_elsewhere(crm.connection, "501", datetime(2026, 6, 22, tzinfo=UTC), 0)
        work.commit()

    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 2
    assert of(crm, kept)["texts"] == ["before", "synced"]
    [talk] = crm.sql("SELECT fan_id, unread_count FROM conversations")
    assert tuple(talk) == (kept, 0)


def test_undoing_the_merge_gives_back_what_was_there_before(
    crm: Crm, pair: tuple[int, int, int]
) -> None:
    kept, other, merge = pair
    tell(crm, webhooks.received(2, 501, AT, "<p>after</p>"))
    tell(crm, webhooks.paid("t2", 501, "2026-06-20 12:00:00", 7))

    answer = crm.post(f"/api/crm/merges/{merge}/undo")

    assert answer.status_code == 200, answer.json
    assert of(crm, other) == {
        "live": True,
        "value_cents": 500,
        "texts": ["before", "after"],
        "money": ["t1"],
    }
    assert of(crm, kept) == {"live": True, "value_cents": 700, "texts": None, "money": ["t2"]}
    tell(crm, webhooks.received(3, 501, AT, "<p>parted</p>"))
    assert of(crm, other)["texts"] == ["before", "after", "parted"]
    assert {row.fan_id for row in crm.sql("SELECT fan_id FROM messages")} == {other}


def test_a_merged_fan_leads_on_although_a_deleted_one_has_the_same_id(
    crm: Crm, pair: tuple[int, int, int]
) -> None:
    kept, _, _ = pair
    gone = crm.fan("Gone", platform_user_id="501", deleted_at="2026-01-01T00:00:00Z")

    tell(crm, webhooks.received(2, 501, AT, "<p>after</p>"))

    assert of(crm, kept)["texts"] == ["before", "after"]
    assert of(crm, gone)["live"] is False
