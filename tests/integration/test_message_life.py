"""The whole life of messages over random histories: the real services on a real PostgreSQL and a
real Redis, in processes that crash, lose answers and freeze between any two of their effects.

The model is small: what callers were told, and what the platform got. At the end everything works
again, and every message must come to its end: sent exactly once, or not, with a reason.

LIFE_EXAMPLES asks for a longer search than a run of all the tests can afford.
"""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from sqlalchemy import Engine

from domain.errors import Conflict, Unavailable
from domain.events import Event, MessageReleased, MessageRequested, PlatformEventReceived
from domain.messages import PROVABLE, TRANSITIONS, Draft, Outcome, State
from domain.pacing import interval_ms
from domain.ports import RoomUnavailable, SendAnswer
from domain.repositories import Once
from infra.local.services import LocalServices
from infra.settings import Settings
from tests.fakes.platform import Turn
from tests.life import Crash, Kind, Life, Trouble, life_database
from tests.webhooks import body, message, user

ACCOUNTS = ("acct_luna", "acct_nova")
FANS = 2  # of each account
INTERVAL, SLACK = interval_ms(10) / 1000, 0.3
AWAY = (Crash, RoomUnavailable, Unavailable)
SENT = (State.SENT, State.DELIVERED)
FOREVER = timedelta(days=10_000)

SECOND = timedelta(seconds=1)
# How a call may go. The last one delivers, says 502 and keeps nothing under the key.
TURNS = {
    "sent": Turn(SendAnswer(Outcome.SENT)),
    "rate_limited": Turn(SendAnswer(Outcome.RATE_LIMITED, 429, retry_after=5 * SECOND)),
    "refused": Turn(SendAnswer(Outcome.REFUSED, 422, error_code="banned_words")),
    "not_sent": Turn(SendAnswer(Outcome.NOT_SENT, 503)),
    "unreachable": Turn(SendAnswer(Outcome.UNREACHABLE)),
    "auth_lost": Turn(SendAnswer(Outcome.AUTH_LOST, 401)),
    "no_credits": Turn(SendAnswer(Outcome.QUOTA_EXHAUSTED, 402)),
    "in_progress": Turn(SendAnswer(Outcome.IN_PROGRESS, 409)),
    "unclear_not_sent": Turn(SendAnswer(Outcome.UNCLEAR)),
    "unclear_sent": Turn(SendAnswer(Outcome.UNCLEAR), delivers=True),
    "forgotten_sent": Turn(SendAnswer(Outcome.UNCLEAR, 502), delivers=True, forgets=True),
}
MEANWHILE = (
    *("wait_0.4", "wait_7", "wait_31", "wait_61"),
    *("heal", "settle", "release", "work", "work", "tell", "flush", "pause", "cancel", "retry"),
)

picks = st.integers(0, 1_000)
troubles = st.just(()) | st.lists(
    st.tuples(
        st.integers(0, 13),
        st.sampled_from(Kind),
        st.lists(st.sampled_from(MEANWHILE), min_size=1, max_size=5).map(tuple),
    ),
    min_size=1,
    max_size=2,
)
turns = st.sampled_from(("sent", "sent", "sent", *TURNS))
seconds = st.sampled_from((0, 0.3, 20))


@dataclass(frozen=True)
class Wish:
    """What a caller asks to send."""

    fan: int
    text: str
    priority: int


wishes = st.builds(
    Wish, st.integers(0, len(ACCOUNTS) * FANS - 1), st.sampled_from("abc"), st.sampled_from((1, 5))
)


class MessageLife(RuleBasedStateMachine):
    def __init__(self, engine: Engine, redis: Redis, given: Settings) -> None:
        super().__init__()
        self.life = Life(engine, redis, given)
        self.life.settle_in(ACCOUNTS, FANS)
        self.told: dict[UUID, Wish] = {}  # accepted, as a caller heard
        self.keyed: dict[str, Wish] = {}
        self.of_key: dict[str, UUID] = {}
        self.cancelled: dict[UUID, int] = {}  # the newest process when a caller heard of it
        self.again = Counter()  # how often a person judged an unknown message not sent

    # What happens

    def run(self, deed, *arguments, troubled: Sequence = (), **options):
        """A deed in a process of its own; None when that died, or heard nothing."""
        bound = [
            Trouble(at, kind, tuple(partial(self.meanwhile, one) for one in deeds))
            for at, kind, deeds in troubled
        ]
        with self.life.process(bound):
            try:
                return deed(*arguments, **options)
            except AWAY as problem:
                event(f"{deed.__name__}: {type(problem).__name__}")
                return None

    def meanwhile(self, name: str) -> None:
        deed, _, number = name.partition("_")
        if deed == "wait":
            self.life.wait(float(number))
        else:
            getattr(self, f"do_{deed}")()

    @initialize(first=st.lists(wishes, min_size=1, max_size=4))
    def begin(self, first):
        self.run(self.life.healing.rebuild_if_cold)
        for wish in first:
            self.accept_one(wish, None, ())

    @rule(
        wish=wishes,
        key=st.sampled_from((None, "x", "y")),
        troubled=troubles,
    )
    def accept(self, wish, key, troubled):
        self.accept_one(wish, key, troubled)

    def accept_one(self, wish, key, troubled):
        life, once = self.life, None
        if key:
            wish = self.keyed.setdefault(key, wish)
            once = Once(key, "send", repr(wish))
        draft = Draft(wish.text, priority=wish.priority, metadata={"key": key} if key else {})
        recipient = f"fan_{life.fans[wish.fan]}"
        result = self.run(
            life.messages.send_message,
            *(life.caller, recipient, draft, life.at, once),
            troubled=troubled,
        )
        if result is None:
            return
        assert result.status == "queued" or result.replayed
        if key in self.of_key:
            assert result.replayed
            assert result.message_id == self.of_key[key]
        elif key:
            self.of_key[key] = result.message_id
        self.told[result.message_id] = wish

    @rule(
        which=picks,
        keep=st.sampled_from((False, False, True)),
        turn=turns,
        takes=seconds,
        troubled=troubles,
    )
    def work(self, which, keep, turn, takes, troubled):
        """A worker handles an event; one that `keep` leaves on the queue comes again."""
        with self.platform(turn, takes, troubled):
            self.do_work(which, keep=keep, troubled=troubled)

    @rule(turn=turns, takes=seconds, troubled=troubles)
    def go_on(self, turn, takes, troubled):
        """Everybody does what there is to do, the workers in trouble."""
        with self.platform(turn, takes, troubled):
            self.round(troubled)

    @rule(deed=st.sampled_from(("heal", "settle", "release")), troubled=troubles)
    def look_after(self, deed, troubled):
        getattr(self, f"do_{deed}")(troubled=troubled)

    @rule(
        deed=st.sampled_from(("cancel", "retry", "confirm", "pause", "resume", "tell")),
        which=picks,
        troubled=troubles,
    )
    def people_act(self, deed, which, troubled):
        getattr(self, f"do_{deed}")(which, troubled=troubled)

    @rule(step=st.sampled_from((0.3, 1, 6.03, 31, 61, 95)))
    def time_passes(self, step):
        self.life.wait(step)

    @rule(
        deed=st.sampled_from(("flush", "lose", "turn_bus", "turn_chats")),
        which=picks,
    )
    def something_breaks(self, deed, which):
        getattr(self, f"do_{deed}")(which)

    @contextmanager
    def platform(self, turn, takes, troubled):
        """How its next call goes. Two misfortunes in one call leave nothing to decide by."""
        life = self.life
        life.gateway.script(
            TURNS["unclear_sent" if turn == "forgotten_sent" and troubled else turn]
        )
        life.takes = timedelta(seconds=takes)
        yield
        life.gateway.unscript()
        life.takes = timedelta(0)

    def do_work(self, which=0, *, keep=False, troubled=()):
        events = self.life.bus.events
        if not events:
            return
        received = events.pop(which % len(events))
        done = self.run(self.handle, received, troubled=troubled)
        if keep or done is None:
            events.append(received)

    def handle(self, received: Event) -> bool:
        payload = received.payload
        if isinstance(payload, MessageRequested):
            self.life.delivery.requested(payload, self.life.at)
        elif isinstance(payload, MessageReleased):
            self.life.delivery.deliver(payload.permit())
        else:
            assert isinstance(payload, PlatformEventReceived)
            self.life.inbound.handle(payload.event_id, self.life.at)
        return True

    def do_release(self, *, troubled=()):
        self.run(self.life.pacer.release_once, troubled=troubled)

    def do_heal(self, *, troubled=()):
        """One turn of the healing timer."""

        def turn():
            with suppress(RoomUnavailable):
                self.life.healing.rebuild_if_cold()
            self.life.healing.heal()
            self.life.inbound.wake_events()

        self.run(turn, troubled=troubled)

    def do_settle(self, *, troubled=()):
        self.run(self.life.healing.settle, troubled=troubled)

    def do_tell(self, which=-1, *, troubled=()):
        """The platform tells of a message of ours in its chats."""
        shown = [
            (account, fan, one)
            for account in ACCOUNTS
            for fan in range(500, 500 + FANS)
            for one in self.chat(account, str(fan))
        ]
        if not shown:
            return
        account, fan, one = shown[which % len(shown)]
        at = one.created_at.isoformat()
        item = message(int(one.id), at, f"<p>{one.text}</p>", toUser=user(fan))
        raw = body("messages.sent", item, account)
        self.run(self.life.inbound.receive, raw, f"told-{one.id}", None, troubled=troubled)

    def chat(self, account, fan):
        gateway = self.life.gateway
        since, readable = self.life.at - FOREVER, gateway.readable
        gateway.readable = True
        shown = gateway.recent_messages(account, None, fan, newer_than=since, deadline=SECOND)
        gateway.readable = readable
        return shown

    def do_flush(self, _=0):
        self.life.redis.flushall()

    def do_lose(self, which):
        if events := self.life.bus.events:
            events.pop(which % len(events))

    def do_turn_bus(self, _):
        self.life.bus.away = not self.life.bus.away

    def do_turn_chats(self, _):
        self.life.gateway.readable = not self.life.gateway.readable

    def do_pause(self, which=0, *, troubled=()):
        self.turn(self.life.connections.pause, which, troubled)

    def do_resume(self, which=0, *, troubled=()):
        self.turn(self.life.connections.resume, which, troubled)

    def turn(self, deed, which, troubled):
        account = self.life.accounts[which % len(ACCOUNTS)]
        self.run(deed, self.life.caller, account, troubled=troubled)

    def do_cancel(self, which=0, *, troubled=()):
        row = self.pick(which, "state <> 'cancelled'")
        if row and self.ask(self.life.messages.cancel, row, troubled=troubled):
            self.cancelled[row.public_id] = self.life.numbers

    def do_retry(self, which=0, *, troubled=()):
        row = self.pick(which, "state IN ('failed', 'unknown')")
        if row and row.state == State.UNKNOWN and row.wake_after is None:
            self.again[row.public_id] += 1
        if row:
            self.ask(self.life.messages.retry, row, self.life.at, troubled=troubled)

    def do_confirm(self, which=0, *, troubled=()):
        """A person looks at the chat before saying so."""
        row = self.pick(which, "state = 'unknown'")
        if row and self.delivered()[row.public_id]:
            self.ask(self.life.messages.confirm_sent, row, self.life.at, troubled=troubled)

    def ask(self, deed, row, *more, troubled):
        """What a caller hears; None when nothing, or a refusal."""
        try:
            return self.run(deed, self.life.caller, row.public_id, *more, troubled=troubled)
        except Conflict:
            return None

    def pick(self, which, where):
        rows = self.life.execute(
            f"SELECT public_id, state, wake_after FROM messages WHERE {where}"
            " AND direction = 'out' AND origin = 'huntaze' ORDER BY id"
        )
        return rows[which % len(rows)] if rows else None

    # What must hold

    def delivered(self) -> Counter:
        return Counter(owner_of(one.send_key) for one in self.life.gateway.delivered)

    @invariant()
    def what_must_hold(self):
        self.nothing_is_sent_twice()
        self.calls_are_made_for_rows_that_are_sending()
        self.calls_keep_the_pace()
        self.rows_say_what_happened()

    def nothing_is_sent_twice(self):
        for public_id, count in self.delivered().items():
            assert count <= 1 + self.again[public_id]

    def calls_are_made_for_rows_that_are_sending(self):
        for call in self.life.calls:
            public_id = owner_of(call.request.send_key)
            if not call.late:
                assert call.state == State.SENDING
                assert call.attempt_key == call.request.send_key
            if public_id in self.cancelled:
                assert call.process <= self.cancelled[public_id]

    def calls_keep_the_pace(self):
        by_account = defaultdict(list)
        for call in self.life.calls:
            if not call.late:
                by_account[call.request.account_id].append(call.at.timestamp())
        for times in by_account.values():
            earliest = 0
            for number, at in enumerate(sorted(times)):
                assert at - number * INTERVAL >= earliest - SLACK
                earliest = max(earliest, at - number * INTERVAL)

    def rows_say_what_happened(self):
        moves = self.life.execute("SELECT public_id, old, new FROM life.moves ORDER BY id")
        for move in moves:
            old, new = State(move.old), State(move.new)
            assert new in TRANSITIONS[old] or (old in PROVABLE and new in SENT), move
        rows = self.rows()
        assert set(self.told) <= set(rows)
        announced = [one.payload for one in self.life.bus.events]
        asked = {one.message_id for one in announced if isinstance(one, MessageRequested)}
        assert asked <= set(rows), "announced, and never stored"
        keys = Counter(row.key for row in rows.values() if row.key)
        assert all(count == 1 for count in keys.values())
        assert set(self.of_key) <= set(keys)
        delivered = self.delivered()
        for public_id, row in rows.items():
            if row.state in SENT:
                assert delivered[public_id], "it was never sent"
            if row.state == State.FAILED:
                assert row.error_code
        ledger = defaultdict(list)
        for one in self.life.execute(
            "SELECT message_id, attempt_no, send_key, outcome FROM message_attempts"
            " ORDER BY message_id, attempt_no"
        ):
            ledger[one.message_id].append(one)
        for row in rows.values():
            self.check_ledger(row, ledger[row.id])

    def check_ledger(self, row, attempts) -> None:
        """As many attempts as calls; one whose answer nobody wrote down may or may not be one."""
        assert [one.attempt_no for one in attempts] == list(range(1, row.attempt_no + 1))
        calls = Counter(one.request.send_key for one in self.life.calls)
        lost = Counter(one.send_key for one in self.life.lost)
        closed = Counter(
            one.send_key for one in attempts if one.outcome not in (None, Outcome.NOT_CALLED)
        )
        opened = Counter(one.send_key for one in attempts if one.outcome is None)
        for key in {*calls, *closed} & {one.send_key for one in attempts}:
            assert calls[key] <= closed[key] + opened[key]
            assert closed[key] <= calls[key] + lost[key]
        made = sum(count for key, count in calls.items() if owner_of(key) == row.public_id)
        assert made <= sum(closed.values()) + sum(opened.values())

    def rows(self):
        found = self.life.execute(
            "SELECT id, public_id, state, attempt_no, error_code, wake_after, connection_id,"
            " metadata ->> 'key' AS key FROM messages"
            " WHERE direction = 'out' AND origin = 'huntaze'"
        )
        return {row.public_id: row for row in found}

    # The end

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:  # Else something is wrong already.
                self.end()
        finally:
            self.life.close()

    def end(self):
        self.life.bus.away, self.life.gateway.readable = False, True
        for _ in range(300):
            if not self.life.bus.events and not self.unfinished():
                break
            self.round()
            self.what_must_hold()
        self.everything_has_come_to_its_end()

    def round(self, troubled=()) -> None:
        """Everybody does what there is to do, then time passes until there is more."""
        life = self.life
        for account in life.execute("SELECT id FROM platform_connections WHERE state <> 'active'"):
            self.run(life.connections.resume, life.caller, account.id)
        self.do_heal()
        self.do_settle()
        self.do_release()
        for _ in range(len(life.bus.events)):
            self.do_work(troubled=troubled)
        if not life.bus.events:
            life.wait(self.until_more())

    def until_more(self) -> float:
        """Seconds until somebody wakes; at most those of a lease."""
        [row] = self.life.execute(
            """
            SELECT extract(epoch FROM min(at) - now())::float8 AS seconds FROM (
              SELECT least(wake_after, lease_until) AS at FROM messages
              UNION ALL SELECT wake_after FROM platform_events) x
            """
        )
        views = self.run(self.life.room.view, self.life.accounts) or ()
        due = [one.next_free_ms / 1000 - self.life.at.timestamp() for one in views if one.waiting]
        # What is due and does not go waits for a lease.
        known = [one for one in (row.seconds, *due) if one is not None]
        return min([95, *(one if one > 0 else 7 for one in known)])

    def unfinished(self) -> list:
        """Messages and what was told of them that wait for more than a person."""
        return self.life.execute(
            """
            SELECT 'message', id, state AS stands, attempt_no AS tries, wake_after AS at, now()
            FROM messages WHERE direction = 'out' AND (
              state IN ('queued', 'sending') OR state = 'unknown' AND wake_after IS NOT NULL)
            UNION ALL
            SELECT 'event', id, outcome, wake_tries, wake_after, now()
            FROM platform_events WHERE handled_at IS NULL
            """
        )

    def everything_has_come_to_its_end(self):
        left = self.unfinished() or self.life.bus.events
        assert not left, left
        delivered = self.delivered()
        rows = self.rows()
        assert set(delivered) <= set(rows)
        late = {owner_of(call.request.send_key) for call in self.life.calls if call.late}
        for public_id, row in rows.items():
            event(f"ended {row.state}")
            if row.state == State.UNKNOWN:
                report = self.run(self.life.messages.report, self.life.caller, public_id)
                assert report.notice
            elif row.state not in SENT and public_id not in late:
                assert not delivered[public_id]
        # Nobody holds a place or a permit for good: a lease gives it back, and the claim refuses.
        self.life.wait(100)
        for _ in range(30):
            self.round()
            views = self.run(self.life.room.view, self.life.accounts) or ()
            if views and not any(one.in_flight or one.waiting for one in views):
                return
            self.life.wait(7)
        raise AssertionError(views)


def owner_of(send_key: str) -> UUID:
    return UUID(send_key.split(".", maxsplit=1)[0])


@pytest.fixture(scope="module")
def own_database(database_settings: Settings) -> Iterator[Engine]:
    with life_database(database_settings) as engine:
        yield engine


@pytest.fixture(scope="module")
def own_redis(local_services: LocalServices) -> Iterator[Redis]:
    host, port = local_services.redis().split(":")
    client = Redis(host=host, port=int(port), decode_responses=True, protocol=2)
    yield client
    client.close()


def test_every_message_comes_to_its_end_whatever_happens(
    own_database: Engine, own_redis: Redis, database_settings: Settings
) -> None:
    run_state_machine_as_test(
        lambda: MessageLife(own_database, own_redis, database_settings),
        settings=settings(
            max_examples=int(os.environ.get("LIFE_EXAMPLES", "25")),
            stateful_step_count=int(os.environ.get("LIFE_STEPS", "30")),
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
