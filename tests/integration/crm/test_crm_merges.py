"""Two fans become one and are parted again: everything moves, and everything comes back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.messages import MessageId
from tests.crm import Crm

TABLES = ("conversations", "messages", "transactions")


def merge(crm: Crm, kept: int, other: int, **more: object):
    return crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": other}, **more)


def undo(crm: Crm, merge_id: int):
    return crm.post(f"/api/crm/merges/{merge_id}/undo")


def unlinked(crm: Crm, name: str = "File", **columns: object) -> int:
    return crm.fan(name, connection_id=None, **columns)


def account(crm: Crm, name: str = "acct_second") -> int:
    return crm.sql(
        "INSERT INTO platform_connections (user_id, name, account_id)"
        " VALUES (:owner, :name, :name) RETURNING id",
        owner=crm.owner,
        name=name,
    )[0].id


def said(crm: Crm, fan: int, connection: int, *texts: str, campaign: bool = False) -> int:
    """A conversation with incoming messages."""
    conversation = crm.sql(
        "INSERT INTO conversations (user_id, fan_id, connection_id, last_message_at, unread_count,"
        " last_direction, is_direct) VALUES (:owner, :fan, :connection, now(), :unread, 'in', true)"
        " RETURNING id",
        owner=crm.owner,
        fan=fan,
        connection=connection,
        unread=len(texts),
    )[0].id
    for text in texts:
        crm.sql(
            "INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,"
            " direction, text) VALUES (gen_random_uuid(), :owner, :connection, :conversation, :fan,"
            " 'in', :text)",
            owner=crm.owner,
            connection=connection,
            conversation=conversation,
            fan=fan,
            text=text,
        )
    return conversation


def paid(crm: Crm, fan: int, cents: int) -> int:
    return crm.sql(
        "INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents,"
        " happened_at) VALUES (:owner, :fan, 'manual', 'tip', :cents, :cents, now()) RETURNING id",
        owner=crm.owner,
        fan=fan,
        cents=cents,
    )[0].id


def snapshot(crm: Crm) -> dict[str, list]:
    """What a merge may touch, without what every change touches."""
    leave = {"changed", "version", "updated_at"}
    found: dict[str, list] = {}
    for table in (*TABLES, "fans"):
        rows = crm.sql(f"SELECT * FROM {table} ORDER BY id")
        found[table] = [
            {name: value for name, value in row._mapping.items() if name not in leave}
            for row in rows
        ]
    return found


def test_the_kept_fan_fills_its_blanks_and_takes_over_the_link(crm: Crm) -> None:
    kept = unlinked(crm, "Jane", tags=["a"], value_cents=500, notes="mine")
    other = crm.fan(
        "J.",
        email="j@example.com",
        tags=["b", "a"],
        value_cents=900,
        notes="theirs",
        last_seen_at="2025-01-01T00:00:00Z",
        subscription="active",
        tips_cents=70,
    )
    theirs = crm.get(f"/api/crm/fans/{other}").json["fan"]

    answer = merge(crm, kept, other)

    fan = crm.get(f"/api/crm/fans/{kept}").json["fan"]
    assert (answer.status_code, answer.json["conversations"]) == (200, 0)
    assert (fan["name"], fan["notes"], fan["email"]) == ("Jane", "mine", "j@example.com")
    assert (fan["tags"], fan["valueCents"], fan["linked"]) == (["a", "b"], 900, True)
    assert fan["platformUserId"] == theirs["platformUserId"]
    assert (fan["lastSeenAt"], fan["subscription"]) == (theirs["lastSeenAt"], "active")
    assert crm.get(f"/api/crm/fans/{other}").status_code == 404
    assert crm.get("/api/crm/fans?deleted=true").json["fans"] == []
    lines = crm.sql("SELECT fan_id, source FROM fan_changes WHERE source = 'merge' ORDER BY fan_id")
    assert [tuple(line) for line in lines] == [(kept, "merge"), (other, "merge")]
    [audit] = crm.sql("SELECT subject_id, detail FROM audit_log WHERE action = 'fan.merged'")
    assert (audit.subject_id, audit.detail["mergedId"]) == (str(kept), other)


def test_conversations_messages_and_money_move_and_come_back_exactly(crm: Crm) -> None:
    second = account(crm)
    kept, other = crm.fan("Kept", value_cents=5), crm.fan("Other", connection_id=second)
    both = said(crm, kept, crm.connection, "to kept")
    joined = said(crm, other, crm.connection, "one", "two")
    moved = said(crm, other, second, "three")
    money, own = paid(crm, other, 300), paid(crm, kept, 100)
    crm.services.tiers.sweep()
    before = snapshot(crm)

    merged = merge(crm, kept, other).json

    rows = crm.sql("SELECT text, conversation_id, fan_id FROM messages ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("to kept", both, kept),
        ("one", both, other),
        ("two", both, other),
        ("three", moved, other),
    ]
    conversations = crm.sql("SELECT id, fan_id, unread_count AS n FROM conversations ORDER BY id")
    assert [tuple(row) for row in conversations] == [(both, kept, 3), (moved, kept, 1)]
    assert crm.sql("SELECT FROM conversations WHERE id = :id", id=joined) == []
    assert [one.fan_id for one in crm.sql("SELECT fan_id FROM transactions ORDER BY id")] == [
        kept,
        kept,
    ]
    assert (merged["conversations"], merged["transactions"]) == (2, 1)
    assert money != own

    parted = undo(crm, merged["mergeId"])

    assert parted.json == {
        "mergeId": merged["mergeId"],
        "keptId": kept,
        "mergedId": other,
        "stayed": [],
    }
    after = snapshot(crm)
    for conversation in (*before["conversations"], *after["conversations"]):
        conversation.pop("last_message_at")
    assert after == before


def test_what_was_changed_since_stays_and_is_named(crm: Crm) -> None:
    kept, other = unlinked(crm, tags=["a"]), unlinked(crm, email="o@example.com", tags=["b"])
    merged = merge(crm, kept, other).json
    crm.call("PUT", f"/api/crm/fans/{kept}", json={"tags": ["changed"], "notes": "new"})

    parted = undo(crm, merged["mergeId"]).json

    fan = crm.get(f"/api/crm/fans/{kept}").json["fan"]
    assert parted["stayed"] == ["tags"]
    assert (fan["tags"], fan["notes"], fan["email"]) == (["changed"], "new", None)
    assert crm.get(f"/api/crm/fans/{other}").json["fan"]["email"] == "o@example.com"


def test_a_queued_message_of_the_merged_fan_still_goes_to_its_chat(crm: Crm) -> None:
    kept, other = unlinked(crm), crm.fan(platform_user_id="777")
    body = {"recipientId": f"fan_{other}", "content": "Hello!"}
    message = UUID(crm.post("/api/onlyfans/messages/send", body).json["messageId"])
    merge(crm, kept, other)

    with crm.services.open_unit_of_work() as work:
        stored = work.messages.by_public_id(message)
        assert stored is not None
        claim = work.messages.claim(MessageId(stored.id), timedelta(seconds=60))

    assert claim is not None
    assert claim.platform_user_id == "777"


def test_what_was_said_on_a_returned_link_goes_with_it(crm: Crm) -> None:
    kept, other = unlinked(crm), crm.fan(platform_user_id="777")
    merged = merge(crm, kept, other).json
    body = {"recipientId": f"fan_{kept}", "content": "Hello!"}
    assert crm.post("/api/onlyfans/messages/send", body).status_code == 202

    assert undo(crm, merged["mergeId"]).status_code == 200

    [message] = crm.sql("SELECT fan_id, conversation_id FROM messages")
    [conversation] = crm.sql("SELECT id, fan_id FROM conversations")
    assert (message.fan_id, conversation.fan_id) == (other, other)
    assert message.conversation_id == conversation.id
    assert crm.get(f"/api/crm/fans/{kept}").json["fan"]["linked"] is False
    assert crm.get(f"/api/crm/fans/{other}").json["fan"]["platformUserId"] == "777"


def test_two_people_of_one_account_are_never_one(crm: Crm) -> None:
    kept, other = crm.fan(), crm.fan()
    before = snapshot(crm)

    refused = merge(crm, kept, other)

    assert (refused.status_code, refused.json["code"]) == (409, "different_people")
    assert snapshot(crm) == before
    assert crm.sql("SELECT FROM fan_merges") == []


def test_merges_are_undone_last_first(crm: Crm) -> None:
    a, b, c = unlinked(crm, "A"), unlinked(crm, "B"), unlinked(crm, "C")
    for fan in (a, b, c):
        said(crm, fan, crm.connection, f"of {fan}")
    crm.services.tiers.sweep()
    before = snapshot(crm)
    first = merge(crm, b, a).json["mergeId"]
    second = merge(crm, c, b).json["mergeId"]
    assert len(crm.sql("SELECT FROM conversations")) == 1

    early = undo(crm, first)
    last, then = undo(crm, second), undo(crm, first)
    again = undo(crm, first)

    assert (early.status_code, early.json["code"]) == (409, "later_merge")
    assert (last.status_code, then.status_code) == (200, 200)
    assert (again.status_code, again.json["code"]) == (409, "already_undone")
    after = snapshot(crm)
    for conversation in (*before["conversations"], *after["conversations"]):
        conversation.pop("last_message_at")
    assert after == before


def test_a_merge_is_final_after_thirty_days(crm: Crm) -> None:
    kept, other = unlinked(crm), unlinked(crm)
    merged = merge(crm, kept, other).json["mergeId"]
    crm.sql("UPDATE fan_merges SET at = at - interval '30 days 1 minute'")

    late = undo(crm, merged)

    assert (late.status_code, late.json["code"]) == (409, "too_late")
    assert crm.get(f"/api/crm/fans/{other}").status_code == 404


def test_undoing_stops_where_the_handle_is_taken(crm: Crm) -> None:
    kept, other = unlinked(crm), unlinked(crm, handle="@taken")
    merged = merge(crm, kept, other).json["mergeId"]
    crm.fan(handle="@Taken")
    before = snapshot(crm)

    refused = undo(crm, merged)

    assert (refused.status_code, refused.json["code"]) == (409, "fan_exists")
    assert snapshot(crm) == before


def test_a_merge_with_itself_or_a_foreign_fan_is_refused(crm: Crm) -> None:
    fan, foreign = crm.fan(), crm.foreign_fan()

    itself, theirs, theirs_kept = (
        merge(crm, kept, other) for kept, other in ((fan, fan), (fan, foreign), (foreign, fan))
    )

    assert (itself.status_code, itself.json["details"][0]["field"]) == (422, "otherId")
    assert (theirs.status_code, theirs_kept.status_code) == (404, 404)
    assert crm.sql("SELECT FROM fan_merges") == []


def test_a_key_merges_and_parts_once(crm: Crm) -> None:
    kept, other = unlinked(crm), unlinked(crm)
    first, second = (merge(crm, kept, other, headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    [one] = crm.get("/api/crm/merges").json["merges"]
    assert (one["keptId"], one["mergedId"], one["undoneAt"]) == (kept, other, None)
    until = datetime.fromisoformat(one["undoableUntil"])
    assert timedelta(days=29) < until - datetime.now(UTC) < timedelta(days=31)
    assert crm.get("/api/crm/merges", "stranger").json["merges"] == []
    assert crm.post(f"/api/crm/merges/{one['id']}/undo", role="stranger").status_code == 404


# Finding


def test_duplicates_are_found_by_email_platform_id_and_handle(crm: Crm) -> None:
    second = account(crm)
    first = crm.fan("First", handle="@jane.doe", email="Jane@example.com", platform_user_id="9")
    email = crm.fan("Email", email="jane@EXAMPLE.com")
    handle = crm.fan("Handle", handle="@Jane_Doe")
    platform = crm.fan("Id", connection_id=second, platform_user_id="9")
    crm.fan("Nobody's twin", handle="@___")
    crm.fan("Nor this one", handle="@...")
    crm.foreign_fan()
    crm.sql("UPDATE fans SET email = 'jane@example.com' WHERE user_id <> :owner", owner=crm.owner)

    found = crm.get("/api/crm/fans/duplicates").json

    pairs = [(one["fan"]["id"], one["other"]["id"], one["reasons"]) for one in found["duplicates"]]
    assert pairs == [
        (platform, first, ["platformUserId"]),
        (handle, first, ["handle"]),
        (email, first, ["email"]),
    ]
    assert found["nextCursor"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_duplicates_hold_each_pair_once(crm: Crm, limit: int) -> None:
    for number in range(7):
        unlinked(crm, email="same@example.com", handle=f"@{number}x")
    pairs, cursor = [], ""
    while cursor is not None:
        page = crm.get(f"/api/crm/fans/duplicates?limit={limit}{cursor}").json
        pairs += [(one["fan"]["id"], one["other"]["id"]) for one in page["duplicates"]]
        cursor = f"&cursor={page['nextCursor']}" if page["nextCursor"] else None

    assert pairs == [(number, 1) for number in range(7, 1, -1)]


def test_duplicates_far_apart_are_found_over_several_looks(crm: Crm) -> None:
    crm.load(
        "INSERT INTO fans (user_id, name, handle, email)"
        " SELECT :owner, 'Fan', '@' || n, CASE WHEN n IN (1, 10500) THEN 'a@b.example' END"
        " FROM generate_series(1, 12000) n",
        owner=crm.owner,
    )
    crm.sql("ANALYZE fans")

    pages, cursor = [], ""
    while cursor is not None:
        page = crm.get(f"/api/crm/fans/duplicates{cursor}").json
        pages.append([one["fan"]["id"] for one in page["duplicates"]])
        cursor = f"?cursor={page['nextCursor']}" if page["nextCursor"] else None

    assert pages == [[10500], [], [], []]
