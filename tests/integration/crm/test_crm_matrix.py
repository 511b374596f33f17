"""Every route with every kind of caller: nobody, a bad token, a removed user, a stranger, each role.

A new route needs a line in ROUTES: its permission, and a body that passes the schema. Where its
address holds an id, `ids` says which row of the owner's that is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.auth import PUBLIC
from api.limits import PAGES
from domain.imports import Column
from domain.users import PERMISSIONS, Permission, Role
from tests import webhooks
from tests.crm import Crm
from tests.importing import upload
from tests.webhooks import deliver

ROLES = tuple(Role)
SEND = {"recipientId": "fan_1", "content": "Hi"}
BULK = {"recipientIds": ["fan_1"], "content": "Hi", "campaignName": "Sale"}
MONEY = {"type": "tip", "grossCents": 500, "happenedAt": "2026-06-01T10:00:00Z"}


@dataclass(frozen=True)
class Line:
    """What a route asks for: a permission (None: any login will do), and what makes it valid."""

    permission: Permission | None
    body: dict[str, Any] | None = None
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)


ROUTES: dict[str, Line] = {
    "GET /api/auth/me": Line(None),
    "PUT /api/auth/password": Line(None, {"current": "not it", "new": "correct horse"}),
    # Access
    "GET /api/audit": Line(Permission.AUDIT),
    "GET /api/keys": Line(Permission.KEYS),
    "POST /api/keys": Line(Permission.KEYS, {"name": "CI"}),
    "DELETE /api/keys/<int:key_id>": Line(Permission.KEYS),
    "GET /api/team": Line(Permission.TEAM),
    "POST /api/team": Line(
        Permission.TEAM,
        {"email": "new@example.com", "role": "chatter", "password": "correct horse"},
    ),
    "PUT /api/team/<int:user_id>": Line(Permission.TEAM, {"timeZone": "Europe/Paris"}),
    "DELETE /api/team/<int:user_id>": Line(Permission.TEAM),
    # Dead letters
    "GET /api/onlyfans/dead-letters": Line(Permission.READ),
    "POST /api/onlyfans/dead-letters/<uuid:message_id>/redrive": Line(Permission.SEND),
    "POST /api/onlyfans/dead-letters/<uuid:message_id>/discard": Line(Permission.SEND),
    # Snippets
    "GET /api/snippets": Line(Permission.SEND),
    "POST /api/snippets": Line(
        Permission.MANAGE, {"title": "Hello", "shortcut": "hello", "text": "Hi {name|you}"}
    ),
    "PUT /api/snippets/<int:snippet_id>": Line(Permission.MANAGE, {"title": "Hi"}),
    "DELETE /api/snippets/<int:snippet_id>": Line(Permission.MANAGE),
    "GET /api/snippets/<int:snippet_id>/rendered": Line(Permission.SEND, query="?fanId=1"),
    # Notifications
    "GET /api/notifications": Line(Permission.READ),
    "GET /api/notifications/unseen": Line(Permission.READ),
    "POST /api/notifications/seen": Line(Permission.READ, {"upTo": 1}),
    # Settings
    "GET /api/settings/banned-words": Line(Permission.READ),
    "PUT /api/settings/banned-words": Line(Permission.MANAGE, {"words": ["coffee"]}),
    # Fans
    "GET /api/crm/fans": Line(Permission.READ),
    "POST /api/crm/fans/<int:fan_id>/link": Line(
        Permission.EDIT, {"connectionId": 1, "platformUserId": "77"}
    ),
    "DELETE /api/crm/fans/<int:fan_id>/link": Line(Permission.EDIT),
    # The inbox
    "GET /api/crm/conversations": Line(Permission.READ),
    "GET /api/crm/conversations/<int:conversation_id>": Line(Permission.READ),
    "GET /api/crm/conversations/<int:conversation_id>/messages": Line(Permission.READ),
    "POST /api/crm/conversations/<int:conversation_id>/messages": Line(
        Permission.SEND, {"text": "Hi"}
    ),
    "POST /api/crm/conversations/<int:conversation_id>/read": Line(Permission.SEND),
    "POST /api/crm/conversations/<int:conversation_id>/unread": Line(Permission.SEND),
    "GET /api/crm/messages": Line(Permission.READ),
    "GET /api/crm/views": Line(Permission.READ),
    "POST /api/crm/views": Line(Permission.EDIT, {"name": "Mine", "filter": {}}),
    "PUT /api/crm/views/<int:view_id>": Line(Permission.EDIT, {"name": "Yours"}),
    "DELETE /api/crm/views/<int:view_id>": Line(Permission.EDIT),
    "POST /api/crm/fans": Line(
        Permission.EDIT, {"name": "New", "platform": "onlyfans", "handle": "new"}
    ),
    "GET /api/crm/fans/<int:fan_id>": Line(Permission.READ),
    "PUT /api/crm/fans/<int:fan_id>": Line(Permission.EDIT, {"notes": "kind"}),
    "GET /api/crm/fans/<int:fan_id>/changes": Line(Permission.READ),
    "GET /api/crm/fans/<int:fan_id>/export": Line(Permission.EXPORT),
    "POST /api/crm/fans/tags": Line(Permission.EDIT, {"filter": {}, "add": ["vip"]}),
    "GET /api/crm/tags": Line(Permission.READ),
    "GET /api/crm/fans/duplicates": Line(Permission.READ),
    "POST /api/crm/fans/<int:fan_id>/merge": Line(Permission.EDIT, {"otherId": 1_000_000}),
    "GET /api/crm/merges": Line(Permission.READ),
    "POST /api/crm/merges/<int:merge_id>/undo": Line(Permission.EDIT),
    "DELETE /api/crm/fans/<int:fan_id>": Line(Permission.EDIT),
    "POST /api/crm/fans/<int:fan_id>/restore": Line(Permission.EDIT),
    "GET /api/crm/segments": Line(Permission.READ),
    "POST /api/crm/segments": Line(Permission.EDIT, {"name": "New", "filter": {}}),
    "GET /api/crm/segments/<int:segment_id>": Line(Permission.READ),
    "PUT /api/crm/segments/<int:segment_id>": Line(Permission.EDIT, {"name": "Other"}),
    "DELETE /api/crm/segments/<int:segment_id>": Line(Permission.EDIT),
    "GET /api/crm/tier-rules": Line(Permission.READ),
    "PUT /api/crm/tier-rules": Line(
        Permission.MANAGE,
        {"whaleCents": 1000, "spenderCents": 100, "quietDays": 30, "newDays": 14},
    ),
    # Campaigns
    "POST /api/messages/bulk": Line(Permission.SEND, BULK),
    "POST /api/messages/bulk/estimate": Line(
        Permission.SEND, {"recipientIds": ["fan_1"], "content": "Hi"}
    ),
    "POST /api/messages/bulk/test": Line(Permission.SEND, {"content": "Hi"}),
    "GET /api/messages/bulk": Line(Permission.READ),
    "GET /api/messages/bulk/<uuid:campaign_id>": Line(Permission.READ),
    "GET /api/messages/bulk/<uuid:campaign_id>/recipients": Line(Permission.READ),
    "PUT /api/messages/bulk/<uuid:campaign_id>/status": Line(Permission.SEND, {"status": "paused"}),
    "POST /api/messages/bulk/<uuid:campaign_id>/retry": Line(Permission.SEND),
    # Imports
    "POST /api/onlyfans/import/csv": Line(Permission.IMPORT),
    "GET /api/onlyfans/import/csv": Line(Permission.READ),
    "GET /api/onlyfans/import/csv/<int:import_id>": Line(Permission.READ),
    "GET /api/onlyfans/import/csv/<int:import_id>/errors": Line(Permission.READ),
    "GET /api/onlyfans/import/csv/<int:import_id>/errors.csv": Line(Permission.EXPORT),
    "GET /api/onlyfans/import/csv/<int:import_id>/preview": Line(Permission.READ),
    "GET /api/onlyfans/import/csv/<int:import_id>/kept": Line(Permission.READ),
    "POST /api/onlyfans/import/csv/<int:import_id>/confirm": Line(
        Permission.IMPORT, headers={"Prefer": "respond-async"}
    ),
    "POST /api/onlyfans/import/csv/<int:import_id>/cancel": Line(Permission.IMPORT),
    "POST /api/onlyfans/import/csv/<int:import_id>/undo": Line(
        Permission.IMPORT, headers={"Prefer": "respond-async"}
    ),
    "GET /api/onlyfans/import/csv/mappings": Line(Permission.READ),
    "DELETE /api/onlyfans/import/csv/mappings/<int:mapping_id>": Line(Permission.IMPORT),
    # Money and the journal
    "GET /api/crm/transactions": Line(Permission.MONEY),
    "POST /api/crm/transactions": Line(Permission.MANAGE, MONEY),
    "POST /api/crm/transactions/<int:transaction_id>/reverse": Line(Permission.MANAGE),
    "GET /api/analytics/overview": Line(Permission.MONEY),
    "GET /api/analytics/revenue": Line(Permission.MONEY),
    "GET /api/analytics/top-fans": Line(Permission.MONEY),
    "GET /api/analytics/messages": Line(Permission.MONEY),
    "GET /api/analytics/export.csv": Line(Permission.EXPORT, query="?part=days"),
    "GET /api/crm/events": Line(Permission.MANAGE),
    "POST /api/crm/events/<int:event_id>/replay": Line(Permission.MANAGE),
    # Messages
    "POST /api/onlyfans/messages/send": Line(Permission.SEND, SEND),
    "GET /api/onlyfans/messages/status": Line(Permission.READ),
    "GET /api/onlyfans/messages/<uuid:message_id>": Line(Permission.READ),
    "GET /api/onlyfans/messages/<uuid:message_id>/evidence": Line(Permission.READ),
    "POST /api/onlyfans/messages/<uuid:message_id>/cancel": Line(Permission.SEND),
    "POST /api/onlyfans/messages/<uuid:message_id>/retry": Line(Permission.SEND),
    "POST /api/onlyfans/messages/<uuid:message_id>/confirm": Line(Permission.SEND),
    "POST /api/onlyfans/messages/<uuid:message_id>/unsend": Line(Permission.SEND),
    # Accounts and pace
    "GET /api/connections": Line(Permission.READ),
    "POST /api/connections": Line(
        Permission.MANAGE, {"platform": "onlyfans", "accountId": "acct_mila"}
    ),
    "GET /api/connections/<int:connection_id>": Line(Permission.READ),
    "PUT /api/connections/<int:connection_id>": Line(Permission.MANAGE, {"burst": 2}),
    "PUT /api/connections/<int:connection_id>/key": Line(Permission.MANAGE, {"accessKey": "key"}),
    "DELETE /api/connections/<int:connection_id>": Line(Permission.MANAGE),
    "POST /api/connections/<int:connection_id>/sync": Line(Permission.MANAGE),
    "POST /api/connections/<int:connection_id>/pause": Line(Permission.MANAGE),
    "POST /api/connections/<int:connection_id>/resume": Line(Permission.MANAGE),
    "GET /api/onlyfans/limiter": Line(Permission.READ),
    "GET /api/monitoring/onlyfans": Line(Permission.READ),
}
# Flask's own, for files that we do not have.
UNDESCRIBED = {"GET /static/<path:filename>"}


@pytest.fixture
def ids(crm: Crm) -> dict[str, object]:
    """A row of the owner's for each name of an id in an address."""
    fan = crm.fan()
    sent = crm.post("/api/onlyfans/messages/send", SEND | {"recipientId": f"fan_{fan}"})
    campaign = crm.post("/api/messages/bulk", BULK | {"recipientIds": [f"fan_{fan}"]})
    key = crm.post("/api/keys", {"name": "CI"})
    snippet = crm.post("/api/snippets", {"title": "Bye", "shortcut": "bye", "text": "Bye"})
    view = crm.post("/api/crm/views", {"name": "All", "filter": {}})
    [talk] = crm.sql("SELECT id FROM conversations")
    kept, other = (crm.fan(connection_id=None) for _ in range(2))
    merged = crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": other})
    segment = crm.post("/api/crm/segments", {"name": "All", "filter": {}})
    money = crm.post("/api/crm/transactions", MONEY)
    deliver(crm, webhooks.deleted(1))
    uploaded = upload(crm, "Username\nann\n")
    with crm.services.open_unit_of_work() as work:
        work.imports.save_mapping(crm.owner, ["Login"], {Column.USERNAME: "Login"})
        [mapping] = work.imports.mappings(crm.owner)
        leaving = work.users.add("leaving@example.com", "-", Role.CHATTER, crm.owner, "UTC")
        work.commit()
    return {
        "connection_id": crm.connection,
        "fan_id": fan,
        "conversation_id": talk.id,
        "merge_id": merged.json["mergeId"],
        "segment_id": segment.json["segment"]["id"],
        "campaign_id": campaign.json["campaignId"],
        "import_id": uploaded.json["importId"],
        "mapping_id": mapping.id,
        "event_id": crm.sql("SELECT id FROM platform_events")[0].id,
        "key_id": key.json["key"]["id"],
        "message_id": sent.json["messageId"],
        "snippet_id": snippet.json["snippet"]["id"],
        "transaction_id": money.json["transaction"]["id"],
        "user_id": leaving.id,
        "view_id": view.json["view"]["id"],
        "filename": "x",
    }


def described(crm: Crm) -> Iterator[str]:
    """METHOD and address of every route of the API that needs a login."""
    for rule in crm.client.application.url_map.iter_rules():
        if rule.rule not in PUBLIC and not rule.endpoint.startswith(PAGES):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield f"{method} {rule.rule}"


def ask(crm: Crm, route: str, ids: dict[str, object], headers: dict[str, str]) -> Any:
    method, rule = route.split(" ", 1)
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(ids[found[1]]), rule)
    line = ROUTES.get(route, Line(None))
    body = line.body if line.body is not None or method == "GET" else {}
    more = {} if body is None else {"json": body}
    answer = crm.client.open(
        path + line.query, method=method, headers=headers | line.headers, **more
    )
    answer.close()
    return answer


def test_every_route_has_its_line_and_every_line_its_route(crm: Crm) -> None:
    assert set(described(crm)) - UNDESCRIBED == set(ROUTES)


def test_without_a_good_login_nothing_answers(crm: Crm, ids: dict[str, object]) -> None:
    removed = crm.users["chatter"]
    crm.sql("UPDATE users SET removed_at = now() WHERE id = :id", id=removed.id)
    nobody = {
        "no token": {},
        "a bad token": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        "a bad key": {"Authorization": f"Bearer hz_{'x' * 43}"},
        "a removed user": crm.bearer("chatter"),
        "an expired token": {
            "Authorization": "Bearer "
            + crm.services.tokens.issue(crm.users["owner"], datetime(2025, 1, 1, tzinfo=UTC)).text
        },
    }

    wrong = [
        (route, who, answer.status_code)
        for route in described(crm)
        for who, headers in nobody.items()
        if (answer := ask(crm, route, ids, headers)).status_code != 401
        or answer.json["error"] != "Not authenticated"
    ]

    assert wrong == []


def test_somebody_elses_rows_are_not_there(crm: Crm, ids: dict[str, object]) -> None:
    stranger = crm.bearer("stranger")
    with_ids = [route for route in ROUTES if "<" in route]

    wrong = [
        (route, answer.status_code)
        for route in with_ids
        if (answer := ask(crm, route, ids, stranger)).status_code != 404
    ]

    assert wrong == []
    assert len(with_ids) > 5


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_nothing_else(
    crm: Crm, ids: dict[str, object], role: Role
) -> None:
    headers, allowed = crm.bearer(role), PERMISSIONS[role]
    wrong = []
    for route, line in ROUTES.items():
        status = ask(crm, route, ids, headers).status_code
        may = line.permission is None or line.permission in allowed
        if (status == 403) == may or status == 401 or status >= 500:
            wrong.append((route, may, status))

    assert wrong == []


def test_no_role_sees_less_with_a_key_than_with_a_login(crm: Crm, ids: dict[str, object]) -> None:
    secret = crm.post("/api/keys", {"name": "All"}).json["secret"]
    key = {"Authorization": f"Bearer {secret}"}

    refused = {route for route in ROUTES if ask(crm, route, ids, key).status_code in {401, 403}}

    assert refused == {
        "PUT /api/auth/password",
        "POST /api/keys",
        "POST /api/team",
        "PUT /api/team/<int:user_id>",
        "DELETE /api/team/<int:user_id>",
    }


def test_while_the_product_is_off_no_route_answers_anybody(
    crm: Crm, ids: dict[str, object]
) -> None:
    app = crm.client.application
    services, clock = app.extensions["huntaze"]
    off = services.settings.model_copy(update={"onlyfans_crm_enabled": False})

    app.extensions["huntaze"] = replace(services, settings=off), clock
    owner = crm.bearer()

    found = [
        (route, headers == owner, status)
        for route in described(crm)
        for headers in (owner, {})
        if (status := ask(crm, route, ids, headers).status_code) != 404
    ]

    assert found == []
    hidden = ("/openapi.json", "/docs", "/docs.css")
    assert [crm.client.get(path).status_code for path in hidden] == [404, 404, 404]
    assert crm.client.put("/api/crm/fans").status_code == 404
    assert crm.client.options("/api/crm/fans").status_code == 404
    assert crm.client.get("/health").status_code == 200
