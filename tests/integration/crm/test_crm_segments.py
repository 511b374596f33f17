"""Tags in bulk, segments with their counts, and tiers that follow their rules."""

import pytest

from domain.segments import SegmentId
from tests.crm import Crm

RULES = {"whaleCents": 1000, "spenderCents": 100, "quietDays": 30, "newDays": 14}


def tags(crm: Crm) -> dict[int, list[str]]:
    return {one.id: one.tags for one in crm.sql("SELECT id, tags FROM fans ORDER BY id")}


def tiers(crm: Crm) -> dict[int, str | None]:
    rows = crm.sql("SELECT id, tier FROM fans WHERE deleted_at IS NULL ORDER BY id")
    return {one.id: one.tier for one in rows}


def saved(crm: Crm, name: str = "Whales", **sought: object) -> dict:
    answer = crm.post("/api/crm/segments", {"name": name, "filter": sought})
    assert answer.status_code == 201, answer.json
    return answer.json["segment"]


# Tags


def test_tags_are_added_and_removed_in_bulk(crm: Crm) -> None:
    one, two = crm.fan(tags=["a", "b"]), crm.fan(tags=["b"])
    untouched = crm.fan(tags=["a"])

    answer = crm.post(
        "/api/crm/fans/tags",
        {"fanIds": [one, two, two], "add": [" NEW ", "b"], "remove": ["A"]},
        "chatter",
    )

    assert answer.json == {"matched": 2, "changed": 2}
    assert tags(crm) == {one: ["b", "new"], two: ["b", "new"], untouched: ["a"]}
    lines = crm.sql("SELECT fan_id, actor_id, before, after FROM fan_changes ORDER BY fan_id")
    actor = crm.users["chatter"].id
    assert [tuple(line) for line in lines] == [
        (one, actor, {"tags": ["a", "b"]}, {"tags": ["b", "new"]}),
        (two, actor, {"tags": ["b"]}, {"tags": ["b", "new"]}),
    ]
    assert [one.version for one in crm.sql("SELECT version FROM fans ORDER BY id")] == [2, 2, 1]


def test_tags_of_all_that_pass_a_filter(crm: Crm) -> None:
    rich, poor = crm.fan(value_cents=900), crm.fan()
    foreign = crm.foreign_fan()
    body = {"filter": {"minSpendCents": 500}, "add": ["rich"]}

    first = crm.post("/api/crm/fans/tags", body, headers={"Idempotency-Key": "k"})
    again = crm.post("/api/crm/fans/tags", body, headers={"Idempotency-Key": "k"})
    anew = crm.post("/api/crm/fans/tags", body)

    assert first.json == again.json == {"matched": 1, "changed": 1}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert anew.json == {"matched": 1, "changed": 0}
    assert tags(crm) == {rich: ["rich"], poor: [], foreign: []}


def test_foreign_and_unknown_ids_are_listed_alike_and_nothing_changes(crm: Crm) -> None:
    fan, foreign, gone = crm.fan(), crm.foreign_fan(), crm.fan()
    crm.call("DELETE", f"/api/crm/fans/{gone}")

    answer = crm.post("/api/crm/fans/tags", {"fanIds": [fan, foreign, gone, 999], "add": ["x"]})

    assert answer.status_code == 422
    assert answer.json["details"] == [
        {"field": "fanIds", "message": f"no fan {one}"} for one in (foreign, gone, 999)
    ]
    assert set(map(tuple, tags(crm).values())) == {()}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"add": ["x"]}, "fanIds"),
        ({"fanIds": [], "add": ["x"]}, "fanIds"),
        ({"fanIds": [1], "filter": {}, "add": ["x"]}, "fanIds"),
        ({"fanIds": list(range(1, 1002)), "add": ["x"]}, "fanIds"),
        ({"fanIds": [2**63], "add": ["x"]}, "fanIds.0"),
        ({"fanIds": [1], "add": ["x" * 51]}, "add"),
        ({"fanIds": [1], "add": ["x"], "remove": ["X"]}, "remove"),
        ({"filter": {"tier": "rich"}, "add": ["x"]}, "filter.tier"),
        ({"filter": {"deleted": True}, "add": ["x"]}, "filter.deleted"),
        ({"fanIds": [1], "add": [f"t{n}" for n in range(50)]}, "add"),
    ],
)
def test_a_bad_bulk_request_is_named_and_changes_nothing(crm: Crm, body: dict, field: str) -> None:
    crm.fan(tags=["full"])

    answer = crm.post("/api/crm/fans/tags", body)

    assert answer.status_code == 422
    assert {one["field"] for one in answer.json["details"]} == {field}
    assert tags(crm) == {1: ["full"]}


def test_tags_are_counted_most_used_first(crm: Crm) -> None:
    crm.fan(tags=["b", "a"])
    crm.fan(tags=["b"])
    crm.foreign_fan()
    crm.sql("UPDATE fans SET tags = '{theirs}' WHERE user_id <> :owner", owner=crm.owner)

    assert crm.get("/api/crm/tags").json == {
        "tags": [{"tag": "b", "fans": 2}, {"tag": "a", "fans": 1}],
        "countedFans": 2,
        "totalCapped": False,
    }


# Segments


def test_a_segment_is_saved_counted_and_listed(crm: Crm) -> None:
    one, _ = crm.fan("One", tags=["vip"], tier="whale"), crm.fan("Two", tags=["vip"])
    segment = saved(crm, tag=["VIP"], tier="whale", seenAfter="2020-01-01", linked=True)
    crm.sql("UPDATE fans SET last_seen_at = now()")

    read = crm.get(f"/api/crm/segments/{segment['id']}").json["segment"]
    fans = crm.get(f"/api/crm/fans?segment={segment['id']}").json

    assert segment["filter"] == {
        "tag": ["vip"],
        "tier": "whale",
        "seenAfter": "2020-01-01T00:00:00+00:00",
        "linked": True,
    }
    assert (segment["count"], read["count"], read["countCapped"]) == (0, 1, False)
    assert ([fan["id"] for fan in fans["fans"]], fans["total"]) == ([one], 1)
    assert crm.get("/api/crm/segments").json == {"segments": [read]}
    assert crm.get(f"/api/crm/fans?segment={segment['id']}&q=two").json["fans"] == []


def test_a_segment_changes_and_goes(crm: Crm) -> None:
    crm.fan(tier="whale")
    segment = saved(crm, tier="whale")
    path = f"/api/crm/segments/{segment['id']}"

    named = crm.call("PUT", path, json={"name": "Others"}).json["segment"]
    turned = crm.call("PUT", path, json={"filter": {"tier": "quiet"}}).json["segment"]
    gone = crm.call("DELETE", path)

    assert (named["name"], named["filter"], named["count"]) == ("Others", {"tier": "whale"}, 1)
    assert (turned["name"], turned["filter"], turned["count"]) == ("Others", {"tier": "quiet"}, 0)
    assert (gone.status_code, gone.text) == (204, "")
    assert crm.get(path).status_code == 404


def test_segment_names_are_taken_in_any_case(crm: Crm) -> None:
    saved(crm, "Whales")
    other = saved(crm, "Others")

    again = crm.post("/api/crm/segments", {"name": "WHALES", "filter": {}})
    renamed = crm.call("PUT", f"/api/crm/segments/{other['id']}", json={"name": "whales"})

    assert [(one.status_code, one.json["code"]) for one in (again, renamed)] == [
        (409, "segment_exists")
    ] * 2
    assert len(crm.sql("SELECT FROM saved_filters")) == 2


def test_a_segment_is_saved_once_with_a_key(crm: Crm) -> None:
    body = {"name": "Whales", "filter": {"tier": "whale"}}

    first, again = (
        crm.post("/api/crm/segments", body, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )

    assert (first.json, again.headers["Idempotent-Replayed"]) == (again.json, "true")
    assert len(crm.sql("SELECT FROM saved_filters")) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " ", "filter": {}}, "name"),
        ({"name": "x"}, "filter"),
        ({"name": "x", "filter": {"q": "👑"}}, "q"),
        ({"name": "x", "filter": {"linked": "yes"}}, "filter.linked"),
    ],
)
def test_a_bad_segment_is_named(crm: Crm, body: dict, field: str) -> None:
    answer = crm.post("/api/crm/segments", body)

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
    assert crm.sql("SELECT FROM saved_filters") == []


def test_a_foreign_segment_is_missing(crm: Crm) -> None:
    segment = saved(crm)["id"]
    path = f"/api/crm/segments/{segment}"
    view = crm.sql(
        "INSERT INTO saved_filters (user_id, kind, name, filter)"
        " VALUES (:owner, 'conversations', 'Unread', '{}') RETURNING id",
        owner=crm.owner,
    )[0].id

    for method, body in (("GET", None), ("PUT", {"name": "mine"}), ("DELETE", None)):
        assert crm.call(method, path, "stranger", json=body).status_code == 404
        assert crm.call(method, f"/api/crm/segments/{view}", json=body).status_code == 404
    assert crm.get(f"/api/crm/fans?segment={segment}", "stranger").status_code == 404
    assert crm.get("/api/crm/segments", "stranger").json == {"segments": []}
    assert crm.call("PUT", path, "analyst", json={"name": "n"}).status_code == 403
    assert len(crm.sql("SELECT FROM saved_filters")) == 2


def test_the_fans_of_a_segment_come_in_batches(crm: Crm) -> None:
    ids = [crm.fan(value_cents=10) for _ in range(5)]
    crm.fan()
    segment = SegmentId(saved(crm, minSpendCents=10)["id"])

    batches = crm.services.segments.fan_ids(crm.owner, segment, batch=2)

    assert list(batches) == [ids[0:2], ids[2:4], ids[4:]]


# Tiers


def test_a_value_or_a_visit_changes_the_tier_at_once(crm: Crm) -> None:
    fan = crm.post("/api/crm/fans", {"name": "F", "platform": "onlyfans", "handle": "f"}).json[
        "fan"
    ]
    path = f"/api/crm/fans/{fan['id']}"

    seen = [
        crm.call("PUT", path, json=body).json["fan"]["tier"]
        for body in (
            {"valueCents": 10_000},
            {"valueCents": 100_000},
            {"valueCents": 9_999, "lastSeenAt": "2020-01-01T00:00:00Z"},
            {"lastSeenAt": None},
        )
    ]

    assert [fan["tier"], *seen] == ["new", "spender", "whale", "quiet", "new"]


def test_new_rules_reach_every_fan_by_the_sweep(crm: Crm) -> None:
    whale, spender, quiet, regular, new = (
        crm.fan(**columns)
        for columns in (
            {"value_cents": 1000},
            {"value_cents": 999},
            {"last_seen_at": "2020-01-01", "created_at": "2020-01-01"},
            {"created_at": "2020-01-01"},
            {},
        )
    )
    crm.sql("UPDATE fans SET last_seen_at = now() WHERE id = :id", id=regular)
    foreign = crm.foreign_fan()

    put = crm.call("PUT", "/api/crm/tier-rules", json=RULES)
    written = crm.services.tiers.sweep()

    assert put.json == {
        **RULES,
        "isDefault": False,
        "settled": False,
        "updatedAt": put.json["updatedAt"],
    }
    assert written == 5
    assert tiers(crm) == {
        whale: "whale",
        spender: "spender",
        quiet: "quiet",
        regular: None,
        new: "new",
        foreign: "new",
    }
    assert crm.get("/api/crm/tier-rules", "chatter").json["settled"] is True
    [line] = crm.sql("SELECT * FROM fan_changes WHERE fan_id = :fan", fan=whale)
    assert (line.source, line.actor_id, line.before, line.after) == (
        "rules",
        None,
        {"tier": None},
        {"tier": "whale"},
    )
    assert {one.version for one in crm.sql("SELECT version FROM fans")} == {1}


def test_a_settled_owner_is_swept_again_after_an_hour(crm: Crm) -> None:
    fan = crm.fan()
    crm.services.tiers.sweep()
    crm.sql(
        "UPDATE fans SET last_seen_at = now() - interval '31 days',"
        " created_at = now() - interval '40 days'"
    )

    assert crm.services.tiers.sweep() == 0
    crm.sql("UPDATE tier_rules SET swept_at = swept_at - interval '61 minutes'")
    assert crm.services.tiers.sweep() == 1

    assert tiers(crm) == {fan: "quiet"}


def test_a_sweep_goes_on_where_it_stopped(crm: Crm) -> None:
    ids = [crm.fan() for _ in range(5)]

    with crm.services.open_unit_of_work() as work:
        first = work.tiers.next_batch(2)
        work.commit()
    with crm.services.open_unit_of_work() as work:
        second = work.tiers.next_batch(2)  # and this one dies before its commit

    assert first is not None
    assert second is not None
    assert list(tiers(crm).values()) == ["new", "new", None, None, None]
    crm.services.tiers.sweep()
    assert tiers(crm) == dict.fromkeys(ids, "new")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"whaleCents": 0}, "whaleCents"),
        ({"spenderCents": 1001}, "spenderCents"),
        ({"quietDays": 3651}, "quietDays"),
        ({"newDays": 2**70}, "newDays"),
        ({"newDays": "14"}, "newDays"),
    ],
)
def test_rules_that_make_no_sense_are_refused(crm: Crm, change: dict, field: str) -> None:
    answer = crm.call("PUT", "/api/crm/tier-rules", json=RULES | change)

    assert (answer.status_code, answer.json["details"][0]["field"]) == (422, field)
    assert crm.sql("SELECT FROM tier_rules") == []


@pytest.mark.parametrize("role", ["chatter", "analyst"])
def test_rules_are_for_those_who_manage(crm: Crm, role: str) -> None:
    assert crm.call("PUT", "/api/crm/tier-rules", role, json=RULES).status_code == 403
    assert crm.get("/api/crm/tier-rules", role).json == {
        "whaleCents": 100_000,
        "spenderCents": 10_000,
        "quietDays": 30,
        "newDays": 14,
        "isDefault": True,
        "settled": False,
        "updatedAt": None,
    }
