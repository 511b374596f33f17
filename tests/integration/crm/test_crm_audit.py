"""The audit log: what is written, who reads it, and that nobody changes it."""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from tests.crm import Crm

NEW = {"email": "carl@example.com", "role": "chatter", "password": "correct horse battery"}


def lines(crm: Crm) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = crm.get("/api/audit?limit=100")
    assert answer.status_code == 200
    return list(reversed(answer.json["lines"]))


def test_what_the_team_did_is_written_down_in_order(crm: Crm) -> None:
    owner = crm.users["owner"].id
    member = crm.post("/api/team", NEW).json["member"]["id"]
    crm.call("PUT", f"/api/team/{member}", json={"role": "analyst", "password": "another one"})
    login = {"email": NEW["email"], "password": "another one"}
    crm.client.post("/api/auth/login", json=login).close()
    crm.client.post("/api/auth/login", json=login | {"password": "wrong"}).close()
    crm.client.post("/api/auth/login", json=login | {"email": "nobody@example.com"}).close()
    key = crm.post("/api/keys", {"name": "CI"}).json["key"]["id"]
    crm.call("DELETE", f"/api/keys/{key}")
    for verb in ("pause", "pause", "resume"):
        crm.post(f"/api/connections/{crm.connection}/{verb}")
    crm.call("DELETE", f"/api/team/{member}")

    told = [
        (one["actorId"], one["action"], one["subject"], one["subjectId"], one["detail"])
        for one in lines(crm)
    ]
    assert told == [
        (owner, "member.added", "user", str(member), {"role": "chatter"}),
        (
            owner,
            "member.changed",
            "user",
            str(member),
            {"fields": ["role", "password"], "role": "analyst"},
        ),
        (member, "login.succeeded", "user", str(member), {}),
        (None, "login.failed", "user", str(member), {}),
        (owner, "key.made", "key", str(key), {}),
        (owner, "key.revoked", "key", str(key), {}),
        (owner, "connection.paused", "connection", str(crm.connection), {}),
        (owner, "connection.resumed", "connection", str(crm.connection), {}),
        (owner, "member.removed", "user", str(member), {"keysRevoked": 0}),
    ]


def test_a_line_carries_the_id_of_its_request(crm: Crm) -> None:
    answer = crm.post("/api/keys", {"name": "CI"})
    failed = crm.client.post(
        "/api/auth/login", json={"email": "owner@example.com", "password": "wrong"}
    )
    failed.close()

    assert [one["requestId"] for one in lines(crm)] == [
        answer.headers["X-Request-Id"],
        failed.headers["X-Request-Id"],
    ]


def test_the_log_never_quotes(crm: Crm) -> None:
    made = crm.post("/api/keys", {"name": "Name of a key"}).json
    crm.post("/api/team", NEW)

    whole = str(crm.sql("SELECT * FROM audit_log"))
    for secret in (made["secret"], "Name of a key", NEW["email"], NEW["password"]):
        assert secret not in whole


def test_pages_follow_each_other_newest_first(crm: Crm) -> None:
    for n in range(5):
        crm.post("/api/keys", {"name": f"Key {n}"})

    first = crm.get("/api/audit?limit=2").json
    second = crm.get(f"/api/audit?limit=2&cursor={first['nextCursor']}").json
    third = crm.get(f"/api/audit?limit=2&cursor={second['nextCursor']}").json

    pages = [[one["subjectId"] for one in page["lines"]] for page in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert (first["total"], first["totalCapped"], third["nextCursor"]) == (5, False, None)
    assert crm.get("/api/audit?cursor=nonsense").status_code == 422


def test_a_stranger_reads_none_of_it(crm: Crm) -> None:
    crm.post("/api/keys", {"name": "CI"})

    assert crm.get("/api/audit", "stranger").json["lines"] == []


def test_a_refused_deed_leaves_no_line(crm: Crm) -> None:
    crm.post("/api/keys", {"name": ""})
    crm.post("/api/team", NEW, "manager")
    crm.call("DELETE", "/api/keys/1", "stranger")

    assert crm.sql("SELECT count(*) FROM audit_log")[0][0] == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET action = 'nothing'", "DELETE FROM audit_log"]
)
def test_the_database_refuses_to_change_a_line(crm: Crm, statement: str) -> None:
    crm.post("/api/keys", {"name": "CI"})

    with pytest.raises(DBAPIError, match="lines of audit_log are never changed"):
        crm.sql(statement)

    assert [one["action"] for one in lines(crm)] == ["key.made"]
