"""Every question about campaigns among a crowd's, and every deed, is answered by an index."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine

from domain.campaigns import CampaignId, CampaignStatus
from infra.settings import Settings
from tests.conftest import empty
from tests.crm import Crm, crm_on
from tests.plans import indexes, scans, watched

# Two hundred owners among whom nobody stands out, the first is ours: forty campaigns each, of which
# a few are under way, with a hundred and twenty recipients in the newest.
CROWD = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT n, n, n || '@example.com', '', 'owner' FROM generate_series(1001, 1199) n;
    INSERT INTO platform_connections (id, user_id, name, account_id)
      SELECT n, n, 'Luna', 'acct_' || n FROM generate_series(1001, 1199) n;
    CREATE TEMP TABLE owners ON COMMIT DROP AS
      SELECT 0 AS number, cast(:owner AS bigint) AS owner, cast(:connection AS bigint) AS connection
      UNION ALL SELECT n - 1000, n, n FROM generate_series(1001, 1199) n;
    INSERT INTO fans (id, user_id, name, handle, connection_id, platform_user_id)
      SELECT n, owner, 'Fan', '@' || n, connection, n
      FROM generate_series(1, 24000) n JOIN owners ON number = mod(n, 200);
    INSERT INTO conversations (id, user_id, fan_id, connection_id)
      SELECT id, user_id, id, connection_id FROM fans;
    INSERT INTO campaigns (id, user_id, name, status, total, created_at, fanned_out_at, completed_at,
        counted_to, counted_at, wake_after)
      SELECT n, owner, 'Sale', CASE WHEN n >= 7600 THEN 'active' ELSE 'completed' END,
        CASE WHEN n >= 7800 THEN 120 ELSE 5 END, now() - (8001 - n) * interval '1 hour',
        CASE WHEN n <= 7990 THEN now() END,
        CASE WHEN n < 7600 THEN now() - (8001 - n) * interval '1 hour' END, 1000000000,
        now() - interval '1 minute', CASE WHEN n > 7990 THEN now() END
      FROM generate_series(1, 8000) n JOIN owners ON number = mod(n, 200);
    INSERT INTO campaign_recipients (campaign_id, position, fan_id, connection_id, text)
      SELECT k.id, p, f.id, f.connection_id, 'Hi'
      FROM campaigns k CROSS JOIN LATERAL generate_series(1, k.total) p
      JOIN fans f ON f.id = mod(k.id, 200) + 200 * (p - CASE WHEN mod(k.id, 200) > 0 THEN 1 ELSE 0 END);
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, campaign_id,
        direction, text, state, queued_at, sent_at, failed_at, delay, priority, wake_after)
      SELECT gen_random_uuid(), k.user_id, r.connection_id, r.fan_id, r.fan_id, k.id, 'out', 'Hi',
        s.state, now(), CASE WHEN s.state = 'sent' THEN now() END,
        CASE WHEN s.state = 'failed' THEN now() END,
        CASE WHEN mod(r.fan_id, 7) = 0 THEN 'overtaken' END, 8,
        CASE WHEN s.state = 'queued' THEN now() + interval '1 hour' END
      FROM campaign_recipients r JOIN campaigns k ON k.id = r.campaign_id
      CROSS JOIN LATERAL (SELECT CASE WHEN mod(r.position, 50) = 7 THEN 'failed'
        WHEN k.completed_at IS NULL AND r.position > 3 THEN 'queued' ELSE 'sent' END AS state) s
      WHERE k.fanned_out_at IS NOT NULL OR r.position < 60;
    UPDATE campaigns SET counted_to = 0 WHERE mod(id, 1000) = 0 AND id <= 7000;
    INSERT INTO transactions (user_id, fan_id, message_id, source, type, gross_cents, net_cents,
        happened_at)
      SELECT user_id, fan_id, id, 'sync', 'tip', 100, 80, now() FROM messages WHERE mod(id, 3) = 0;
    INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents, happened_at)
      SELECT user_id, id, 'sync', 'tip', 100, 80, now()
      FROM fans CROSS JOIN generate_series(1, 10)
"""
TABLES = frozenset({"campaigns", "campaign_recipients", "messages", "fans", "conversations",
                    "transactions"})  # fmt: skip
AUDIENCE = {"pk_campaign_recipients", "uq_campaign_recipients_campaign_id_fan_id"}
LIST = "/api/messages/bulk"
# Three of ours: one to pause and cancel, one that waits, and one that is half written.
CHANGING, WAITS, HALF = CampaignId(7600), CampaignId(7800), CampaignId(8000)


@pytest.fixture(scope="module")
def crowd(migrated: Engine, database_settings: Settings) -> Iterator[Crm]:
    """Loaded once: the deeds are few among so many rows."""
    empty(migrated)
    with crm_on(migrated, database_settings) as crm:
        crm.load(CROWD, owner=crm.owner, connection=crm.connection)
        yield crm


def address(crm: Crm, campaign_id: CampaignId) -> str:
    [row] = crm.sql("SELECT public_id FROM campaigns WHERE id = :id", id=campaign_id)
    return f"{LIST}/{row.public_id}"


def asked(crm: Crm, ask: Callable[[], object]) -> set[str]:
    """The indexes by which it was answered; none of the tables was read as a whole."""
    with watched(crm) as seen:
        ask()
    assert seen
    assert scans(crm, seen, TABLES) == set()
    return indexes(crm, seen)


def test_a_page_of_campaigns_walks_the_index_of_its_owner(crowd: Crm) -> None:
    assert scans(crowd, [("SELECT * FROM campaigns WHERE name = 'none'", None)], TABLES) == {
        "campaigns"
    }
    first = crowd.get(f"{LIST}?limit=10")
    assert len(first.json["campaigns"]) == 10

    for query in ("limit=10", "status=active", f"limit=10&cursor={first.json['nextCursor']}"):
        used = asked(crowd, lambda query=query: crowd.get(f"{LIST}?{query}"))
        assert "ix_campaigns_user_id_id" in used, query


def test_a_campaign_and_why_it_is_late_are_counted_from_its_own_messages(crowd: Crm) -> None:
    where = address(crowd, WAITS)

    used = asked(crowd, lambda: crowd.get(where))

    assert crowd.get(where).json["delays"]["overtaken"] > 0
    assert used & {"uq_messages_campaign_id_fan_id", "ix_messages_campaign_id_changed"}


def test_a_page_of_recipients_is_found_by_their_campaign(crowd: Crm) -> None:
    where = f"{address(crowd, HALF)}/recipients"
    first = crowd.get(f"{where}?limit=50")
    assert len(first.json["recipients"]) == 50

    for query in ("limit=50", "state=failed", f"limit=50&cursor={first.json['nextCursor']}"):
        used = asked(crowd, lambda query=query: crowd.get(f"{where}?{query}"))
        assert used & AUDIENCE, query


def test_what_changed_and_what_is_overdue_are_found_among_those_under_way(crowd: Crm) -> None:
    campaigns = crowd.services.campaigns

    assert "ix_campaigns_open" in asked(crowd, campaigns.announce_progress)
    assert "ix_campaigns_wake_after" in asked(crowd, campaigns.wake_overdue)
    assert "ix_campaigns_open" in asked(crowd, campaigns.turn_hours)


def test_counting_and_closing_read_one_campaign(crowd: Crm) -> None:
    used = asked(crowd, lambda: crowd.services.campaigns.count(WAITS))

    assert "pk_campaigns" in used


def test_a_page_of_messages_is_written_for_the_recipients_that_follow(crowd: Crm) -> None:
    written: list[int] = []

    used = asked(crowd, lambda: written.append(crowd.services.campaigns.fan_out(HALF)))

    assert written == [61]
    assert used & AUDIENCE


@pytest.mark.parametrize("status", ["paused", "active", "cancelled"])
def test_no_change_of_mind_reads_a_whole_table(crowd: Crm, status: str) -> None:
    public_id = UUID(address(crowd, CHANGING).rsplit("/", 1)[-1])
    wanted = CampaignStatus(status)
    before = "paused" if status == "active" else "active"
    crowd.sql("UPDATE campaigns SET status = :before WHERE id = :id", before=before, id=CHANGING)

    used = asked(
        crowd, lambda: crowd.services.campaigns.set_status(crowd.caller(), public_id, wanted)
    )

    assert "uq_campaigns_public_id" in used
