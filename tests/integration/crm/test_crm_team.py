"""The team: who joins, changes and leaves, and what is remembered of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from tests.crm import Crm

NEW = {"email": "Carl@example.com", "role": "chatter", "password": "correct horse battery"}


def login(crm: Crm, email: str, password: str) -> Any:
    return crm.client.post("/api/auth/login", json={"email": email, "password": password})


def test_the_owner_comes_first_and_everybody_is_listed(crm: Crm) -> None:
    body = crm.get("/api/team").json

    assert body["total"] == 4
    assert [one["role"] for one in body["members"]] == ["owner", "manager", "chatter", "analyst"]
    assert body["members"][0] == {
        "id": crm.users["owner"].id,
        "email": "owner@example.com",
        "role": "owner",
        "timeZone": "UTC",
        "createdAt": body["members"][0]["createdAt"],
    }


def test_a_new_member_logs_in_and_works_on_the_owners_rows(crm: Crm) -> None:
    fan = crm.fan("Alex")

    added = crm.post("/api/team", NEW | {"timeZone": "Europe/Paris"})

    assert added.status_code == 201
    member = added.json["member"]
    assert (member["email"], member["role"], member["timeZone"]) == (
        "Carl@example.com",
        "chatter",
        "Europe/Paris",
    )
    answer = login(crm, "carl@EXAMPLE.com", NEW["password"])
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    fans = crm.client.get("/api/crm/fans", headers=headers).json["fans"]
    assert [one["id"] for one in fans] == [fan]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "carl"}, "email"),
        ({"role": "owner"}, "role"),
        ({"role": "king"}, "role"),
        ({"password": "short"}, "password"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"ownerId": 1}, "ownerId"),
    ],
)
def test_a_bad_member_is_named_field_by_field(
    crm: Crm, changes: dict[str, object], field: str
) -> None:
    answer = crm.post("/api/team", NEW | changes)

    assert (answer.status_code, [one["field"] for one in answer.json["details"]]) == (422, [field])
    assert crm.get("/api/team").json["total"] == 4


def test_an_email_is_taken_until_its_member_is_removed(crm: Crm) -> None:
    first = crm.post("/api/team", NEW).json["member"]
    taken = crm.post("/api/team", NEW | {"email": "carl@example.com"})
    crm.call("DELETE", f"/api/team/{first['id']}")
    again = crm.post("/api/team", NEW)

    assert (taken.status_code, taken.json["code"]) == (409, "email_taken")
    assert again.status_code == 201
    assert again.json["member"]["id"] != first["id"]


def test_a_repeated_request_adds_nobody_twice(crm: Crm) -> None:
    headers = {"Idempotency-Key": "once"}
    first = crm.post("/api/team", NEW, headers=headers)
    second = crm.post("/api/team", NEW, headers=headers)

    assert (second.status_code, second.json) == (201, first.json)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert crm.get("/api/team").json["total"] == 5


def test_a_changed_role_password_and_time_zone_hold(crm: Crm) -> None:
    member = crm.post("/api/team", NEW).json["member"]
    change = {"role": "analyst", "password": "another password", "timeZone": "Asia/Tokyo"}

    changed = crm.call("PUT", f"/api/team/{member['id']}", json=change)

    assert (changed.status_code, changed.json["member"]) == (
        200,
        member | {"role": "analyst", "timeZone": "Asia/Tokyo"},
    )
    assert login(crm, NEW["email"], NEW["password"]).status_code == 401
    assert login(crm, NEW["email"], "another password").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"role": "owner"}, "role"),
        ({"password": "x"}, "password"),
        ({"timeZone": "x"}, "timeZone"),
    ],
)
def test_a_bad_change_changes_nothing(crm: Crm, body: dict[str, str], field: str) -> None:
    before = crm.get("/api/team").json

    answer = crm.call("PUT", f"/api/team/{crm.users['chatter'].id}", json=body)

    assert (answer.status_code, [one["field"] for one in answer.json["details"]]) == (422, [field])
    assert crm.get("/api/team").json == before


def test_the_owner_is_neither_demoted_nor_removed(crm: Crm) -> None:
    path = f"/api/team/{crm.users['owner'].id}"

    answers = [crm.call("PUT", path, json={"role": "chatter"}), crm.call("DELETE", path)]

    assert [(one.status_code, one.json["code"]) for one in answers] == [(409, "owner_stays")] * 2
    assert crm.call("PUT", path, json={"timeZone": "Europe/Rome"}).status_code == 200
    assert crm.get("/api/auth/me", "manager").status_code == 200


def test_somebody_elses_members_are_not_there(crm: Crm) -> None:
    path = f"/api/team/{crm.users['chatter'].id}"

    answers = [
        crm.call("PUT", path, "stranger", json={"role": "analyst"}),
        crm.call("DELETE", path, "stranger"),
    ]

    assert [one.status_code for one in answers] == [404, 404]
    assert crm.get("/api/team", "stranger").json["total"] == 1
    assert crm.get("/api/auth/me", "chatter").json["role"] == "chatter"


def test_a_removed_members_login_is_over_within_five_seconds(crm: Crm) -> None:
    moment = datetime.now(UTC)
    client = create_app(crm.services, clock=lambda: moment).test_client()
    headers = crm.bearer("chatter")
    assert client.get("/api/auth/me", headers=headers).status_code == 200

    assert crm.call("DELETE", f"/api/team/{crm.users['chatter'].id}").status_code == 204
    moment += timedelta(seconds=5)

    assert client.get("/api/auth/me", headers=headers).status_code == 401
    assert crm.call("DELETE", f"/api/team/{crm.users['chatter'].id}").status_code == 404
    assert crm.call("PUT", f"/api/team/{crm.users['chatter'].id}", json={"role": "analyst"})


def test_a_removed_member_cannot_log_in(crm: Crm) -> None:
    member = crm.post("/api/team", NEW).json["member"]
    crm.call("DELETE", f"/api/team/{member['id']}")

    assert login(crm, NEW["email"], NEW["password"]).status_code == 401


def test_a_team_has_at_most_two_hundred_members(crm: Crm) -> None:
    crm.sql(
        "INSERT INTO users (owner_id, email, password_hash, role)"
        " SELECT :owner, n || '@example.com', '-', 'chatter' FROM generate_series(1, 196) n",
        owner=crm.owner,
    )

    answer = crm.post("/api/team", NEW)

    assert (answer.status_code, answer.json["code"]) == (409, "team_full")
