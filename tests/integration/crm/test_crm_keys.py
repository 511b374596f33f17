"""API keys: shown once, good wherever a login is, and refused once they or their maker are gone."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from tests.crm import Crm

FANS = "/api/crm/fans"


def made(crm: Crm, role: str = "owner", name: str = "Nightly export") -> dict[str, Any]:
    answer = crm.post("/api/keys", {"name": name}, role)
    assert answer.status_code == 201, answer.text
    return answer.json


def asked(crm: Crm, secret: str, path: str = FANS, method: str = "GET", **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {secret}"} | more.pop("headers", {})
    return crm.client.open(path, method=method, headers=headers, **more)


def later(crm: Crm, seconds: float) -> Any:
    """A client of the same rows whose clock is ahead."""
    clock = lambda: datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: E731
    return create_app(crm.services, clock=clock).test_client()


def test_a_key_is_shown_once_and_kept_as_a_hash(crm: Crm) -> None:
    body = made(crm)

    secret = body["secret"]
    assert (len(secret), secret[:3]) == (46, "hz_")
    assert body["key"] == {
        "id": body["key"]["id"],
        "name": "Nightly export",
        "prefix": secret[:10],
        "memberId": crm.users["owner"].id,
        "createdAt": body["key"]["createdAt"],
        "lastUsedAt": None,
    }
    [row] = crm.sql("SELECT * FROM api_keys")
    assert row.key_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(tuple(row))
    listed = crm.get("/api/keys")
    assert listed.json == {"keys": [body["key"]], "total": 1}
    assert secret not in listed.text


def test_a_key_acts_as_its_maker_with_the_present_role(crm: Crm) -> None:
    secret = made(crm, "manager")["secret"]
    fan = crm.fan("Alex")
    manager = crm.users["manager"]

    assert [one["id"] for one in asked(crm, secret).json["fans"]] == [fan]
    me = asked(crm, secret, "/api/auth/me").json
    assert (me["id"], me["role"], me["apiKeyId"]) == (manager.id, "manager", 1)

    crm.sql("UPDATE users SET role = 'analyst' WHERE id = :id", id=manager.id)
    crm.client = later(crm, 6)
    body = {"recipientId": f"fan_{fan}", "content": "Hi"}
    refused = asked(crm, secret, "/api/onlyfans/messages/send", "POST", json=body)
    assert refused.status_code == 403
    assert crm.sql("SELECT count(*) FROM messages")[0][0] == 0


@pytest.mark.parametrize(
    "secret", ["hz_", "hz_" + "x" * 43, "hz_" + "x" * 44, "hz_" + "é" * 43, "hz_\x00" + "x" * 42]
)
def test_a_made_up_key_gets_the_one_401(crm: Crm, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}".encode().decode("latin-1")}

    answer = crm.client.get(FANS, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "not_authenticated")


def test_a_revoked_key_is_refused_within_five_seconds(crm: Crm) -> None:
    body = made(crm)
    assert asked(crm, body["secret"]).status_code == 200

    assert crm.call("DELETE", f"/api/keys/{body['key']['id']}", "manager").status_code == 204

    crm.client = later(crm, 5)
    assert asked(crm, body["secret"]).status_code == 401
    assert crm.get("/api/keys").json == {"keys": [], "total": 0}
    assert crm.call("DELETE", f"/api/keys/{body['key']['id']}").status_code == 404


def test_a_running_process_forgets_a_revoked_key_after_five_seconds(crm: Crm) -> None:
    moment = datetime.now(UTC)
    client = create_app(crm.services, clock=lambda: moment).test_client()
    body = made(crm)
    headers = {"Authorization": f"Bearer {body['secret']}"}
    assert client.get(FANS, headers=headers).status_code == 200
    crm.call("DELETE", f"/api/keys/{body['key']['id']}")

    moment += timedelta(seconds=4.9)
    assert client.get(FANS, headers=headers).status_code == 200
    moment += timedelta(seconds=0.1)

    assert client.get(FANS, headers=headers).status_code == 401


def test_the_key_of_a_removed_member_is_refused(crm: Crm) -> None:
    body = made(crm, "manager")
    manager = crm.users["manager"].id

    assert crm.call("DELETE", f"/api/team/{manager}").status_code == 204

    assert asked(crm, body["secret"]).status_code == 401
    [row] = crm.sql("SELECT revoked_at FROM api_keys")
    assert row.revoked_at is not None


def test_a_key_makes_no_keys_and_changes_no_team(crm: Crm) -> None:
    secret = made(crm)["secret"]
    member = crm.users["chatter"].id
    new = {"email": "x@example.com", "role": "chatter", "password": "correct horse"}

    answers = [
        asked(crm, secret, "/api/keys", "POST", json={"name": "Another"}),
        asked(crm, secret, "/api/team", "POST", json=new),
        asked(crm, secret, f"/api/team/{member}", "PUT", json={"role": "manager"}),
        asked(crm, secret, f"/api/team/{member}", "DELETE"),
    ]

    assert [(one.status_code, one.json["code"]) for one in answers] == [(403, "login_needed")] * 4
    assert crm.sql("SELECT count(*) FROM api_keys")[0][0] == 1
    assert len(crm.get("/api/team").json["members"]) == 4


def test_fifty_live_keys_are_enough_and_a_revoked_one_makes_room(crm: Crm) -> None:
    bodies = [made(crm, "owner", f"Key {n}") for n in range(50)]

    refused = crm.post("/api/keys", {"name": "One more"}, "manager")
    assert (refused.status_code, refused.json["code"]) == (409, "too_many_keys")

    crm.call("DELETE", f"/api/keys/{bodies[0]['key']['id']}")
    assert crm.post("/api/keys", {"name": "One more"}).status_code == 201


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb"])
def test_a_key_needs_a_name_that_people_can_read(crm: Crm, name: str) -> None:
    answer = crm.post("/api/keys", {"name": name})

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "name")
    assert crm.sql("SELECT count(*) FROM api_keys")[0][0] == 0


def test_a_repeated_request_makes_no_second_key_and_shows_no_secret(crm: Crm) -> None:
    headers = {"Idempotency-Key": "once"}
    first = crm.post("/api/keys", {"name": "CI"}, headers=headers)
    second = crm.post("/api/keys", {"name": "CI"}, headers=headers)
    other = crm.post("/api/keys", {"name": "Else"}, headers=headers)

    assert (second.status_code, second.json) == (201, {"key": first.json["key"], "secret": None})
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert crm.sql("SELECT count(*) FROM api_keys")[0][0] == 1
    assert first.json["secret"] not in str(crm.sql("SELECT * FROM idempotency_keys"))


def test_when_a_key_was_used_is_written_after_the_answer_and_once_a_minute(crm: Crm) -> None:
    def used() -> datetime | None:
        return crm.sql("SELECT last_used_at FROM api_keys")[0].last_used_at

    secret = made(crm)["secret"]
    answer = asked(crm, secret)
    before = used()
    answer.close()
    first = used()
    asked(crm, secret).close()
    crm.sql("UPDATE api_keys SET last_used_at = now() - interval '30 seconds'")
    half_a_minute_ago = used()
    crm.client = later(crm, 0)
    asked(crm, secret).close()

    assert (before, first is None) == (None, False)
    assert used() == half_a_minute_ago
    crm.sql("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    crm.client = later(crm, 0)
    asked(crm, secret).close()
    assert used() > half_a_minute_ago


def test_a_key_that_cannot_note_its_use_works_all_the_same(crm: Crm) -> None:
    secret = made(crm)["secret"]
    crm.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$")
    crm.sql(
        "CREATE TRIGGER no BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION no()",
    )
    try:
        answer = asked(crm, secret)
        answer.close()
    finally:
        crm.sql("DROP FUNCTION no CASCADE")

    assert answer.status_code == 200


def test_what_a_key_did_names_the_key(crm: Crm) -> None:
    body = made(crm)

    asked(crm, body["secret"], f"/api/connections/{crm.connection}/pause", "POST", json={})

    [line] = crm.sql("SELECT * FROM audit_log WHERE action = 'connection.paused'")
    assert (line.actor_id, line.detail) == (crm.users["owner"].id, {"keyId": body["key"]["id"]})
