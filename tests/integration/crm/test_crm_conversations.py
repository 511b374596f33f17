"""The list of conversations: its shape, its order, its filters, and one with its panel."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.crm import Crm
from tests.inbox import Inbox, minutes

LIST = "/api/crm/conversations"


def ids(crm: Crm, query: str = "", role: str = "owner") -> list[int]:
    answer = crm.get(f"{LIST}{query}", role)
    assert answer.status_code == 200, answer.json
    return [one["id"] for one in answer.json["conversations"]]


def test_a_conversation_is_listed_in_the_documented_shape(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan("John Doe", handle="@johndoe", tags=["vip"], value_cents=50000, tier="whale")
    talk = inbox.conversation(fan)
    message = inbox.message(talk, "x" * 300, created_at=minutes(1))

    answer = crm.get(LIST)

    assert answer.json == {
        "conversations": [
            {
                "id": talk,
                "userId": crm.owner,
                "fanId": fan,
                "platform": "onlyfans",
                "lastMessageAt": "2026-11-20T12:01:00.000Z",
                "unreadCount": 1,
                "fan": {
                    "id": fan,
                    "name": "John Doe",
                    "avatar": None,
                    "handle": "@johndoe",
                    "tier": "whale",
                    "valueCents": 50000,
                    "tags": ["vip"],
                    "subscription": None,
                    "lastSeenAt": None,
                },
                "connectionId": crm.connection,
                "lastDirection": "in",
                "isDirect": True,
                "lastMessage": {
                    "id": message,
                    "direction": "in",
                    "text": "x" * 200,
                    "createdAt": "2026-11-20T12:01:00.000Z",
                    "status": None,
                },
            }
        ],
        "total": 1,
        "totalCapped": False,
        "nextCursor": None,
    }


def test_the_newest_message_comes_first_and_pages_meet_without_a_gap(
    crm: Crm, inbox: Inbox
) -> None:
    talks = [inbox.conversation(last_message_at=minutes(number // 2)) for number in range(7)]

    first = crm.get(f"{LIST}?limit=4").json
    second = crm.get(f"{LIST}?limit=4&cursor={first['nextCursor']}").json

    found = [one["id"] for one in first["conversations"] + second["conversations"]]
    assert found == talks[::-1]
    assert (first["total"], second["total"], second["nextCursor"]) == (7, 7, None)


def test_each_filter_narrows_and_all_combine(crm: Crm, inbox: Inbox) -> None:
    now = datetime.now(UTC)
    rich = crm.fan(
        "Rich Anna",
        value_cents=9000,
        tier="whale",
        tags=["vip", "a"],
        tips_cents=100,
        last_seen_at=now,
    )
    wanted = inbox.conversation(rich, unread_count=1, last_direction="in")
    other = inbox.conversation(crm.fan("Bob 100%_", last_seen_at=now - timedelta(minutes=11)))
    inbox.message(other, direction="out", state="failed", created_at=minutes(5))
    filters = [
        *("unread=true", "unreplied=true", "tier=whale", "tag=vip", "minSpendCents=9000"),
        *("online=true", "withTips=true", "q=ANNA", f"to={minutes(1):%Y-%m-%dT%H:%M:%SZ}"),
        *(f"connectionId={crm.connection}", "platform=onlyfans"),
    ]

    for one in filters[:-2]:
        assert ids(crm, f"?{one}") == [wanted], one
    assert ids(crm, "?" + "&".join(filters)) == [wanted]
    assert ids(crm, "?failed=true") == [other]
    assert ids(crm, f"?from={minutes(1):%Y-%m-%dT%H:%M:%SZ}") == [other]
    assert ids(crm, "?q=100%25_") == [other]
    assert ids(crm, "?q=AN") == ids(crm, "?q=r") == [wanted]
    assert ids(crm, "?q=nn") == []
    assert ids(crm, "?tag=VIP") == ids(crm, "?q=+Anna+") == [wanted]
    assert ids(crm, "?unread=false") == [other, wanted]
    assert ids(crm, "?tag=nobody&unread=true") == []


def test_threads_that_hold_only_campaign_messages_are_hidden_unless_asked_for(
    crm: Crm, inbox: Inbox
) -> None:
    direct = inbox.conversation(last_message_at=minutes(1))
    bulk = inbox.conversation(is_direct=False, last_message_at=minutes(2))

    assert ids(crm) == [direct]
    assert ids(crm, "?direct=false") == [bulk, direct]


def test_a_deleted_fans_conversation_leaves_the_list_and_can_still_be_opened(
    crm: Crm, inbox: Inbox
) -> None:
    talk = inbox.conversation()
    crm.sql("UPDATE fans SET deleted_at = now()")

    assert ids(crm) == []
    assert crm.get(f"{LIST}/{talk}").json["conversation"]["id"] == talk


def test_nobody_elses_conversations_are_seen_whatever_is_asked(crm: Crm, inbox: Inbox) -> None:
    foreign = inbox.conversation(crm.foreign_fan("Anna"))
    inbox.message(foreign)

    assert ids(crm) == []
    assert ids(crm, f"?connectionId={crm.foreign_connection}") == []
    assert ids(crm, "?q=anna") == []
    assert ids(crm, "", "stranger") == [foreign]
    for path in (f"{LIST}/{foreign}", f"{LIST}/{foreign}/messages"):
        assert crm.get(path).status_code == 404
    cursor = crm.get(f"{LIST}?limit=1", "stranger").json["nextCursor"]
    assert cursor is None


@pytest.mark.parametrize(
    "query",
    [
        *("cursor=x", "tier=gold", "from=yesterday", "limit=101", "connectionId=0", "unknown=1"),
        *("q=%00", "from=2026-01-01T00:00:00"),
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(crm: Crm, query: str) -> None:
    assert crm.get(f"{LIST}?{query}").status_code == 422


def test_the_panel_says_what_was_spent_sent_and_bought(crm: Crm, inbox: Inbox) -> None:
    fan = crm.fan(notes="Likes dogs", value_cents=3000, tips_cents=500)
    talk = inbox.conversation(fan)
    media = '[{"type": "image", "url": "https://e.com/%s.jpg"}]'
    bought = inbox.message(
        talk,
        "Look",
        direction="out",
        price_cents=1200,
        purchased_at=minutes(3),
        attachments=media % "a",
        created_at=minutes(2),
    )
    inbox.message(talk, direction="out", state="failed", attachments=media % "b")
    inbox.message(talk, attachments=media % "theirs")
    for cents, reversed_at in ((1000, None), (500, minutes(1))):
        crm.sql(
            "INSERT INTO transactions (user_id, fan_id, source, type, gross_cents, net_cents,"
            " happened_at, reversed_at) VALUES (:o, :f, 'webhook', 'tip', :c, :c * 8 / 10,"
            " now(), :r)",
            o=crm.owner,
            f=fan,
            c=cents,
            r=reversed_at,
        )

    panel = crm.get(f"{LIST}/{talk}").json["panel"]

    assert panel == {
        "valueCents": 3000,
        "tipsCents": 500,
        "grossCents": 1000,
        "netCents": 800,
        "lastPurchaseAt": None,
        "subscriptionEndsAt": None,
        "notes": "Likes dogs",
        "alreadySent": [
            {
                "messageId": bought,
                "type": "image",
                "url": "https://e.com/a.jpg",
                "createdAt": "2026-11-20T12:02:00.000Z",
            }
        ],
        "alreadyBought": [
            {
                "messageId": bought,
                "text": "Look",
                "priceCents": 1200,
                "urls": ["https://e.com/a.jpg"],
                "purchasedAt": "2026-11-20T12:03:00.000Z",
            }
        ],
    }
    chatters = crm.get(f"{LIST}/{talk}", "chatter").json["panel"]
    assert (chatters["valueCents"], chatters["grossCents"], chatters["netCents"]) == (
        3000,
        None,
        None,
    )


def test_what_a_merged_fan_got_and_bought_is_not_offered_again(crm: Crm, inbox: Inbox) -> None:
    kept, merged = crm.fan(connection_id=None), crm.fan()
    talk = inbox.conversation(merged)
    media = '[{"type": "image", "url": "https://e.com/a.jpg"}]'
    columns = {"price_cents": 1200, "purchased_at": minutes(3), "attachments": media}
    sold = inbox.message(talk, "Look", direction="out", **columns)
    assert crm.post(f"/api/crm/fans/{kept}/merge", {"otherId": merged}).status_code == 200

    panel = crm.get(f"{LIST}/{talk}").json["panel"]
    found = crm.get(f"/api/crm/messages?fanId={kept}").json

    assert [one["messageId"] for one in panel["alreadySent"]] == [sold]
    assert [one["messageId"] for one in panel["alreadyBought"]] == [sold]
    assert [one["id"] for one in found["messages"]] == [sold]
    assert crm.get(f"/api/crm/messages?fanId={kept}", "stranger").json["total"] == 0


def test_an_answer_is_not_sent_again_to_who_names_its_etag(crm: Crm, inbox: Inbox) -> None:
    talk = inbox.conversation()
    tag = crm.get(LIST).headers["ETag"]

    again = crm.get(LIST, headers={"If-None-Match": tag})
    inbox.message(talk, created_at=minutes(9))
    changed = crm.get(LIST, headers={"If-None-Match": tag})

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)
