"""What the platform tells becomes fans, messages, purchases and states of accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.connections import ConnectionState
from domain.inbound import AccountChanged, FanSeen, MessageSeen
from tests import webhooks
from tests.crm import Crm
from tests.webhooks import deliver, handle_all

NOW = datetime(2026, 6, 11, tzinfo=UTC)
T1, T2, T3 = (f"2026-06-10T18:3{minute}:30+00:00" for minute in (1, 2, 3))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def tell(crm: Crm, *raws: bytes, now: datetime = NOW) -> list[str | None]:
    for raw in raws:
        deliver(crm, raw)
    return handle_all(crm, now)


def fans(crm: Crm) -> list[tuple[str, ...]]:
    rows = crm.sql("SELECT name, handle, platform_user_id FROM fans ORDER BY id")
    return [tuple(row) for row in rows]


# Fans


def test_an_unknown_fan_who_writes_is_created_with_its_conversation(crm: Crm) -> None:
    assert tell(crm, webhooks.received(1, 501, T1)) == ["handled"]

    [fan] = crm.sql("SELECT * FROM fans")
    assert (fan.name, fan.handle, fan.platform_user_id, fan.connection_id, fan.user_id) == (
        "Fan 501",
        "@fan501",
        "501",
        crm.connection,
        crm.owner,
    )
    assert (fan.last_seen_at, fan.avatar) == (at(T1), "https://public.example/501.jpg")
    [chat] = crm.sql("SELECT * FROM conversations")
    assert (chat.fan_id, chat.connection_id, chat.unread_count) == (fan.id, crm.connection, 1)
    assert (chat.last_message_at, chat.last_direction, chat.is_direct) == (at(T1), "in", True)
    [message] = crm.sql("SELECT * FROM messages")
    assert (message.direction, message.text, message.state, message.read) == (
        "in",
        "Hello",
        None,
        False,
    )
    assert (message.platform_message_id, message.created_at) == ("1", at(T1))
    [change] = crm.sql("SELECT * FROM fan_changes")
    assert (change.fan_id, change.source, change.actor_id) == (fan.id, "platform", None)
    [event] = crm.sql("SELECT fan_id FROM platform_events")
    assert event.fan_id == fan.id


def test_an_imported_fan_of_that_handle_is_linked_and_keeps_its_name(crm: Crm) -> None:
    fan = crm.fan("As imported", handle="@FAN501", connection_id=None)

    tell(crm, webhooks.received(1, 501, T1), webhooks.received(2, 501, T2))

    assert fans(crm) == [("As imported", "@FAN501", "501")]
    [row] = crm.sql("SELECT id, connection_id FROM fans")
    assert (row.id, row.connection_id) == (fan, crm.connection)
    [change] = crm.sql("SELECT after FROM fan_changes")
    assert change.after == {"connectionId": crm.connection, "platformUserId": "501"}


def test_another_owners_fan_of_that_handle_is_left_alone(crm: Crm) -> None:
    crm.fan("Theirs", user_id=crm.users["stranger"].owner_id, handle="@fan501", connection_id=None)

    tell(crm, webhooks.received(1, 501, T1))

    assert fans(crm) == [("Theirs", "@fan501", None), ("Fan 501", "@fan501", "501")]


def test_one_person_who_follows_two_accounts_of_an_owner_is_two_fans(crm: Crm) -> None:
    for name in ("acct_two", "acct_three"):
        crm.sql(
            "INSERT INTO platform_connections (user_id, name, account_id) VALUES (:u, :n, :n)",
            u=crm.owner,
            n=name,
        )
    raws = []
    for number, account in enumerate(("acct_luna", "acct_two", "acct_three")):
        item = webhooks.message(number + 1, T1, fromUser=webhooks.user(501))
        raws.append(webhooks.body("messages.received", item, account))

    assert tell(crm, *raws) == ["handled"] * 3

    handles = [handle for _, handle, _ in fans(crm)]
    assert handles == ["@fan501", "@u501", "@u501@acct_three"]


def test_the_newest_word_on_a_name_wins_and_a_persons_word_stays(crm: Crm) -> None:
    def named(number: int, moment: str, name: str, username: str) -> bytes:
        who = webhooks.user(501, name=name, username=username)
        return webhooks.body("messages.received", webhooks.message(number, moment, fromUser=who))

    tell(crm, named(2, T2, "Second", "second"), named(1, T1, "First", "first"))
    assert fans(crm) == [("Second", "@second", "501")]

    tell(crm, named(3, T3, "Third", "third"))
    assert fans(crm) == [("Third", "@third", "501")]

    crm.sql("UPDATE fans SET name = 'My name for him'")
    tell(crm, named(4, "2026-06-10T19:00:00Z", "Fourth", "fourth"))
    assert fans(crm) == [("My name for him", "@fourth", "501")]


def test_a_deleted_fan_who_writes_comes_back_and_nothing_else_brings_it_back(crm: Crm) -> None:
    fan = crm.fan("Gone", handle="@fan501", platform_user_id="501")
    crm.sql("UPDATE fans SET deleted_at = :at", at=at(T2))

    tell(crm, webhooks.received(1, 501, T1), webhooks.sent(2, 501, T3), webhooks.tipped(3, 501, T3))
    [row] = crm.sql("SELECT id, deleted_at FROM fans")
    assert (row.id, row.deleted_at) == (fan, at(T2))

    tell(crm, webhooks.received(4, 501, T3))
    [row] = crm.sql("SELECT id, deleted_at FROM fans")
    assert (row.id, row.deleted_at) == (fan, None)
    assert crm.sql("SELECT count(*) AS n FROM messages WHERE fan_id = :id", id=fan)[0].n == 3


def test_an_erased_fan_who_writes_is_a_new_fan(crm: Crm) -> None:
    fan = crm.fan("Erased", handle="@erased", platform_user_id="501")
    assert crm.call("DELETE", f"/api/crm/fans/{fan}?mode=hard").status_code == 204
    crm.sql("UPDATE erased_fans SET erased_at = :at", at=at(T2))

    tell(crm, webhooks.received(1, 501, T1), webhooks.sent(2, 501, T3), webhooks.tipped(3, 501, T3))
    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 0
    assert crm.sql("SELECT id, name FROM fans") == [(fan, "")]

    tell(crm, webhooks.received(4, 501, T3))
    assert crm.sql("SELECT id FROM fans WHERE deleted_at IS NULL")[0].id != fan
    assert crm.sql("SELECT name FROM fans WHERE id = :id", id=fan)[0].name == ""


def test_what_the_platform_goes_on_telling_brings_nothing_of_an_erased_fan_back(crm: Crm) -> None:
    before, after = (f"{moment[:10]} 12:00:00" for moment in (T1, "2999-01-01"))
    tell(crm, webhooks.received(1, 501, T1), webhooks.paid("t1", 501, before, 17))
    [fan] = crm.sql("SELECT id FROM fans")
    assert crm.call("DELETE", f"/api/crm/fans/{fan.id}?mode=hard").status_code == 204

    # The lists are read again, and a transaction settles.
    with crm.services.open_unit_of_work() as work:
        connection = work.connections.lock(crm.connection)
        listed = FanSeen("501", "fan501", "Fan 501")
        crm.services.inbound.apply(work, connection, [listed], datetime.now(UTC))
        work.commit()
    tell(crm, webhooks.paid("t1", 501, before, 17, status="done"))
    tell(crm, webhooks.paid("t2", 501, before, 5))

    assert crm.sql("SELECT id, name, handle FROM fans") == [(fan.id, "", "")]
    rows = crm.sql(
        "SELECT fan_id, gross_cents, status, description, platform_user_id FROM transactions"
        " ORDER BY id"
    )
    assert rows == [(fan.id, 1700, "done", None, None), (None, 500, "loading", None, None)]

    # What is bought later tells of the person anew.
    tell(crm, webhooks.paid("t3", 501, after, 6))
    [row] = crm.sql("SELECT description FROM transactions WHERE gross_cents = 600")
    assert row.description == "Payment for message from Fan"


def test_a_merged_fan_writes_as_the_one_that_was_kept(crm: Crm) -> None:
    kept = crm.fan("Kept", handle="@kept", connection_id=None)
    merged = crm.fan("Merged", handle="@fan501", platform_user_id="501")
    crm.sql(
        "UPDATE fans SET deleted_at = :at, merged_into = :kept WHERE id = :id",
        at=at(T1),
        kept=kept,
        id=merged,
    )

    tell(crm, webhooks.received(1, 501, T3))

    assert [row.fan_id for row in crm.sql("SELECT fan_id FROM messages")] == [kept]


def test_the_latest_word_on_a_subscription_wins(crm: Crm) -> None:
    ends = {"subscribedOnData": {"expiredAt": "2026-07-10T00:00:00Z"}}

    tell(
        crm,
        webhooks.subscribed(3, 501, T3, "renewed", **ends),
        webhooks.subscribed(2, 501, T2, "expired"),
        webhooks.subscribed(1, 501, T1, "new"),
    )

    [fan] = crm.sql("SELECT subscription, subscription_ends_at FROM fans")
    assert (fan.subscription, fan.subscription_ends_at) == ("active", at("2026-07-10T00:00:00Z"))
    assert crm.sql("SELECT count(*) AS n FROM fan_changes")[0].n == 2  # made, subscribed


# Messages


def test_a_message_told_twice_is_one_row_and_counts_once(crm: Crm) -> None:
    raw = webhooks.received(1, 501, T1)
    deliver(crm, raw, "evt_1")
    deliver(crm, raw, "evt_2")

    assert handle_all(crm, NOW) == ["handled", "handled"]

    assert crm.sql("SELECT count(*) AS n FROM messages")[0].n == 1
    assert crm.sql("SELECT unread_count AS n FROM conversations")[0].n == 1


def test_an_older_message_leaves_the_newest_in_place(crm: Crm) -> None:
    tell(
        crm, webhooks.received(2, 501, T2), webhooks.sent(3, 501, T3), webhooks.received(1, 501, T1)
    )

    [chat] = crm.sql("SELECT * FROM conversations")
    assert (chat.last_message_at, chat.last_direction, chat.unread_count) == (at(T3), "out", 2)


def test_a_read_message_stays_read(crm: Crm) -> None:
    tell(crm, webhooks.received(1, 501, T1))
    crm.sql("UPDATE messages SET read = true")
    crm.sql("UPDATE conversations SET unread_count = 0")

    deliver(crm, webhooks.received(1, 501, T1), "again")
    tell(crm, webhooks.received(2, 501, T2))

    assert crm.sql("SELECT unread_count AS n FROM conversations")[0].n == 1


def test_a_message_sent_elsewhere_is_shown_and_counts_for_nothing_of_ours(crm: Crm) -> None:
    tell(crm, webhooks.sent(1, 501, T1, "<p>From my phone</p>", isOpened=True))

    [row] = crm.sql("SELECT * FROM messages")
    assert (row.direction, row.origin, row.state, row.text) == (
        "out",
        "platform",
        "delivered",
        "From my phone",
    )
    assert (row.queued_at, row.sent_at, row.created_at) == (None, None, at(T1))
    assert row.opened_at is not None
    status = crm.get("/api/onlyfans/messages/status").get_json()
    assert (status["queueDepth"], status["messagesInFlight"], status["lastProcessedAt"]) == (
        0,
        0,
        None,
    )
    assert set(status["metrics"].values()) == {0, None}
    audit = crm.services.audit.audit(at(T1) - timedelta(days=1))
    assert (audit.calls, audit.lost, audit.double) == (0, [], [])
    report = crm.get(f"/api/onlyfans/messages/{row.public_id}").get_json()
    assert (report["status"], report["content"]) == ("delivered", "From my phone")


def test_a_mass_message_of_the_platforms_makes_no_direct_conversation(crm: Crm) -> None:
    tell(crm, webhooks.sent(1, 501, T1, isFromQueue=True))
    assert not crm.sql("SELECT is_direct FROM conversations")[0].is_direct

    tell(crm, webhooks.received(2, 501, T2))
    assert crm.sql("SELECT is_direct FROM conversations")[0].is_direct


@pytest.mark.parametrize("first", ["message", "deletion"])
def test_a_deletion_may_come_before_its_message(crm: Crm, first: str) -> None:
    messages = [webhooks.received(1, 501, T1), webhooks.sent(2, 501, T2)]
    deletions = [webhooks.deleted(1), webhooks.deleted(2)]

    tell(crm, *(messages + deletions if first == "message" else deletions + messages))

    rows = crm.sql("SELECT state, deleted_at IS NOT NULL AS gone FROM messages ORDER BY created_at")
    assert [tuple(row) for row in rows] == [(None, True), ("unsent", True)]
    assert crm.sql("SELECT unread_count AS n FROM conversations")[0].n == 0


def test_purchases_find_their_messages_whatever_comes_first(crm: Crm) -> None:
    tell(
        crm,
        webhooks.unlocked(12, 501, "2026-06-10T18:50:00Z", "$12.00"),
        webhooks.paid("t1", 501, "2026-06-10 18:40:05", 12.0),
        webhooks.unlocked(11, 501, "2026-06-10T18:40:00Z", "$12.00"),
        webhooks.sent(2, 501, "2026-06-10T18:45:00Z", price=12, mediaCount=1),
        webhooks.sent(1, 501, T1, price=12, mediaCount=1),
        webhooks.sent(3, 501, T1, price=5, mediaCount=1),
    )

    rows = crm.sql(
        "SELECT m.platform_message_id AS name, m.purchased_at, t.platform_transaction_id AS paid"
        " FROM messages m LEFT JOIN transactions t ON t.message_id = m.id ORDER BY name"
    )
    assert [tuple(row) for row in rows] == [
        ("1", at("2026-06-10T18:40:00Z"), "t1"),
        ("2", at("2026-06-10T18:50:00Z"), None),
        ("3", None, None),
    ]


def test_hostile_text_goes_in_unharmed(crm: Crm) -> None:
    text = "\u202e=1+1\u200b&lt;script&gt;" + "\U0001f600" * 5000

    assert tell(crm, webhooks.received(1, 501, T1, f"<p>{text}\u0000</p>")) == ["handled"]

    [row] = crm.sql("SELECT text FROM messages")
    assert row.text == "\u202e=1+1\u200b<script>" + "\U0001f600" * 5000


# Accounts


def test_a_lost_session_pauses_the_account_and_its_return_resumes_it(crm: Crm) -> None:
    tell(crm, webhooks.body("accounts.session_expired", {}))
    [row] = crm.sql(
        "SELECT state, state_reason FROM platform_connections WHERE id = :c", c=crm.connection
    )
    assert (row.state, row.state_reason) == ("paused_auth", "the platform says: session expired")

    tell(crm, webhooks.body("accounts.reconnected", {}))
    [row] = crm.sql("SELECT state FROM platform_connections WHERE id = :c", c=crm.connection)
    assert row.state == "active"


def test_an_older_word_on_an_account_changes_nothing(crm: Crm) -> None:
    service, start = crm.services.inbound, datetime.now(UTC)

    def told(state: ConnectionState | None, seconds: int) -> str:
        with crm.services.open_unit_of_work() as work:
            connection = work.platform_events.connection("acct_luna")
            fact = AccountChanged(state, "said", start + timedelta(seconds=seconds))
            service.apply(work, connection, [fact], start)
            work.commit()
        return str(crm.sql("SELECT state FROM platform_connections ORDER BY id")[0].state)

    assert told(None, 20) == "active"
    assert told(ConnectionState.PAUSED_AUTH, 10) == "active"
    assert told(ConnectionState.PAUSED_AUTH, 30) == "paused_auth"
    assert told(None, 25) == "paused_auth"
    assert told(None, 40) == "active"


def test_a_pause_by_hand_stays_whatever_the_platform_says(crm: Crm) -> None:
    crm.post(f"/api/connections/{crm.connection}/pause")

    tell(
        crm, webhooks.body("accounts.session_expired", {}), webhooks.body("accounts.connected", {})
    )

    assert crm.sql("SELECT state FROM platform_connections ORDER BY id")[0].state == "paused"


# The periodic sync says the same things


def test_the_sync_and_the_webhooks_make_the_same_rows(crm: Crm) -> None:
    seen = MessageSeen(FanSeen("501", "fan501", "Fan 501"), "1", False, "Hello", 0, (), at(T1))
    tell(crm, webhooks.received(1, 501, T1))
    before = crm.sql("SELECT id, text FROM messages"), fans(crm)

    with crm.services.open_unit_of_work() as work:
        connection = work.platform_events.connection("acct_luna")
        applied = crm.services.inbound.apply(work, connection, [seen], NOW)
        work.commit()

    assert applied.waits == []
    assert (crm.sql("SELECT id, text FROM messages"), fans(crm)) == before
