"""Fans are added once, read in the documented shape, changed with a version, and never mixed up."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crm import Crm

NEW = {"name": "John Doe", "platform": "onlyfans", "handle": "johndoe"}
FULL = {
    "name": "John Doe",
    "platform": "onlyfans",
    "handle": " @@JohnDoe ",
    "email": " john@example.com ",
    "avatar": "https://cdn.example/john.jpg",
    "tags": [" VIP ", "whale", "vip"],
    "valueCents": 50000,
    "lastSeenAt": "2025-11-01T12:00:00Z",
    "notes": "High value customer",
}
CONTRACT = {
    "id",
    "userId",
    "name",
    "platform",
    "handle",
    "email",
    "avatar",
    "tags",
    "valueCents",
    "lastSeenAt",
    "notes",
    "createdAt",
    "updatedAt",
}
HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.example")',
    "zero\u200bwidth\u2060joiner\u200d",
    "\u202eright to left\u202c مرحبا",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001d573 \u0130\u0131",
    "%_\\' OR 1=1; --",
    "{{7*7}} ${x}",
]


def added(crm: Crm, role: str = "owner", **fields: object) -> dict:
    answer = crm.post("/api/crm/fans", NEW | fields, role)
    assert answer.status_code == 201, answer.json
    return answer.json["fan"]


def put(crm: Crm, fan: int, body: dict, role: str = "owner", **headers: str):
    return crm.call("PUT", f"/api/crm/fans/{fan}", role, json=body, headers=headers)


def fans(crm: Crm) -> int:
    return crm.sql("SELECT count(*) AS n FROM fans")[0].n


def test_a_fan_is_added_in_the_documented_shape(crm: Crm) -> None:
    answer = crm.post("/api/crm/fans", FULL, "chatter")

    fan = answer.json["fan"]
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    assert fan.keys() >= CONTRACT
    assert {name: fan[name] for name in FULL} == {
        **FULL,
        "handle": "@JohnDoe",
        "email": "john@example.com",
        "tags": ["vip", "whale"],
        "lastSeenAt": "2025-11-01T12:00:00.000Z",
    }
    assert (fan["linked"], fan["recipientId"], fan["tier"]) == (
        False,
        f"fan_{fan['id']}",
        "spender",
    )
    assert crm.get(f"/api/crm/fans/{fan['id']}").json == {"fan": fan}
    assert [one.action for one in crm.sql("SELECT action FROM audit_log")] == ["fan.created"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("name", "n" * 256),
        ("name", "NUL \x00"),
        ("name", None),
        ("platform", "fansly"),
        ("handle", "@"),
        ("handle", "john doe"),
        ("handle", "h" * 100),
        ("email", "john@nowhere"),
        ("email", "john doe@example.com"),
        ("avatar", "http://cdn.example/a.jpg"),
        ("avatar", "javascript:alert(1)"),
        ("avatar", "https://user:word@cdn.example/a.jpg"),
        ("avatar", "https://[::bad/a.jpg"),
        ("tags", ["t" * 51]),
        ("tags", ["a,b"]),
        ("tags", [f"t{n}" for n in range(51)]),
        ("valueCents", -1),
        ("valueCents", 10**12),
        ("valueCents", 1.5),
        ("lastSeenAt", "yesterday"),
        ("lastSeenAt", "2025-11-01T12:00:00"),
        ("lastSeenAt", "0001-01-01T00:00:00+14:00"),
        ("lastSeenAt", "9999-12-31T23:59:59-14:00"),
        ("lastSeenAt", 1761998400),
        ("notes", "n" * 10_001),
        ("tier", "whale"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_stored(crm: Crm, field: str, value: object) -> None:
    answer = crm.post("/api/crm/fans", NEW | {field: value})

    assert answer.status_code == 422
    assert {one["field"].split(".")[0] for one in answer.json["details"]} == {field}
    assert fans(crm) == 0


@pytest.mark.parametrize("handle", ["johndoe", "@johndoe", "@JOHNDOE", " @@JohnDoe "])
def test_a_handle_is_added_once_in_any_spelling(crm: Crm, handle: str) -> None:
    fan = added(crm)

    again = crm.post("/api/crm/fans", NEW | {"handle": handle})

    assert (again.status_code, again.json["code"]) == (409, "fan_exists")
    assert again.json["details"] == [{"field": "fanId", "message": str(fan["id"])}]
    assert fans(crm) == 1


def test_a_handle_is_free_for_another_owner(crm: Crm) -> None:
    added(crm)
    added(crm, "stranger")

    assert fans(crm) == 2


def test_two_who_add_one_handle_at_once_make_one_fan(crm: Crm) -> None:
    client = crm.client.application.test_client
    headers = crm.bearer()

    def add(_: int) -> int:
        return client().post("/api/crm/fans", json=NEW, headers=headers).status_code

    for round_ in range(5):
        crm.sql("TRUNCATE fans CASCADE")
        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(add, range(4))) == [201, 409, 409, 409], round_
        assert fans(crm) == 1


def test_a_deleted_fan_is_named_instead_of_added_again(crm: Crm) -> None:
    fan = added(crm)["id"]
    crm.call("DELETE", f"/api/crm/fans/{fan}")

    again = crm.post("/api/crm/fans", NEW)
    restored = crm.post(f"/api/crm/fans/{fan}/restore")

    assert (again.status_code, again.json["code"]) == (409, "fan_deleted")
    assert again.json["details"] == [{"field": "fanId", "message": str(fan)}]
    assert (restored.status_code, restored.json["fan"]["deletedAt"]) == (200, None)
    assert crm.get(f"/api/crm/fans/{fan}").status_code == 200


def test_a_fan_does_not_come_back_over_one_with_its_handle(crm: Crm) -> None:
    fan = added(crm)["id"]
    crm.call("DELETE", f"/api/crm/fans/{fan}")
    other = crm.fan(handle="@JohnDoe")

    restored = crm.post(f"/api/crm/fans/{fan}/restore")
    live = crm.post(f"/api/crm/fans/{other}/restore")

    assert (restored.status_code, restored.json["code"]) == (409, "fan_exists")
    assert restored.json["details"] == [{"field": "fanId", "message": str(other)}]
    assert (live.status_code, live.json["code"]) == (409, "not_deleted")
    assert crm.get(f"/api/crm/fans/{fan}").status_code == 404


def test_an_idempotency_key_adds_a_fan_once(crm: Crm) -> None:
    headers = {"Idempotency-Key": "once"}

    first = crm.post("/api/crm/fans", FULL, headers=headers)
    second = crm.post("/api/crm/fans", FULL, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert fans(crm) == 1


def test_hostile_text_goes_in_and_out_unharmed(crm: Crm) -> None:
    for number, text in enumerate(HOSTILE):
        fan = added(crm, handle=f"h{number}", name=text, notes=text, tags=["<b>", f"t{number}"])
        assert (fan["name"], fan["notes"]) == (text, text)
    long = "🐳" * 5000
    assert put(crm, fan["id"], {"notes": long}).json["fan"]["notes"] == long
    assert [one["notes"] for one in crm.get("/api/crm/fans?sort=oldest").json["fans"]][:6] == (
        HOSTILE[:6]
    )


def test_any_subset_changes_and_null_clears(crm: Crm) -> None:
    fan = crm.post("/api/crm/fans", FULL).json["fan"]

    one = put(crm, fan["id"], {"tags": ["New"]}).json["fan"]
    two = put(
        crm, fan["id"], {"email": None, "avatar": None, "notes": None, "lastSeenAt": None}
    ).json["fan"]
    three = put(crm, fan["id"], {"tags": None, "valueCents": None, "name": " Jo "}).json["fan"]

    assert one == {**fan, "tags": ["new"], "version": 2, "updatedAt": one["updatedAt"]}
    assert (two["email"], two["avatar"], two["notes"], two["lastSeenAt"]) == (None,) * 4
    assert (three["tags"], three["valueCents"], three["name"]) == ([], 0, "Jo")
    assert (three["version"], three["handle"]) == (4, "@JohnDoe")


def test_what_changes_nothing_makes_no_version(crm: Crm) -> None:
    fan = added(crm, tags=["a"])

    same = put(crm, fan["id"], {"tags": ["A"], "name": "John Doe"})
    nothing = put(crm, fan["id"], {})

    assert same.json["fan"] == nothing.json["fan"] == fan


def test_a_stale_version_is_refused(crm: Crm) -> None:
    fan = added(crm)["id"]
    assert put(crm, fan, {"notes": "first"}, **{"If-Match": '"1"'}).headers["ETag"] == '"2"'

    stale = put(crm, fan, {"notes": "second"}, **{"If-Match": '"1"'})
    bad = put(crm, fan, {"notes": "third"}, **{"If-Match": "yesterday's"})
    whatever = put(crm, fan, {"notes": "fourth"}, **{"If-Match": "*"})

    assert (stale.status_code, stale.json["code"]) == (409, "version_conflict")
    assert (bad.status_code, bad.json["details"][0]["field"]) == (422, "If-Match")
    assert whatever.json["fan"]["notes"] == "fourth"
    assert whatever.json["fan"]["version"] == 3


def test_of_two_writers_with_one_version_one_wins(crm: Crm) -> None:
    fan = added(crm)["id"]
    client = crm.client.application.test_client
    headers = crm.bearer() | {"If-Match": '"1"'}

    def write(number: int) -> int:
        body = {"notes": f"note {number}"}
        return client().put(f"/api/crm/fans/{fan}", json=body, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(write, range(4)))

    assert statuses == [200, 409, 409, 409]


def test_a_changed_handle_must_be_free(crm: Crm) -> None:
    fan, other = added(crm)["id"], added(crm, handle="other")["id"]

    taken = put(crm, fan, {"handle": "@OTHER", "notes": "kept out"})
    free = put(crm, fan, {"handle": "third"})

    assert (taken.status_code, taken.json["code"]) == (409, "fan_exists")
    assert taken.json["details"] == [{"field": "fanId", "message": str(other)}]
    assert (free.json["fan"]["handle"], free.json["fan"]["notes"]) == ("@third", None)


def test_a_stated_value_is_dated(crm: Crm) -> None:
    fan = added(crm)["id"]
    assert crm.sql("SELECT value_stated_at AS at FROM fans")[0].at is None

    put(crm, fan, {"valueCents": 0})

    assert crm.sql("SELECT value_stated_at AS at FROM fans")[0].at is not None


def test_every_change_is_told_with_who_before_and_after(crm: Crm) -> None:
    fan = added(crm, notes="old")["id"]
    put(crm, fan, {"notes": "new", "valueCents": 200_000}, "chatter")
    crm.call("DELETE", f"/api/crm/fans/{fan}", "manager")

    told = crm.get(f"/api/crm/fans/{fan}/changes", "analyst").json

    assert (told["total"], told["totalCapped"], told["nextCursor"]) == (5, False, None)
    lines = [
        (one["source"], one["actorId"], one["before"], one["after"]) for one in told["changes"]
    ]
    chatter, manager, owner = (crm.users[who].id for who in ("chatter", "manager", "owner"))
    assert lines[0][:3] == ("person", manager, {"deletedAt": None})
    assert lines[1:] == [
        ("rules", None, {"tier": "new"}, {"tier": "whale"}),
        (
            "person",
            chatter,
            {"notes": "old", "valueCents": 0},
            {"notes": "new", "valueCents": 200_000},
        ),
        ("rules", None, {"tier": None}, {"tier": "new"}),
        ("person", owner, {}, {"name": "John Doe", "handle": "@johndoe", "notes": "old"}),
    ]
    first = crm.get(f"/api/crm/fans/{fan}/changes?limit=2").json
    second = crm.get(f"/api/crm/fans/{fan}/changes?limit=3&cursor={first['nextCursor']}").json
    assert first["changes"] + second["changes"] == told["changes"]


def test_the_audit_log_names_fields_and_never_texts(crm: Crm) -> None:
    fan = crm.post("/api/crm/fans", FULL).json["fan"]["id"]
    put(crm, fan, {"notes": "secret", "name": "Secret"})

    lines = crm.sql("SELECT action, subject_id, detail FROM audit_log ORDER BY id")

    assert [(one.action, one.subject_id, one.detail) for one in lines] == [
        ("fan.created", str(fan), {}),
        ("fan.changed", str(fan), {"fields": ["name", "notes"]}),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"notes": "mine"}),
        ("DELETE", "", None),
        ("DELETE", "?mode=hard", None),
        ("POST", "/restore", {}),
        ("POST", "/merge", {"otherId": 1}),
        ("GET", "/changes", None),
        ("GET", "/export", None),
    ],
)
@pytest.mark.parametrize("which", ["foreign", "missing"])
def test_a_foreign_fan_is_as_missing_as_a_missing_one(
    crm: Crm, method: str, path: str, body: dict | None, which: str
) -> None:
    crm.fan()
    fan = crm.foreign_fan() if which == "foreign" else 999
    before = crm.sql("SELECT * FROM fans ORDER BY id")

    answer = crm.call(method, f"/api/crm/fans/{fan}{path}", json=body)

    assert (answer.status_code, answer.json["code"]) == (404, "fan_not_found")
    assert crm.sql("SELECT * FROM fans ORDER BY id") == before


@pytest.mark.parametrize(
    ("request_", "body", "allowed"),
    [
        ("POST ", NEW, {"owner", "manager", "chatter"}),
        ("PUT /{fan}", {"notes": "n"}, {"owner", "manager", "chatter"}),
        ("DELETE /{fan}", None, {"owner", "manager", "chatter"}),
        ("DELETE /{fan}?mode=hard", None, {"owner"}),
        ("GET /{fan}/export", None, {"owner", "manager", "analyst"}),
        ("POST /tags", {"fanIds": [1], "add": ["a"]}, {"owner", "manager", "chatter"}),
        ("GET /{fan}/changes", None, {"owner", "manager", "chatter", "analyst"}),
    ],
)
@pytest.mark.parametrize("role", ["owner", "manager", "chatter", "analyst"])
def test_a_role_does_what_it_may(
    crm: Crm, request_: str, body: dict | None, allowed: set[str], role: str
) -> None:
    method, path = request_.format(fan=crm.fan()).split(" ")

    answer = crm.call(method, f"/api/crm/fans{path}", role, json=body)

    assert (answer.status_code != 403) == (role in allowed), answer.json
