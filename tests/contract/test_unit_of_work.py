"""One suite for the real unit of work and its fake: claims, fences, leases, wake-ups."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import sessionmaker

from domain.connections import ConnectionState
from domain.errors import Conflict, IllegalTransition, Invalid, Unavailable
from domain.events import Event, MessageReleased
from domain.messages import (
    Attachment,
    Delay,
    Hold,
    Message,
    MessageId,
    NewMessage,
    Outcome,
    State,
    generate_message_id,
)
from domain.pacing import Learned, Waiting
from domain.repositories import (
    Once,
    OpenUnitOfWork,
    Result,
    UnitOfWork,
)
from domain.services.wake_ups import requested
from domain.users import Caller, OwnerId, Role, UserId
from infra.cipher import Cipher
from infra.db.unit_of_work import SqlUnitOfWork
from infra.settings import Settings
from tests.fakes.bus import FakeBus
from tests.fakes.unit_of_work import FakeDatabase

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass
class World:
    """A place with one owner, one connection, two linked fans and one unlinked fan."""

    open: OpenUnitOfWork
    bus: FakeBus
    let_time_pass: Callable[[timedelta], None]
    owner: OwnerId
    connection: int
    fans: list[int]
    delete_fan: Callable[[int], None]


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield fake_world()
    else:
        yield real_world(
            request.getfixturevalue("database"), request.getfixturevalue("database_settings")
        )


def fake_world() -> World:
    bus = FakeBus()
    data = FakeDatabase(bus)
    owner = data.add_user("owner@example.com")
    connection = data.add_connection(owner, "acct_1")
    fans = [data.add_fan(owner, connection, str(500 + n)) for n in range(2)]
    fans.append(data.add_fan(owner, None, None))
    return World(data.open, bus, data.let_time_pass, owner, connection, fans, data.delete_fan)


def real_world(engine: Engine, settings: Settings) -> World:
    bus, sessions, cipher = FakeBus(), sessionmaker(engine), Cipher(settings.encryption_keys)
    with SqlUnitOfWork(sessions, bus, cipher) as work:
        owner = work.users.add("owner@example.com", "hash", Role.OWNER, None, "UTC").owner_id
        work.commit()
    with engine.begin() as database:
        connection = database.execute(
            text(
                "INSERT INTO platform_connections (user_id, name, account_id, access_key)"
                " VALUES (:owner, 'Luna', 'acct_1', :key) RETURNING id"
            ),
            {"owner": owner, "key": cipher.encrypt("secret-key")},
        ).scalar_one()
        fans = [
            database.execute(
                text(
                    "INSERT INTO fans (user_id, name, handle, connection_id, platform_user_id)"
                    " VALUES (:owner, 'Fan', :handle, :connection, :platform) RETURNING id"
                ),
                {"owner": owner, "handle": f"@{n}", "connection": c, "platform": p},
            ).scalar_one()
            for n, (c, p) in enumerate([(connection, "500"), (connection, "501"), (None, None)])
        ]

    def let_time_pass(by: timedelta) -> None:
        with engine.begin() as database:
            for column in ("wake_after", "lease_until", "admitted_at"):
                database.execute(
                    text(f"UPDATE messages SET {column} = {column} - cast(:by AS interval)"),
                    {"by": by},
                )
            database.execute(
                text("UPDATE idempotency_keys SET created_at = created_at - cast(:by AS interval)"),
                {"by": by},
            )

    def delete_fan(fan: int) -> None:
        with engine.begin() as database:
            database.execute(text("UPDATE fans SET deleted_at = now() WHERE id = :id"), {"id": fan})

    return World(
        lambda: SqlUnitOfWork(sessions, bus, cipher),
        bus,
        let_time_pass,
        owner,
        connection,
        fans,
        delete_fan,
    )


def new(world: World, work: UnitOfWork, **changes: object) -> NewMessage:
    found = work.fans.recipient(world.owner, world.fans[0])
    assert found is not None
    message = NewMessage(
        public_id=generate_message_id(),
        owner_id=world.owner,
        connection_id=world.connection,
        conversation_id=work.fans.conversation(found.fan),
        fan_id=found.fan.id,
        campaign_id=None,
        text="Hello 👋",
        price_cents=None,
        attachments=(),
        metadata={"source": "test"},
        priority=5,
        hold=None,
        queued_at=NOW,
        promised_at=NOW + SECOND,
    )
    return replace(message, **changes)


def queued(world: World, wake_in: timedelta = MINUTE, **changes: object) -> Message:
    with world.open() as work:
        message = work.messages.add(new(world, work, **changes), wake_in)
        work.commit()
    return message


def read(world: World, message: Message) -> Message:
    with world.open() as work:
        found = work.messages.by_public_id(message.public_id)
    assert found is not None
    return found


def claimed(world: World, message: Message, lease: timedelta = MINUTE):
    with world.open() as work:
        claim = work.messages.claim(message.id, lease)
        work.commit()
    return claim


def recorded(world: World, claim, outcome: Outcome, state: State, **changes: object):
    result = Result(
        outcome,
        slot_at=NOW,
        interval_ms=6030.0,
        started_at=NOW,
        finished_at=NOW + SECOND,
        http_status=200,
        platform_message_id=changes.pop("platform_message_id", None),
    )
    values = {"failures": 0, "key_no": 0, "delay": None, "wake_in": None} | changes
    with world.open() as work:
        moved = work.messages.record(claim, result, state, **values)
        work.commit()
    return moved


def refuse_all(bus: FakeBus) -> list[Event]:
    """The events that the bus is offered and refuses."""
    offered: list[Event] = []

    def refuses(event: Event) -> bool:
        offered.append(event)
        return True

    bus.refuses = refuses
    return offered


def test_a_stored_message_is_read_back_with_every_field(world: World) -> None:
    stored = queued(
        world,
        price_cents=500,
        attachments=(Attachment("image", "https://s3.amazonaws.com/a.png"),),
        hold=Hold.MEDIA,
        priority=3,
    )

    found = read(world, stored)

    assert {f.name: getattr(found, f.name) for f in fields(found)} == {
        f.name: getattr(stored, f.name) for f in fields(stored)
    }
    assert (found.state, found.text, found.metadata) == (
        State.QUEUED,
        "Hello 👋",
        {"source": "test"},
    )


def test_leaving_without_commit_stores_nothing(world: World) -> None:
    with world.open() as work:
        message = work.messages.add(new(world, work), MINUTE)

    with world.open() as work:
        assert work.messages.by_public_id(message.public_id) is None


def test_a_second_message_with_the_same_public_id_is_a_conflict(world: World) -> None:
    first = queued(world)

    with pytest.raises(Conflict) as refusal:
        queued(world, public_id=first.public_id)

    assert refusal.value.code == "message_exists"


def test_a_foreign_owner_sees_nothing(world: World) -> None:
    message = queued(world)
    stranger = OwnerId(world.owner + 1000)

    with world.open() as work:
        assert work.messages.get(stranger, message.public_id) is None
        assert work.messages.lock(stranger, message.public_id) is None
        assert work.fans.recipient(stranger, world.fans[0]) is None
        assert work.connections.get(stranger, world.connection) is None
        assert work.fans.page(stranger, 10, None).total == 0


def test_events_leave_after_commit_and_a_refused_one_wakes_its_row_soon(world: World) -> None:
    offered = refuse_all(world.bus)
    with world.open() as work:
        message = work.messages.add(new(world, work), MINUTE)
        work.emit(requested(message))
        assert offered == []
        work.commit()
    assert [event.row for event in offered] == [message.id]

    world.let_time_pass(2 * SECOND)
    with world.open() as work:
        assert [one.id for one in work.queue.overdue(10)] == [message.id]


def test_an_event_without_a_row_may_be_refused(world: World) -> None:
    offered = refuse_all(world.bus)
    with world.open() as work:
        work.emit(Event(MessageReleased(message_id=1, connection_id=1, lease="x"), group="1"))
        work.commit()

    assert len(offered) == 1


def test_ahead_counts_what_is_queued_or_sending_but_not_held_or_begun(world: World) -> None:
    first, second = queued(world, priority=5), queued(world, priority=8)
    queued(world, hold=Hold.MEDIA)
    sending = queued(world, priority=5)
    claimed(world, sending)

    with world.open() as work:
        assert dict(work.queue.ahead(world.connection, frozenset())) == {5: 2, 8: 1}
        assert dict(work.queue.ahead(world.connection, frozenset({sending.id}))) == {5: 1, 8: 1}
        assert work.queue.unfinished(world.connection) == 4
    assert first.id < second.id < sending.id


def test_ahead_of_a_message_are_the_older_ones_of_its_priority_and_all_others(
    world: World,
) -> None:
    queued(world, priority=1)
    queued(world, priority=5)
    middle = queued(world, priority=5)
    queued(world, priority=5)
    queued(world, priority=8)

    with world.open() as work:
        ahead = work.queue.ahead(world.connection, frozenset(), (middle.priority, middle.id))

    assert dict(ahead) == {1: 1, 5: 1, 8: 1}


def test_admissible_rows_come_in_order_and_only_once(world: World) -> None:
    rows = [queued(world, priority=priority) for priority in (5, 1, 9)]
    queued(world, hold=Hold.MEDIA)

    with world.open() as work:
        found = work.queue.admissible(world.connection, rows[1].id, 10)
        assert list(found) == [Waiting(rows[0].id, 5), Waiting(rows[1].id, 1)]
        work.queue.admitted({rows[0].id: NOW, rows[1].id: None}, MINUTE)
        work.commit()
    with world.open() as work:
        assert [
            one.message_id for one in work.queue.admissible(world.connection, rows[2].id, 10)
        ] == [rows[2].id]
    assert read(world, rows[0]).estimated_send_at == NOW
    assert read(world, rows[1]).estimated_send_at == NOW + SECOND
    assert read(world, rows[1]).admitted_at is not None


def test_an_estimate_later_than_promised_gets_a_reason(world: World) -> None:
    message, kept = queued(world), queued(world)

    with world.open() as work:
        work.queue.admitted({message.id: NOW + 10 * SECOND, kept.id: NOW + 2 * SECOND}, MINUTE)
        work.commit()

    assert read(world, message).delay is Delay.OVERTAKEN
    assert read(world, message).promised_at == NOW + SECOND
    assert read(world, kept).delay is None


def test_only_one_of_many_claims_wins(world: World) -> None:
    message = queued(world)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claimed(world, message), range(8)))

    won = [claim for claim in claims if claim is not None]
    assert len(won) == 1
    assert (won[0].attempt_no, won[0].account_id, won[0].platform_user_id) == (1, "acct_1", "500")
    assert (won[0].access_key, won[0].send_key) == ("secret-key", str(message.public_id))
    assert read(world, message).state is State.SENDING


def test_a_held_message_and_a_paused_connection_are_not_claimed(world: World) -> None:
    held, waits = queued(world, hold=Hold.MEDIA), queued(world)
    with world.open() as work:
        assert work.connections.set_state(world.connection, ConnectionState.PAUSED, "by hand")
        work.commit()

    assert claimed(world, held) is None
    assert claimed(world, waits) is None
    assert read(world, waits).wake_after is None
    assert read(world, waits).delay is Delay.PAUSED

    with world.open() as work:
        assert work.connections.set_state(world.connection, ConnectionState.ACTIVE, None)
        assert not work.connections.set_state(world.connection, ConnectionState.ACTIVE, None)
        work.commit()
    with world.open() as work:
        assert [one.id for one in work.queue.overdue(10)] == [waits.id]
    assert claimed(world, waits) is not None


def test_a_held_row_has_a_wake_up_that_pausing_leaves_alone(world: World) -> None:
    held = queued(world, hold=Hold.MEDIA)
    with world.open() as work:
        work.connections.set_state(world.connection, ConnectionState.PAUSED, "by hand")
        work.commit()
    assert read(world, held).wake_after == held.wake_after is not None

    with world.open() as work:
        work.connections.set_state(world.connection, ConnectionState.ACTIVE, None)
        work.commit()
    assert read(world, held).wake_after == held.wake_after

    world.let_time_pass(60 * MINUTE)
    with world.open() as work:
        assert list(work.queue.overdue(10)) == []


def test_a_claim_brings_the_media_in_order_and_needs_each_of_them(world: World) -> None:
    first = Attachment("image", "https://s3.amazonaws.com/a.png", "11")
    second = Attachment("video", "https://s3.amazonaws.com/b.mp4", "ofapi_media_2")
    bare = Attachment("image", "https://s3.amazonaws.com/c.png")
    whole = queued(world, attachments=(second, first))
    half = queued(world, attachments=(first, bare))

    claim = claimed(world, whole)

    assert claim is not None
    assert claim.media_ids == ("ofapi_media_2", "11")
    assert read(world, whole).attachments == (second, first)
    assert claimed(world, half) is None
    assert read(world, half).state is State.QUEUED


def test_a_list_of_banned_words_is_the_owners_even_when_emptied(world: World) -> None:
    def words(owner: OwnerId) -> object:
        with world.open() as work:
            return work.banned_words.of(owner)

    def put(*listed: str) -> None:
        with world.open() as work:
            work.banned_words.replace(world.owner, listed)
            work.commit()

    assert words(world.owner) is None
    put("tea", "Coffee")
    assert words(world.owner) == ["Coffee", "tea"]
    assert words(OwnerId(world.owner + 1000)) is None
    put("cocoa")
    assert words(world.owner) == ["cocoa"]
    put()
    assert words(world.owner) == []


def test_claims_and_pauses_at_once_neither_deadlock_nor_miss_each_other(world: World) -> None:
    rows = [queued(world) for _ in range(40)]

    def pause_and_resume(_: int) -> None:
        for state in (ConnectionState.PAUSED, ConnectionState.ACTIVE):
            with world.open() as work:
                work.connections.set_state(world.connection, state, None)
                work.commit()

    with ThreadPoolExecutor(8) as pool:
        pauses = [pool.submit(pause_and_resume, number) for number in range(10)]
        claims = [pool.submit(claimed, world, row) for row in rows]
        for one in pauses:
            one.result()
        won = sum(one.result() is not None for one in claims)

    assert sum(read(world, row).state is State.SENDING for row in rows) == won


def test_not_called_gives_the_row_back_and_closes_the_attempt(world: World) -> None:
    message = queued(world)
    claim = claimed(world, message)

    with world.open() as work:
        returned = work.messages.not_called(claim, MINUTE)
        work.commit()

    assert returned
    assert (read(world, message).state, read(world, message).delay) == (State.QUEUED, Delay.RETRY)
    with world.open() as work:
        [attempt] = work.messages.attempts(message.id)
    assert attempt.outcome is Outcome.NOT_CALLED
    assert claimed(world, message).attempt_no == 2


@pytest.mark.parametrize("way", ["not_called", "record", "move"])
def test_what_would_wait_for_a_deleted_fan_is_cancelled(world: World, way: str) -> None:
    message = queued(world)
    claim = claimed(world, message)
    sending = read(world, message)
    world.delete_fan(world.fans[0])

    if way == "record":
        moved = recorded(world, claim, Outcome.RATE_LIMITED, State.QUEUED, wake_in=MINUTE)
        assert moved is State.CANCELLED
    else:
        with world.open() as work:
            if way == "move":
                assert work.messages.move(sending, State.QUEUED, wake_in=MINUTE)
            else:
                work.messages.not_called(claim, MINUTE)
            work.commit()

    found = read(world, message)
    assert (found.state, found.wake_after, found.lease_until) == (State.CANCELLED, None, None)
    with world.open() as work:
        assert work.fans.get(world.owner, world.fans[0]) is None
        assert work.fans.recipient(world.owner, world.fans[0]) is None
        gone = work.fans.get(world.owner, world.fans[0], deleted=True)
    assert gone is not None


def test_a_recorded_call_completes_the_attempt_and_moves_the_message(world: World) -> None:
    message = queued(world)
    claim = claimed(world, message)

    moved = recorded(world, claim, Outcome.SENT, State.SENT, platform_message_id="p1")

    found = read(world, message)
    assert moved is State.SENT
    assert (found.state, found.platform_message_id, found.sent_at) == (State.SENT, "p1", NOW)
    with world.open() as work:
        [attempt] = work.messages.attempts(message.id)
        assert work.queue.holds_platform_id(world.connection, ["p0", "p1"]) == {"p1"}
    assert (attempt.outcome, attempt.slot_at, attempt.finished_at) == (
        Outcome.SENT,
        NOW,
        NOW + SECOND,
    )


def test_a_worker_frozen_past_its_lease_cannot_change_a_newer_attempt(world: World) -> None:
    message = queued(world)
    old = claimed(world, message, SECOND)
    world.let_time_pass(MINUTE)
    with world.open() as work:
        assert work.queue.expire_leases(10, SECOND) == 1
        work.commit()
    assert read(world, message).state is State.UNKNOWN
    with world.open() as work:
        assert work.messages.move(read(world, message), State.QUEUED, wake_in=MINUTE)
        work.commit()
    newer = claimed(world, message)

    assert recorded(world, old, Outcome.REFUSED, State.FAILED) is None

    assert read(world, message).state is State.SENDING
    assert (
        recorded(world, newer, Outcome.RATE_LIMITED, State.QUEUED, wake_in=MINUTE) is State.QUEUED
    )


def test_proof_of_sent_wins_whatever_the_fence_says(world: World) -> None:
    message = queued(world)
    old = claimed(world, message)
    world.let_time_pass(2 * MINUTE)
    with world.open() as work:
        work.queue.expire_leases(10, SECOND)
        work.commit()
    with world.open() as work:
        work.messages.move(read(world, message), State.QUEUED, wake_in=MINUTE)
        work.commit()

    assert recorded(world, old, Outcome.SENT, State.SENT, platform_message_id="p1") is State.SENT

    assert read(world, message).state is State.SENT
    assert claimed(world, message) is None


def test_an_answer_that_names_another_rows_platform_id_still_counts_as_sent(world: World) -> None:
    first, second = queued(world), queued(world)
    recorded(world, claimed(world, first), Outcome.SENT, State.SENT, platform_message_id="p1")

    moved = recorded(
        world, claimed(world, second), Outcome.SENT, State.SENT, platform_message_id="p1"
    )

    assert moved is State.SENT
    assert read(world, second).platform_message_id is None


def test_a_live_lease_is_not_expired(world: World) -> None:
    claimed(world, queued(world))

    with world.open() as work:
        assert work.queue.expire_leases(10, SECOND) == 0


def test_overdue_rows_are_handed_to_one_process_only(world: World) -> None:
    late, early = queued(world, wake_in=SECOND), queued(world, wake_in=10 * MINUTE)
    world.let_time_pass(2 * SECOND)

    with world.open() as work:
        assert [one.id for one in work.queue.overdue(10)] == [late.id]
        work.commit()
    with world.open() as work:
        assert list(work.queue.overdue(10)) == []
    assert early.wake_tries == 0


def test_refused_publishes_are_counted(world: World) -> None:
    message = queued(world)

    with world.open() as work:
        work.queue.refused([message.id], 2 * SECOND)
        work.queue.wake([message.id], 2 * SECOND)
        work.commit()

    assert read(world, message).wake_tries == 1


def test_unsettled_rows_come_with_their_attempts_and_keys(world: World) -> None:
    message = queued(world)
    recorded(world, claimed(world, message), Outcome.UNCLEAR, State.UNKNOWN, wake_in=SECOND)
    world.let_time_pass(2 * SECOND)

    with world.open() as work:
        [one] = work.queue.unsettled(10)
        work.commit()

    assert (one.message.id, one.claim.account_id) == (message.id, "acct_1")
    assert [attempt.outcome for attempt in one.attempts] == [Outcome.UNCLEAR]
    with world.open() as work:
        assert work.queue.twins(one.message) == 1
        assert list(work.queue.unsettled(10)) == []
        work.queue.put_off(message.id, None)
        work.commit()
    assert read(world, message).wake_after is None


def test_twins_are_rows_that_look_alike_and_may_have_reached_the_platform(world: World) -> None:
    first, again, never, other = (
        queued(world),
        queued(world),
        queued(world),
        queued(world, text="x"),
    )
    recorded(world, claimed(world, first), Outcome.UNCLEAR, State.UNKNOWN)
    recorded(world, claimed(world, again), Outcome.RATE_LIMITED, State.QUEUED, wake_in=MINUTE)
    claimed(world, other)

    with world.open() as work:
        assert work.queue.twins(read(world, first)) == 2
        assert work.queue.twins(read(world, other)) == 1
    assert read(world, never).attempt_no == 0


def test_a_change_decided_on_an_old_picture_changes_nothing(world: World) -> None:
    message = queued(world)
    claimed(world, message)

    with world.open() as work:
        assert not work.messages.move(message, State.CANCELLED)
        work.commit()

    assert read(world, message).state is State.SENDING


def test_a_change_outside_the_table_raises(world: World) -> None:
    message = queued(world)

    with world.open() as work, pytest.raises(IllegalTransition):
        work.messages.move(message, State.DELIVERED)


def test_after_a_rebuild_what_waits_says_that_it_is_late(world: World) -> None:
    waits, unpromised = queued(world), queued(world, promised_at=None)

    with world.open() as work:
        work.queue.recovering()
        work.commit()

    assert [read(world, one).delay for one in (waits, unpromised)] == [Delay.RECOVERY, None]


def test_waiting_streams_each_connection_with_its_rows(world: World) -> None:
    rows = [queued(world) for _ in range(3)]
    queued(world, hold=Hold.MEDIA)
    claimed(world, rows[0])

    with world.open() as work:
        [(connection, waiting)] = list(work.queue.waiting())

    assert connection.id == world.connection
    assert [one.message_id for one in waiting] == [rows[1].id, rows[2].id]


def test_status_counts_equal_the_rows(world: World) -> None:
    rows = [queued(world) for _ in range(5)]
    recorded(world, claimed(world, rows[0]), Outcome.SENT, State.SENT, platform_message_id="p1")
    recorded(world, claimed(world, rows[1]), Outcome.REFUSED, State.FAILED)
    recorded(world, claimed(world, rows[2]), Outcome.UNCLEAR, State.UNKNOWN)
    with world.open() as work:
        work.messages.dead_letter(rows[3].public_id)
        work.commit()

    with world.open() as work:
        counts = work.messages.status(world.owner, NOW - timedelta(days=1))
        later = work.messages.status(world.owner, NOW + MINUTE)
        assert work.messages.queued_count(world.owner) == counts.queued

    assert (counts.queued, counts.sending, counts.unknown, counts.dead_lettered) == (2, 0, 1, 1)
    assert (counts.queued_today, counts.sent_today, counts.failed_today) == (5, 1, 1)
    assert counts.last_sent_at == NOW
    assert (later.queued_today, later.sent_today) == (0, 0)


def test_a_connection_remembers_what_the_platform_asked_for_and_its_rows_say_why(
    world: World,
) -> None:
    message = queued(world)
    with world.open() as work:
        work.connections.learn(
            world.connection,
            Learned(2, 5, NOW.timestamp() * 1000, changed=True),
            "rate_limited",
            Delay.RATE_LIMITED,
        )
        work.commit()
    with world.open() as work:
        found = work.connections.by_id(world.connection)

    assert found is not None
    assert (found.slowdown, found.failures, found.blocked_until) == (2, 5, NOW)
    assert found.blocked_reason == "rate_limited"
    assert read(world, message).delay is Delay.RATE_LIMITED


def test_less_urgent_rows_that_are_overtaken_say_so(world: World) -> None:
    bulk, same = queued(world, priority=8), queued(world, priority=5)
    urgent = queued(world, priority=5)

    with world.open() as work:
        work.queue.overtaken(world.connection, urgent.priority, urgent.id)
        work.commit()

    assert [read(world, one).delay for one in (bulk, same, urgent)] == [
        Delay.OVERTAKEN,
        None,
        None,
    ]


def test_the_last_slot_is_read_from_the_ledger(world: World) -> None:
    with world.open() as work:
        assert work.connections.last_slot(world.connection) is None
    recorded(
        world, claimed(world, queued(world)), Outcome.SENT, State.SENT, platform_message_id="p1"
    )
    with world.open() as work:
        assert work.connections.last_slot(world.connection) == NOW


def test_fans_come_newest_first_page_by_page(world: World) -> None:
    with world.open() as work:
        first = work.fans.page(world.owner, 2, None)
        second = work.fans.page(world.owner, 2, first.next_cursor)
        with pytest.raises(Invalid):
            work.fans.page(world.owner, 2, "no cursor of ours")

    assert [fan.id for fan in first.items] == [world.fans[2], world.fans[1]]
    assert [fan.id for fan in second.items] == [world.fans[0]]
    assert (first.total, second.total, second.next_cursor) == (3, 3, None)


def test_a_fan_has_one_conversation_under_concurrency(world: World) -> None:
    def talk(_: int) -> int:
        with world.open() as work:
            found = work.fans.recipient(world.owner, world.fans[0])
            assert found is not None
            conversation = work.fans.conversation(found.fan)
            work.commit()
        return conversation

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(talk, range(8)))) == 1


def test_an_idempotency_key_replays_its_reply_and_refuses_another_body(world: World) -> None:
    once = Once("key-1", "POST /send", "digest")
    with world.open() as work:
        assert work.idempotency.claim(world.owner, once) is None
        work.idempotency.store(world.owner, once, "reply")
        work.commit()

    with world.open() as work:
        assert work.idempotency.claim(world.owner, once) == "reply"
        with pytest.raises(Conflict) as reused:
            work.idempotency.claim(world.owner, replace(once, fingerprint="other"))
    assert reused.value.code == "idempotency_key_reused"


def test_an_idempotency_key_is_forgotten_after_a_day(world: World) -> None:
    once = Once("key-1", "POST /send", "digest")
    for _ in range(2):
        with world.open() as work:
            assert work.idempotency.claim(world.owner, once) is None
            work.commit()
        world.let_time_pass(timedelta(hours=25))
    with world.open() as work:
        assert work.idempotency.forget_old() == 1


@pytest.mark.parametrize("age", [None, timedelta(hours=25)], ids=["new", "used a day ago"])
def test_of_twins_with_one_key_the_second_gets_the_reply_of_the_first(
    world: World, age: timedelta | None
) -> None:
    once = Once("key-1", "POST /send", "digest")
    if age:
        with world.open() as work:
            work.idempotency.claim(world.owner, once)
            work.commit()
        world.let_time_pass(age)

    def twin(number: int) -> str | None:
        with world.open() as work:
            stored = work.idempotency.claim(world.owner, once)
            if stored is None:
                work.idempotency.store(world.owner, once, f"reply {number}")
                work.commit()
        return stored

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(twin, range(8)))
    [first] = [number for number, stored in enumerate(told) if stored is None]
    assert {stored for stored in told if stored} == {f"reply {first}"}


def test_a_rolled_back_effect_leaves_no_idempotency_key(world: World) -> None:
    once = Once("key-1", "POST /send", "digest")
    with world.open() as work:
        work.idempotency.claim(world.owner, once)

    with world.open() as work:
        assert work.idempotency.claim(world.owner, once) is None


def test_users_are_found_by_email_in_any_case_and_only_once(world: World) -> None:
    with world.open() as work:
        found = work.users.by_email("OWNER@example.com")
        assert found is not None
        assert (found[0].owner_id, found[0].role) == (world.owner, Role.OWNER)
        with pytest.raises(Conflict):
            work.users.add("Owner@Example.com", "hash", Role.OWNER, None, "UTC")
        chatter = work.users.add("c@example.com", "hash", Role.CHATTER, world.owner, "Europe/Paris")
        assert (chatter.owner_id, chatter.time_zone) == (world.owner, "Europe/Paris")
        assert work.users.get(chatter.id) == chatter


def test_the_ledger_shows_calls_doubles_and_promises(world: World) -> None:
    message = queued(world)
    recorded(world, claimed(world, message), Outcome.SENT, State.SENT, platform_message_id="p1")
    lost = queued(world)
    with world.open() as work:
        work.queue.put_off(lost.id, None)
        work.commit()

    with world.open() as work:
        since = NOW - MINUTE
        [call] = list(work.ledger.calls(since))
        assert (call.started_at, call.interval_ms) == (NOW, 6030.0)
        assert list(work.ledger.promises(since)) == [(NOW + SECOND, NOW)]
        assert list(work.ledger.stuck(since, MINUTE)) == [lost.public_id]
        assert list(work.ledger.doubles(since)) == []
        assert dict(work.ledger.delayed(since)) == {}
        assert [one.platform_message_id for one in work.ledger.sent(since)] == ["p1"]


def test_the_unlinked_fan_has_no_connection(world: World) -> None:
    with world.open() as work:
        found = work.fans.recipient(world.owner, world.fans[2])
        assert found is not None
        assert (found.connection, found.fan.linked) == (None, False)


def test_message_ids_rise(world: World) -> None:
    first, second = queued(world), queued(world)

    assert MessageId(first.id) < MessageId(second.id)


def test_a_line_of_the_audit_log_names_who_did_it_and_with_which_key(world: World) -> None:
    user = UserId(world.owner)
    deeds = [
        Caller(user, world.owner, Role.OWNER),
        Caller(user, world.owner, Role.OWNER, key_id=7),
        world.owner,
    ]
    with world.open() as work:
        for who in deeds:
            work.audit.add(who, "fan.deleted", "fan", 5, {"count": 1})
        work.commit()

    with world.open() as work:
        page = work.audit.page(world.owner, 2, None)
        rest = work.audit.page(world.owner, 2, page.next_cursor)
    lines = [*page.items, *rest.items]
    assert [(one.actor_id, one.detail) for one in lines] == [
        (None, {"count": 1}),
        (user, {"count": 1, "keyId": 7}),
        (user, {"count": 1}),
    ]
    assert (page.total, rest.next_cursor) == (3, None)
    assert {(one.action, one.subject, one.subject_id) for one in lines} == {
        ("fan.deleted", "fan", "5")
    }


def test_a_session_that_postgresql_ended_is_unavailable(
    database: Engine, database_settings: Settings
) -> None:
    """As happens to a process that was frozen within a transaction."""
    world = real_world(database, database_settings)

    def freeze() -> None:
        with world.open() as work:
            work._session.execute(text("SET idle_in_transaction_session_timeout = 20"))
            time.sleep(0.3)
            work.connections.by_id(world.connection)

    with pytest.raises(Unavailable):
        freeze()
