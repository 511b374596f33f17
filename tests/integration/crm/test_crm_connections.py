"""Connecting accounts, their limits and keys, and what disconnecting leaves."""

import pytest

from domain.messages import Outcome
from tests.crm import Crm

KEY = "ofapi-key-42"
BODY = {"platform": "onlyfans", "accountId": "acct_mila", "name": "Mila", "accessKey": KEY}


def connect(crm: Crm, role: str = "owner", **changes: object):
    body = {name: value for name, value in (BODY | changes).items() if value is not None}
    return crm.post("/api/connections", body, role)


def rows(crm: Crm) -> int:
    return crm.sql("SELECT count(*) AS n FROM platform_connections")[0].n


def queue_message(crm: Crm) -> int:
    fan = crm.fan()
    sent = crm.post("/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": "Hi"})
    assert sent.status_code == 202
    return crm.sql("SELECT id FROM messages ORDER BY id DESC LIMIT 1")[0].id


def message(crm: Crm):
    return crm.sql("SELECT state, delay, wake_after FROM messages")[0]


def test_an_account_is_checked_connected_and_never_shows_its_key(crm: Crm) -> None:
    answer = connect(crm)

    assert answer.status_code == 201
    assert (answer.json["accountId"], answer.json["name"]) == ("acct_mila", "Mila")
    assert (answer.json["state"], answer.json["username"]) == ("active", "mila")
    assert crm.accounts.calls == [("profile", "acct_mila")]
    assert crm.accounts.keys == [KEY]
    row = crm.sql(
        "SELECT access_key, sync_after <= now() AS due, platform_user_id"
        " FROM platform_connections WHERE account_id = 'acct_mila'"
    )[0]
    assert KEY.encode() not in bytes(row.access_key)
    assert (row.due, row.platform_user_id) == (True, "1")
    with crm.services.open_unit_of_work() as work:
        assert work.accounts.of(answer.json["connectionId"]).access_key == KEY
    assert KEY not in answer.text
    assert KEY not in crm.get("/api/connections").text
    assert KEY not in str(crm.sql("SELECT detail FROM audit_log"))


def test_without_a_name_the_creators_own_is_used(crm: Crm) -> None:
    assert connect(crm, name=None).json["name"] == "Mila"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"accountId": "luna"}, "accountId"),
        ({"accountId": "acct_"}, "accountId"),
        ({"accountId": "acct_x/../y"}, "accountId"),
        ({"accountId": "acct_x\n"}, "accountId"),
        ({"platform": "fansly"}, "platform"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"accessKey": ""}, "accessKey"),
        ({"accessKey": "two words"}, "accessKey"),
        ({"accessKey": "k\r\nX: y"}, "accessKey"),
        ({"accessKey": "k" * 501}, "accessKey"),
        ({"state": "active"}, "state"),
    ],
)
def test_a_bad_field_is_named_and_the_gateway_is_not_asked(crm: Crm, changes, field) -> None:
    answer = connect(crm, **changes)

    assert answer.status_code == 422
    assert [one["field"] for one in answer.json["details"]] == [field]
    assert (crm.accounts.calls, rows(crm)) == ([], 2)


@pytest.mark.parametrize(
    ("outcome", "key", "status", "code", "fields"),
    [
        (Outcome.AUTH_LOST, KEY, 422, "invalid", ["accessKey"]),
        (Outcome.AUTH_LOST, None, 422, "invalid", ["accountId"]),
        (Outcome.REFUSED, KEY, 422, "invalid", ["accountId"]),
        (Outcome.QUOTA_EXHAUSTED, KEY, 409, "quota_exhausted", []),
        (Outcome.RATE_LIMITED, KEY, 503, "unavailable", []),
    ],
)
def test_what_the_gateway_refuses_is_not_stored(
    crm: Crm, *, outcome, key, status, code, fields
) -> None:
    crm.accounts.refuses = outcome

    answer = connect(crm, accessKey=key)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert [one["field"] for one in answer.json["details"]] == fields
    assert rows(crm) == 2


def test_nothing_is_stored_while_the_gateway_is_away(crm: Crm) -> None:
    crm.accounts.is_away = True

    answer = connect(crm)

    assert (answer.status_code, answer.json["retryAfterSec"]) == (503, 5)
    assert rows(crm) == 2


def test_an_account_is_connected_once(crm: Crm) -> None:
    connect(crm)

    again = connect(crm, name="Other")

    assert (again.status_code, again.json["code"]) == (409, "connection_exists")
    assert rows(crm) == 3


def test_whose_an_account_is_stays_secret(crm: Crm) -> None:
    answer = connect(crm, "stranger", accountId="acct_luna")

    assert (answer.status_code, answer.json["code"]) == (409, "account_taken")
    assert answer.json["error"] == "this account cannot be connected here"
    assert rows(crm) == 2


def test_only_who_holds_a_good_key_learns_that_an_account_is_taken(crm: Crm) -> None:
    crm.accounts.refuses = Outcome.AUTH_LOST

    assert connect(crm, "stranger", accountId="acct_luna").status_code == 422


def test_an_account_that_somebody_let_go_can_be_connected_by_another(crm: Crm) -> None:
    crm.call("DELETE", f"/api/connections/{crm.connection}")

    answer = connect(crm, "stranger", accountId="acct_luna")

    assert answer.status_code == 201
    assert answer.json["connectionId"] != crm.connection
    taken = connect(crm, accountId="acct_luna")
    assert taken.json["code"] == "account_taken"


def test_disconnecting_keeps_what_waits_says_why_and_forgets_the_key(crm: Crm) -> None:
    made = connect(crm).json["connectionId"]
    crm.connection = made
    queue_message(crm)

    answer = crm.call("DELETE", f"/api/connections/{made}")
    again = crm.call("DELETE", f"/api/connections/{made}")

    assert (answer.status_code, again.status_code) == (204, 204)
    assert (message(crm).state, message(crm).delay, message(crm).wake_after) == (
        "queued",
        "paused",
        None,
    )
    shown = crm.get(f"/api/connections/{made}").json
    assert (shown["state"], shown["stateReason"]) == ("disconnected", "disconnected by hand")
    assert shown["health"]["waiting"] == 1
    row = crm.sql("SELECT access_key FROM platform_connections WHERE id = :id", id=made)[0]
    assert row.access_key is None
    deeds = crm.sql("SELECT action FROM audit_log WHERE subject_id = :id ORDER BY id", id=str(made))
    assert [one.action for one in deeds] == ["connection.connected", "connection.disconnected"]


def test_an_account_that_comes_back_goes_on_with_what_waits(crm: Crm) -> None:
    queue_message(crm)
    crm.call("DELETE", f"/api/connections/{crm.connection}")

    answer = connect(crm, accountId="acct_luna", name=None)

    assert answer.status_code == 201
    assert (answer.json["connectionId"], answer.json["state"]) == (crm.connection, "active")
    assert answer.json["name"] == "acct_luna"
    assert (message(crm).state, message(crm).wake_after is not None) == ("queued", True)
    with crm.services.open_unit_of_work() as work:
        assert work.accounts.of(crm.connection).access_key == KEY
    assert rows(crm) == 2


def test_the_same_request_twice_is_one_connection(crm: Crm) -> None:
    headers = {"Idempotency-Key": "connect-1"}

    first = crm.post("/api/connections", BODY, headers=headers)
    second = crm.post("/api/connections", BODY, headers=headers)
    other = crm.post("/api/connections", BODY | {"name": "X"}, headers=headers)

    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 422)
    assert second.json == first.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(crm.accounts.calls) == 1


@pytest.mark.parametrize(
    ("body", "rate", "burst"),
    [
        ({"ratePerMinute": 6}, 6, None),
        ({"ratePerMinute": 0.5, "burst": 10}, 0.5, 10),
        ({"ratePerMinute": None, "burst": None}, None, None),
    ],
)
def test_limits_change_and_the_waiting_room_hears_of_it(crm: Crm, body, rate, burst) -> None:
    answer = crm.call("PUT", f"/api/connections/{crm.connection}", json=body)

    assert answer.status_code == 200
    assert (answer.json["ratePerMinute"], answer.json["burst"]) == (rate, burst)
    [bucket] = crm.services.room.view([crm.connection])
    assert round(bucket.interval_ms) == round(60_000 / (rate or 10) * 1.005)


def test_what_is_left_out_stays(crm: Crm) -> None:
    path = f"/api/connections/{crm.connection}"
    crm.call("PUT", path, json={"ratePerMinute": 6})

    answer = crm.call("PUT", path, json={"name": "  Luna  "})

    assert (answer.json["name"], answer.json["ratePerMinute"]) == ("Luna", 6)
    detail = crm.sql("SELECT detail FROM audit_log ORDER BY id DESC LIMIT 1")[0].detail
    assert detail == {"fields": ["name"]}
    assert crm.call("PUT", path, json={}).json == answer.json


@pytest.mark.parametrize(
    "body",
    [
        {"ratePerMinute": 0},
        {"ratePerMinute": 60.1},
        {"ratePerMinute": "6"},
        {"burst": 0},
        {"burst": 11},
        {"name": None},
        {"name": " "},
    ],
)
def test_limits_out_of_range_change_nothing(crm: Crm, body) -> None:
    answer = crm.call("PUT", f"/api/connections/{crm.connection}", json=body)

    assert (answer.status_code, [one["field"] for one in answer.json["details"]]) == (422, [*body])
    row = crm.sql("SELECT name, rate_per_minute, burst FROM platform_connections ORDER BY id")[0]
    assert tuple(row) == ("acct_luna", None, None)


def test_a_new_key_wakes_an_account_whose_session_had_ended(crm: Crm) -> None:
    queue_message(crm)
    with crm.services.open_unit_of_work() as work:
        work.connections.set_state(crm.connection, "paused_auth", "signed out")
        work.commit()

    answer = crm.call("PUT", f"/api/connections/{crm.connection}/key", json={"accessKey": KEY})

    assert (answer.status_code, answer.json["state"]) == (200, "active")
    assert message(crm).wake_after is not None
    assert crm.accounts.keys == [KEY]
    assert KEY not in answer.text


def test_a_new_key_leaves_an_account_paused_by_hand(crm: Crm) -> None:
    crm.post(f"/api/connections/{crm.connection}/pause")

    answer = crm.call("PUT", f"/api/connections/{crm.connection}/key", json={"accessKey": KEY})

    assert answer.json["state"] == "paused"


def test_a_refused_key_replaces_nothing(crm: Crm) -> None:
    path = f"/api/connections/{crm.connection}/key"
    crm.call("PUT", path, json={"accessKey": KEY})
    crm.accounts.refuses = Outcome.AUTH_LOST

    answer = crm.call("PUT", path, json={"accessKey": "other"})

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, "accessKey")
    with crm.services.open_unit_of_work() as work:
        assert work.accounts.of(crm.connection).access_key == KEY


def test_a_disconnected_account_only_connects_again(crm: Crm) -> None:
    path = f"/api/connections/{crm.connection}"
    crm.call("DELETE", path)

    answers = [
        crm.call("PUT", path, json={"burst": 2}),
        crm.call("PUT", f"{path}/key", json={"accessKey": KEY}),
        crm.post(f"{path}/pause"),
        crm.post(f"{path}/resume"),
        crm.post(f"{path}/sync"),
    ]

    assert {(one.status_code, one.json["code"]) for one in answers} == {(409, "disconnected")}


CALLS = [
    ("GET", "", None),
    ("PUT", "", {"burst": 2}),
    ("PUT", "/key", {"accessKey": KEY}),
    ("DELETE", "", None),
    ("POST", "/sync", None),
    ("POST", "/pause", None),
]


@pytest.mark.parametrize(("method", "more", "body"), CALLS)
def test_somebody_elses_account_is_missing(crm: Crm, method: str, more: str, body) -> None:
    path = f"/api/connections/{crm.foreign_connection}{more}"

    answer = crm.call(method, path, json=body) if body else crm.call(method, path)

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert crm.accounts.calls == []


@pytest.mark.parametrize(("method", "more", "body"), CALLS[1:])
@pytest.mark.parametrize("role", ["chatter", "analyst"])
def test_only_who_manages_may_change_an_account(crm: Crm, method, more, body, role) -> None:
    path = f"/api/connections/{crm.connection}{more}"

    answer = crm.call(method, path, role, json=body) if body else crm.call(method, path, role)

    assert answer.status_code == 403
    assert connect(crm, role).status_code == 403
    assert rows(crm) == 2


def test_every_role_sees_an_accounts_health(crm: Crm) -> None:
    shown = crm.get(f"/api/connections/{crm.connection}", "analyst").json

    assert shown["health"]["waiting"] == 0
    assert (shown["health"]["lastSyncAt"], shown["health"]["syncError"]) == (None, None)
    assert shown["health"]["nextSyncAt"] is not None
