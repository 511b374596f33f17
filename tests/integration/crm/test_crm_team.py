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


def sessions(crm: Crm, email: str, password: str) -> tuple[dict[str, str], str]:
    """A token's header, and an API key that the member made."""
    token = login(crm, email, password).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    key = crm.client.post("/api/keys", json={"name": "CI"}, headers=headers)
    return headers, str(key.json["secret"])


def later(crm: Crm) -> Any:
    """The same rows as seen by another web process."""
    return create_app(crm.services).test_client()


def test_a_new_password_ends_the_members_logins_and_leaves_keys_alone(crm: Crm) -> None:
    member = crm.post("/api/team", NEW | {"role": "manager"}).json["member"]
    old, key = sessions(crm, NEW["email"], NEW["password"])

    changed = crm.call("PUT", f"/api/team/{member['id']}", json={"password": "another password"})

    assert changed.status_code == 200
    assert later(crm).get("/api/auth/me", headers=old).status_code == 401
    by_key = later(crm).get("/api/auth/me", headers={"Authorization": f"Bearer {key}"})
    assert by_key.status_code == 200
    new = login(crm, NEW["email"], "another password").json["token"]
    headers = {"Authorization": f"Bearer {new}"}
    assert later(crm).get("/api/auth/me", headers=headers).status_code == 200
    assert later(crm).get("/api/auth/me", headers=crm.bearer()).status_code == 200


def test_the_login_that_a_new_password_ended_is_over_within_five_seconds(crm: Crm) -> None:
    member = crm.post("/api/team", NEW).json["member"]
    moment = datetime.now(UTC)
    client = create_app(crm.services, clock=lambda: moment).test_client()
    token = login(crm, NEW["email"], NEW["password"]).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/auth/me", headers=headers).status_code == 200

    crm.call("PUT", f"/api/team/{member['id']}", json={"password": "another password"})
    moment += timedelta(seconds=5)

    assert client.get("/api/auth/me", headers=headers).status_code == 401


def test_a_member_changes_the_own_password_and_every_login_ends(crm: Crm) -> None:
    crm.post("/api/team", NEW)
    token = login(crm, NEW["email"], NEW["password"]).json["token"]
    old = {"Authorization": f"Bearer {token}"}
    body = {"current": NEW["password"], "new": "another password"}

    wrong = crm.client.put(
        "/api/auth/password", json=body | {"current": "guessed wrong"}, headers=old
    )
    short = crm.client.put("/api/auth/password", json=body | {"new": "short"}, headers=old)
    assert later(crm).get("/api/auth/me", headers=old).status_code == 200
    done = crm.client.put("/api/auth/password", json=body, headers=old)

    assert (wrong.status_code, wrong.json["details"][0]["field"]) == (422, "current")
    assert (short.status_code, short.json["details"][0]["field"]) == (422, "new")
    assert (done.status_code, done.text) == (204, "")
    assert later(crm).get("/api/auth/me", headers=old).status_code == 401
    assert login(crm, NEW["email"], NEW["password"]).status_code == 401
    assert login(crm, NEW["email"], "another password").status_code == 200
    assert len(crm.sql("SELECT FROM audit_log WHERE action = 'password.changed'")) == 1


def test_guessing_the_current_password_is_limited(crm: Crm) -> None:
    body = {"current": "guessed wrong", "new": "another password"}

    answers = [crm.call("PUT", "/api/auth/password", "chatter", json=body) for _ in range(11)]

    assert [one.status_code for one in answers] == [422] * 10 + [429]


def test_all_logins_of_one_end_everywhere(crm: Crm) -> None:
    here, there, another = crm.bearer("chatter"), crm.bearer("chatter"), crm.bearer("manager")

    nobody = crm.client.delete("/api/auth/session?everywhere=true")
    alone = crm.client.delete("/api/auth/session", headers=here)
    assert later(crm).get("/api/auth/me", headers=there).status_code == 200
    ended = crm.client.delete("/api/auth/session?everywhere=true", headers=here)

    assert (nobody.status_code, alone.status_code, ended.status_code) == (401, 204, 204)
    client = later(crm)
    assert [client.get("/api/auth/me", headers=one).status_code for one in (here, there)] == [
        401,
        401,
    ]
    assert client.get("/api/auth/me", headers=another).status_code == 200
    assert later(crm).get("/api/auth/me", headers=crm.bearer("chatter")).status_code == 200
