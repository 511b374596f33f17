"""Linking fans to users of the platform, by hand and by handle."""

import pytest

from domain.messages import Outcome
from tests.crm import Crm


def unlinked(crm: Crm, handle: str = "@alex1") -> int:
    return crm.fan(handle=handle, connection_id=None)


def link(crm: Crm, fan: int, role: str = "owner", **body: object):
    return crm.post(f"/api/crm/fans/{fan}/link", {"connectionId": crm.connection} | body, role)


def linked_to(crm: Crm, fan: int) -> tuple[object, ...]:
    row = crm.sql(
        "SELECT connection_id, platform_user_id, version FROM fans WHERE id = :id", id=fan
    )
    return tuple(row[0])


def test_a_fan_is_found_by_its_handle(crm: Crm) -> None:
    fan = unlinked(crm, "@Alex1")
    crm.accounts.add_fan("acct_luna", "500361", "alex1")

    answer = link(crm, fan)

    assert answer.status_code == 200
    assert answer.json == {
        "fanId": fan,
        "recipientId": f"fan_{fan}",
        "connectionId": crm.connection,
        "platformUserId": "500361",
        "version": 2,
    }
    assert linked_to(crm, fan) == (crm.connection, "500361", 2)
    change = crm.sql("SELECT source, before, after FROM fan_changes")[0]
    assert tuple(change) == (
        "person",
        {"connection_id": None, "platform_user_id": None},
        {"connection_id": crm.connection, "platform_user_id": "500361"},
    )
    assert [one.action for one in crm.sql("SELECT action FROM audit_log")] == ["fan.linked"]


def test_a_linked_fan_can_be_written_to(crm: Crm) -> None:
    fan = unlinked(crm)
    body = {"recipientId": f"fan_{fan}", "content": "Hello"}
    before = crm.post("/api/onlyfans/messages/send", body)

    link(crm, fan, platformUserId="500361")

    assert before.json["code"] == "fan_not_linked"
    assert crm.post("/api/onlyfans/messages/send", body).status_code == 202
    assert crm.accounts.calls == []


def test_a_handle_that_no_fan_of_the_account_has_is_not_on_the_platform(crm: Crm) -> None:
    fan = unlinked(crm)
    crm.accounts.add_fan("acct_mila", "500361", "alex1")

    answer = link(crm, fan)

    assert (answer.status_code, answer.json["code"]) == (404, "not_on_platform")
    assert linked_to(crm, fan) == (None, None, 1)


def test_one_user_of_the_platform_is_one_fan(crm: Crm) -> None:
    first, second = unlinked(crm), unlinked(crm, "@other")
    link(crm, first, platformUserId="77")

    answer = link(crm, second, platformUserId="77")

    assert (answer.status_code, answer.json["code"]) == (409, "already_linked")
    assert f"fan_{first} " in answer.json["error"]
    assert linked_to(crm, second) == (None, None, 1)


def test_a_deleted_fans_user_is_free_again(crm: Crm) -> None:
    first, second = unlinked(crm), unlinked(crm, "@other")
    link(crm, first, platformUserId="77")
    crm.sql("UPDATE fans SET deleted_at = now() WHERE id = :id", id=first)

    assert link(crm, second, platformUserId="77").status_code == 200


def test_the_same_link_again_changes_nothing(crm: Crm) -> None:
    fan = unlinked(crm)
    first = link(crm, fan, platformUserId="77")

    assert link(crm, fan, platformUserId="77").json == first.json
    assert crm.sql("SELECT count(*) AS n FROM fan_changes")[0].n == 1


@pytest.mark.parametrize("number", ["0", "abc", "-1", "1.5", "", " 7", "7\n", "٣", "9" * 20, 7])
def test_an_id_that_is_none_is_refused(crm: Crm, number: object) -> None:
    fan = unlinked(crm)

    answer = link(crm, fan, platformUserId=number)

    assert answer.status_code == 422
    assert [one["field"] for one in answer.json["details"]] == ["platformUserId"]
    assert linked_to(crm, fan) == (None, None, 1)


def test_while_messages_wait_a_link_stays(crm: Crm) -> None:
    fan = crm.fan()
    before = linked_to(crm, fan)
    crm.post("/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": "Hi"})

    other = link(crm, fan, platformUserId="99")
    gone = crm.call("DELETE", f"/api/crm/fans/{fan}/link")

    assert {(one.status_code, one.json["code"]) for one in (other, gone)} == {
        (409, "messages_waiting")
    }
    assert linked_to(crm, fan) == before
    crm.sql("UPDATE messages SET state = 'cancelled'")
    assert crm.call("DELETE", f"/api/crm/fans/{fan}/link").status_code == 204


def test_an_unlinked_fan_keeps_its_conversations_and_may_be_unlinked_again(crm: Crm) -> None:
    fan = crm.fan()
    crm.sql(
        "INSERT INTO conversations (user_id, fan_id, connection_id) VALUES (:o, :f, :c)",
        o=crm.owner,
        f=fan,
        c=crm.connection,
    )

    answers = [crm.call("DELETE", f"/api/crm/fans/{fan}/link").status_code for _ in range(2)]

    assert answers == [204, 204]
    assert linked_to(crm, fan)[:2] == (None, None)
    assert crm.sql("SELECT count(*) AS n FROM conversations")[0].n == 1
    assert [one.action for one in crm.sql("SELECT action FROM audit_log")] == ["fan.unlinked"]


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.AUTH_LOST, 409, "auth_lost"),
        (Outcome.RATE_LIMITED, 503, "unavailable"),
        (None, 503, "unavailable"),
    ],
)
def test_a_gateway_that_does_not_help_links_nothing(crm: Crm, outcome, status, code) -> None:
    fan = unlinked(crm)
    crm.accounts.refuses, crm.accounts.is_away = outcome, outcome is None

    answer = link(crm, fan)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert linked_to(crm, fan) == (None, None, 1)


def test_a_disconnected_account_links_nobody(crm: Crm) -> None:
    fan = unlinked(crm)
    crm.call("DELETE", f"/api/connections/{crm.connection}")

    assert link(crm, fan, platformUserId="7").json["code"] == "disconnected"


def test_foreign_fans_and_accounts_are_missing(crm: Crm) -> None:
    fan, foreign = unlinked(crm), crm.foreign_fan()

    answers = [
        link(crm, foreign, platformUserId="7"),
        link(crm, fan, connectionId=crm.foreign_connection, platformUserId="7"),
        link(crm, 10**9, platformUserId="7"),
        crm.call("DELETE", f"/api/crm/fans/{foreign}/link"),
    ]

    assert {(one.status_code, one.json["code"]) for one in answers} == {(404, "not_found")}
    assert linked_to(crm, fan) == (None, None, 1)


def test_an_analyst_may_not_link(crm: Crm) -> None:
    fan = unlinked(crm)

    assert link(crm, fan, "analyst", platformUserId="7").status_code == 403
    assert crm.call("DELETE", f"/api/crm/fans/{fan}/link", "analyst").status_code == 403
    assert link(crm, fan, "chatter", platformUserId="7").status_code == 200


def test_a_fan_deleted_while_the_gateway_is_asked_is_missing(crm: Crm) -> None:
    fan = unlinked(crm)
    crm.accounts.add_fan("acct_luna", "7", "alex1")
    crm.accounts.during = lambda: crm.sql("UPDATE fans SET deleted_at = now()")

    assert link(crm, fan).status_code == 404
