"""The application on real rows answers each member of the team, and shows a stranger nothing."""

import pytest

from infra.local.demo import seed
from tests.crm import Crm


@pytest.mark.parametrize("role", ["owner", "manager", "chatter", "analyst"])
def test_every_role_sees_the_owners_fans(crm: Crm, role: str) -> None:
    fan = crm.fan("Alex")

    answer = crm.get("/api/crm/fans", role)

    assert [one["id"] for one in answer.json["fans"]] == [fan]


def test_a_stranger_sees_none_of_them(crm: Crm) -> None:
    crm.fan("Alex")

    assert crm.get("/api/crm/fans", "stranger").json["fans"] == []


def test_the_demo_shows_its_conversations_and_counts_its_rows(crm: Crm) -> None:
    crm.sql("UPDATE platform_connections SET state = 'disconnected'")
    seed(crm.engine, "a password")
    owner = crm.sql("SELECT id FROM users WHERE email = 'demo@huntaze.example'")[0].id
    [shown] = crm.sql(
        "SELECT count(*) AS n FROM conversations WHERE is_direct AND user_id = :owner", owner=owner
    )
    told = crm.sql(
        "SELECT c.id FROM conversations c JOIN LATERAL (SELECT direction, created_at FROM messages m"
        " WHERE m.conversation_id = c.id ORDER BY created_at DESC, id DESC LIMIT 1) m ON true"
        " WHERE (c.last_direction, c.last_message_at) IS DISTINCT FROM (m.direction, m.created_at)"
        " OR c.unread_count <> (SELECT count(*) FROM messages u"
        "  WHERE u.conversation_id = c.id AND u.direction = 'in' AND NOT u.read)"
    )

    assert shown.n == 360
    assert told == []
