"""Saved views: names, filters, counts, and using them."""

import pytest

from tests.crm import Crm
from tests.inbox import Inbox, minutes

VIEWS = "/api/crm/views"


def save(crm: Crm, name: str = "Whales", role: str = "owner", **asked: object):
    return crm.post(VIEWS, {"name": name, "filter": asked}, role)


def test_a_view_is_saved_listed_and_used(crm: Crm, inbox: Inbox) -> None:
    whale = inbox.conversation(crm.fan(tier="whale"))
    inbox.conversation()

    made = save(crm, " Whales ", tier="whale", **{"from": "2026-01-01T00:00:00Z"})
    view = made.json["view"]
    listed = crm.get(VIEWS).json

    assert made.status_code == 201
    assert (view["name"], view["count"], view["countCapped"]) == ("Whales", 1, False)
    given = {name: one for name, one in view["filter"].items() if one is not None}
    assert given == {"tier": "whale", "from": "2026-01-01T00:00:00.000Z"}
    assert listed["views"] == [view]
    found = crm.get(f"/api/crm/conversations?view={view['id']}").json
    assert [one["id"] for one in found["conversations"]] == [whale]


def test_built_in_views_are_counted_and_used(crm: Crm, inbox: Inbox) -> None:
    unread = inbox.conversation()
    inbox.message(unread)
    failed = inbox.conversation()
    inbox.message(failed, direction="out", state="failed")

    listed = crm.get(VIEWS).json["builtIn"]

    assert [(one["id"], one["count"]) for one in listed] == [
        ("unread", 1),
        ("unreplied", 1),
        ("failed", 1),
    ]
    for name, talk in (("unread", unread), ("unreplied", unread), ("failed", failed)):
        found = crm.get(f"/api/crm/conversations?view={name}").json["conversations"]
        assert [one["id"] for one in found] == [talk]


def test_what_is_asked_beside_a_view_wins(crm: Crm, inbox: Inbox) -> None:
    whale, new = (inbox.conversation(crm.fan(tier=tier), last_message_at=minutes(1))
                  for tier in ("whale", "new"))  # fmt: skip
    view = save(crm, tier="whale").json["view"]["id"]

    found = crm.get(f"/api/crm/conversations?view={view}&tier=new").json["conversations"]

    assert [one["id"] for one in found] == [new]
    assert whale != new


def test_a_view_is_changed_in_part_and_removed(crm: Crm) -> None:
    view = save(crm, unread=True).json["view"]

    renamed = crm.call("PUT", f"{VIEWS}/{view['id']}", json={"name": "Mine"}).json["view"]
    narrowed = crm.call("PUT", f"{VIEWS}/{view['id']}", json={"filter": {"q": "anna"}}).json["view"]
    removed = crm.call("DELETE", f"{VIEWS}/{view['id']}")

    assert (renamed["name"], renamed["filter"]) == ("Mine", view["filter"])
    assert (narrowed["name"], narrowed["filter"]["q"], narrowed["filter"]["unread"]) == (
        "Mine",
        "anna",
        None,
    )
    assert (removed.status_code, removed.data, crm.get(VIEWS).json["views"]) == (204, b"", [])
    assert crm.get(f"/api/crm/conversations?view={view['id']}").status_code == 404
    actions = [one.action for one in crm.sql("SELECT action FROM audit_log ORDER BY id")]
    assert actions == ["view.created", "view.changed", "view.changed", "view.removed"]


def test_a_name_is_taken_whatever_its_case(crm: Crm) -> None:
    save(crm, "Whales")
    other = save(crm, "Other").json["view"]["id"]

    twice = save(crm, "WHALES")
    renamed = crm.call("PUT", f"{VIEWS}/{other}", json={"name": "whales"})

    assert (twice.status_code, twice.json["code"]) == (409, "name_taken")
    assert (renamed.status_code, renamed.json["code"]) == (409, "name_taken")
    assert len(crm.get(VIEWS).json["views"]) == 2
    assert save(crm, "Whales", "stranger").status_code == 201


def test_a_repeated_key_saves_once(crm: Crm) -> None:
    body, key = {"name": "Whales", "filter": {}}, {"Idempotency-Key": "one"}

    first = crm.post(VIEWS, body, headers=key)
    second = crm.post(VIEWS, body, headers=key)

    assert (second.status_code, second.json) == (201, first.json)
    assert second.headers["Idempotent-Replayed"] == "true"


def test_there_are_at_most_twenty(crm: Crm) -> None:
    answers = [save(crm, f"View {number}").status_code for number in range(21)]

    assert answers == [201] * 20 + [409]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " ", "filter": {}}, "name"),
        ({"name": "x" * 101, "filter": {}}, "name"),
        ({"name": "x"}, "filter"),
        ({"name": "x", "filter": {"tier": "gold"}}, "filter.tier"),
        ({"name": "x", "filter": {"unread": "yes"}}, "filter.unread"),
        ({"name": "x", "filter": {"other": 1}}, "filter.other"),
        # In UTC it lies before the first year, which nothing of ours can spell.
        ({"name": "x", "filter": {"from": "0001-01-01T00:00:00+14:00"}}, "filter.from"),
        ({"name": "x", "filter": {"to": "9999-12-31T23:59:59-14:00"}}, "filter.to"),
        (
            {
                "name": "x",
                "filter": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            },
            "to",
        ),
    ],
)
def test_a_bad_view_is_refused_by_the_name_of_its_field(
    crm: Crm, body: dict[str, object], field: str
) -> None:
    answer = crm.post(VIEWS, body)

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
    assert crm.get(VIEWS).json["views"] == []


def test_others_views_are_not_there(crm: Crm) -> None:
    view = save(crm).json["view"]["id"]

    assert crm.get(VIEWS, "stranger").json["views"] == []
    assert crm.get(f"/api/crm/conversations?view={view}", "stranger").status_code == 404
    for method in ("PUT", "DELETE"):
        answer = crm.call(method, f"{VIEWS}/{view}", "stranger", json={"name": "mine"})
        assert answer.status_code == 404
    assert save(crm, "x", "analyst").status_code == 403
    assert crm.get(VIEWS, "analyst").json["views"][0]["name"] == "Whales"
