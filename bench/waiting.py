"""What one message costs while a hundred thousand of a campaign wait, beside a thousand: each
figure is of the same run, on the same servers."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from uuid import UUID

from bench.cost import Cost, counted
from bench.figures import Figure
from bench.measures import median
from bench.system import DEMO, Account, BenchSystem, Scale
from domain.campaigns import Audience, CampaignId, CampaignStatus
from domain.connections import ConnectionId
from domain.events import Event
from domain.fans import FanId, parse_recipient
from domain.messages import BULK_PRIORITY, Draft, MessageId
from domain.pacing import Learned, Pace, Waiting
from domain.services.planning import Terms
from infra.bus.publisher import SqsBus
from infra.redis.client import connect
from infra.redis.waiting_room import RedisWaitingRoom
from infra.settings import load_settings
from infra.wiring import Adapters, Services, build, room_rules_of

FANS = 200
SMALL, LARGE, QUICK = 5, 500, 20
# Together the accounts of either campaign send so many a minute: both deliver at one speed.
TOGETHER = 500
# In the room of the bench's own, so that five messages are due again soon.
FAST_MS, AT_ONCE = 100.0, 5
LIMIT_RATIO, LIMIT_SQS, LIMIT_LIST_MS = 2, 1.2, 200
LISTED, LARGE_LISTED = 50, 4
MOST = "100000"
LIST = "/api/messages/bulk"


class Deaf(SqsBus):
    """Announces nothing: the fan-out is the bench's to measure."""

    def publish(self, events: Sequence[Event]) -> list[Event]:  # noqa: ARG002  # the port's
        return []


@dataclass
class Crowd:
    """Accounts whose messages wait, and what was measured with them, in seconds a call."""

    accounts: Sequence[Account]
    took: dict[str, float] = field(default_factory=dict)
    sqs: float = 0.0

    @property
    def size(self) -> int:
        return len(self.accounts) * FANS

    @property
    def grouped(self) -> Sequence[FanId]:
        """Its fans, one account after another."""
        return [parse_recipient(fan) for one in self.accounts for fan in one.fans]

    @property
    def mixed(self) -> Sequence[FanId]:
        """Its fans, each of another account than the one before."""
        by_turns = zip(*(one.fans for one in self.accounts), strict=True)
        return [parse_recipient(fan) for fan in chain.from_iterable(by_turns)]

    def per_message(self, name: str) -> float:
        """In microseconds."""
        return self.took[name] / self.size * 1e6


def measure(system: BenchSystem, scale: Scale, part: str) -> list[Figure]:
    settings = load_settings({**system.environment, "BULK_MAX_RECIPIENTS": MOST})
    count = scale.of(LARGE, QUICK)
    with closing(build(settings, adapters=Adapters(bus=Deaf(settings)))) as services:
        small = Crowd(system.accounts(SMALL, TOGETHER / SMALL, FANS))
        large = Crowd(system.accounts(count, TOGETHER / count, FANS))
        system.sql("ANALYZE fans")
        for crowd in (small, large):
            observe(system, services, crowd, scale)
        listed = page_ms(system, large, scale)
    return [*figures(part, small, large), *listed_figures(part, large, listed)]


def figures(part: str, small: Crowd, large: Crowd) -> list[Figure]:
    found = []
    for name in large.took:
        here, beside = large.per_message(name), small.per_message(name)
        told = f"{large.took[name] * 1000:.1f} ms a call; {beside:.2f} us with {small.size:,}"
        what = f"{name}, {large.size:,} wait"
        found += [
            Figure(part, f"{what}, per message", here, "us", told),
            Figure(part, f"{what}, ratio", here / beside, "x", "", LIMIT_RATIO),
        ]
    ratio = large.sqs / small.sqs
    told = f"{large.sqs:.2f}; {small.sqs:.2f} with {small.size:,}"
    what = f"SQS requests per delivered message, {large.size:,} wait, ratio"
    return [*found, Figure(part, what, ratio, "x", told, LIMIT_SQS)]


def observe(system: BenchSystem, services: Services, crowd: Crowd, scale: Scale) -> None:
    """One campaign after the other: nothing else waits meanwhile."""
    say = partial(launched, system, services, crowd)
    campaign, public_id = say("admit, audience by account", crowd.grouped)
    crowd.sqs = sum(delivered(system, crowd, scale.of(20, 4)).sqs.values())
    headers, times = system.login(), scale.of(10, 3)
    where = f"{system.address}{LIST}/{public_id}"

    def look() -> None:
        system.web.get(where, headers=headers).raise_for_status()

    def become(status: str) -> None:
        body = {"status": status}
        system.web.put(f"{where}/status", json=body, headers=headers).raise_for_status()

    crowd.took["status"] = often(look, times)
    pauses, resumes = [], []
    for _ in range(3):
        pauses.append(took(lambda: become("paused")))
        resumes.append(took(lambda: become("active")))
    crowd.took["pause"], crowd.took["resume"] = median(pauses), median(resumes)
    crowd.took["count"] = often(lambda: services.campaigns.count(campaign), times)
    become("paused")
    system.sql(
        "UPDATE messages SET wake_after = now() - interval '1 hour'"
        " WHERE campaign_id = %s AND state = 'queued'",
        campaign,
    )
    crowd.took["healing pass, paused"] = often(services.healing.heal, times)
    crowd.took["cancel"] = took(lambda: become("cancelled"))
    campaign, public_id = say("admit, audience mixed", crowd.mixed)
    services.campaigns.set_status(DEMO, public_id, CampaignStatus.CANCELLED)
    crowd.took["release"] = release(system, crowd, scale.of(200, 50))


def launched(
    system: BenchSystem, services: Services, crowd: Crowd, name: str, fans: Sequence[FanId]
) -> tuple[CampaignId, UUID]:
    """Start a campaign and write all its messages, as the request and the worker do."""
    draft = Draft(content="Sale", priority=BULK_PRIORITY)
    began = time.perf_counter()
    now = datetime.now(UTC)
    terms = Terms(draft, Audience(recipient_ids=tuple(fans)), now)
    started = services.campaigns.launch(DEMO, "Bench", terms, now).campaign
    crowd.took.setdefault("start", time.perf_counter() - began)
    # No timer may begin the same work beside us.
    system.sql("UPDATE campaigns SET wake_after = NULL WHERE id = %s", started.id)
    began = time.perf_counter()
    written = services.campaigns.fan_out(started.id)
    crowd.took[name] = time.perf_counter() - began
    if written != crowd.size:
        raise RuntimeError(f"{written} of {crowd.size} messages were written")
    return started.id, started.public_id


def delivered(system: BenchSystem, crowd: Crowd, seconds: int) -> Cost:
    """What the servers count while the campaign goes."""

    def deliver() -> int:
        before = system.sent_count(crowd.accounts)
        time.sleep(seconds)
        return system.sent_count(crowd.accounts) - before

    system.sql("ANALYZE messages")
    return counted(system, deliver)


def release(system: BenchSystem, crowd: Crowd, count: int) -> float:
    """Seconds of the pacer's call per permit, times the size: in a room of the bench's own, in
    which as many wait and the same few are handed out at once."""
    settings = system.settings
    prefix = f"bench-{time.monotonic_ns()}:{{0}}:"
    room = RedisWaitingRoom(
        connect(settings, prefix=prefix), room_rules_of(settings), prefix=prefix
    )
    campaign = CampaignId(1)
    room.rebuild(
        (
            Pace(ConnectionId(number), FAST_MS),
            Learned(),
            [
                Waiting(MessageId(number * FANS + one), BULK_PRIORITY, campaign)
                for one in range(FANS)
            ],
        )
        for number in range(1, len(crowd.accounts) + 1)
    )
    handed, spent = 0, 0.0
    while handed < count:
        time.sleep(FAST_MS / 1000)
        began = time.perf_counter()
        permits = room.release(AT_ONCE).permits
        lasted = time.perf_counter() - began
        if permits:
            handed, spent = handed + len(permits), spent + lasted
        for permit in permits:
            room.begin(permit)
            room.done(permit, None)
    return spent / handed * crowd.size


def page_ms(system: BenchSystem, crowd: Crowd, scale: Scale) -> float:
    """A page of fifty campaigns, of which some are as large as this one."""
    for _ in range(LARGE_LISTED - 2):  # two of them were sent
        clone(system)
    system.sql(
        "INSERT INTO campaigns (user_id, name, status, completed_at, counted_at)"
        " SELECT 1, 'Small', 'completed', now(), now() FROM generate_series(1, %s)",
        LISTED - LARGE_LISTED,
    )
    system.sql("ANALYZE messages, campaigns")
    headers = system.login()

    def look() -> None:
        answer = system.web.get(f"{system.address}{LIST}?limit={LISTED}", headers=headers)
        answer.raise_for_status()
        shown = [one["progress"]["total"] for one in answer.json()["campaigns"]]
        assert shown.count(crowd.size) == LARGE_LISTED

    return often(look, scale.of(10, 3)) * 1000


def clone(system: BenchSystem) -> None:
    """The newest campaign once more, delivered."""
    system.sql(
        """
        WITH original AS (SELECT * FROM campaigns ORDER BY id DESC LIMIT 1),
        made AS (
          INSERT INTO campaigns (user_id, name, status, template, target_audience, total,
            fanned_out_at, completed_at)
          SELECT user_id, name, 'completed', template, target_audience, total, now(), now()
          FROM original RETURNING id)
        INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,
          campaign_id, direction, text, state, priority, queued_at, sent_at)
        SELECT gen_random_uuid(), m.user_id, m.connection_id, m.conversation_id, m.fan_id, made.id,
          'out', m.text, 'delivered', m.priority, m.queued_at, now()
        FROM messages m JOIN original ON m.campaign_id = original.id CROSS JOIN made
        """
    )


def listed_figures(part: str, crowd: Crowd, listed: float) -> list[Figure]:
    what = f"a page of {LISTED} campaigns, {LARGE_LISTED} of {crowd.size:,}"
    return [Figure(part, what, listed, "ms", "median", LIMIT_LIST_MS)]


def took(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def often(act: Callable[[], object], times: int) -> float:
    """The median of so many calls, after one that counts for nothing."""
    act()
    return median([took(act) for _ in range(times)])
