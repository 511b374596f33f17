"""Lists, searches, threads and pages of an owner with millions of rows, beside one with ten
thousand, over HTTP in one run."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.figures import Figure
from bench.measures import percentile
from bench.population import RARE, Crowd, Size, load
from bench.system import BenchSystem, Scale
from domain.users import OwnerId, Role, User, UserId

PART = "lists"
LARGE = Size(fans=1_000_000, conversations=200_000, messages=5_000_000)
SMALL = Size(fans=10_000, conversations=2_000, messages=10_000)
QUICK = Size(fans=20_000, conversations=4_000, messages=40_000)
LIMIT_MS, LIMIT_RATIO = 200, 3
WARM, COUNTED = 5, 40

FANS, TALKS, MESSAGES = "/api/crm/fans", "/api/crm/conversations", "/api/crm/messages"
# What is looked at, with where in the list: page 0 is the first.
LISTS = {
    "fans": (f"{FANS}?limit=50", 0),
    "fans, page 5": (f"{FANS}?limit=50", 5),
    "fans by name": (f"{FANS}?sort=name", 2),
    "fans by value": (f"{FANS}?sort=value", 2),
    "fans by last seen": (f"{FANS}?sort=lastSeen", 2),
    "fans with a common tag": (f"{FANS}?tag=vip", 1),
    "fans with a rare tag": (f"{FANS}?tag=moderator&sort=value", 0),
    "fans of a tier": (f"{FANS}?tier=whale", 1),
    "fans who spent": (f"{FANS}?minSpendCents=20000&sort=value", 1),
    "fans found, common": (f"{FANS}?q=anna", 0),
    "fans found, rare": (f"{FANS}?q=roc7777", 0),
    "conversations": (TALKS, 0),
    "conversations, page 5": (TALKS, 5),
    "conversations unread": (f"{TALKS}?unread=true", 1),
    "conversations unreplied": (f"{TALKS}?unreplied=true", 1),
    # The small owner's fit on one page: of the large one's, too, the first is looked at.
    "conversations of spenders": (f"{TALKS}?minSpendCents=20000", 0),
    "conversations found": (f"{TALKS}?q=anna", 0),
    "messages": (MESSAGES, 1),
    "messages found, common": (f"{MESSAGES}?q=hello", 1),
    "messages found, rare": (f"{MESSAGES}?q={RARE}", 0),
    "messages since": (f"{MESSAGES}?since=now", 0),
}

# Each is another place, whole and as a browser asks for it first.
PAGES = (
    "/",
    "/messages/onlyfans",
    "/messages/onlyfans?unreplied=1&q=anna",
    "/fans",
    "/fans?q=anna",
    "/messages/bulk",
    "/platforms/connect/onlyfans",
    "/platforms/onlyfans/analytics",
    "/monitoring",
    "/notifications",
    "/settings",
)


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    """Both crowds are loaded first: each is read beside the other's rows."""
    began = time.monotonic()
    small = load(system, "small", SMALL, seed=1)
    large = load(system, "large", QUICK if scale.quick else LARGE, seed=2)
    loaded = time.monotonic() - began
    figures = [Figure(PART, "loading both by COPY", loaded, "s")]
    for name, (path, page) in LISTS.items():
        beside = p95(lambda look, path=path, page=page: walk(look, path, page), system, small)
        here = p95(lambda look, path=path, page=page: walk(look, path, page), system, large)
        figures += pair(name, here, beside)
    beside, here = (p95(threads(crowd), system, crowd) for crowd in (small, large))
    figures += pair("threads, a page", here, beside)
    for path in PAGES:
        beside, here = (
            p95(lambda look, path=path: look(path), system, one) for one in (small, large)
        )
        figures += pair(f"page {path}", here, beside)
    beside, here = (p95(conversations(crowd), system, crowd) for crowd in (small, large))
    return figures + pair("page of a conversation", here, beside)


def pair(name: str, here: float, beside: float) -> list[Figure]:
    return [
        Figure(PART, f"{name}, p95", here, "ms", f"{beside:.1f} ms at 10,000 rows", LIMIT_MS),
        Figure(PART, f"{name}, ratio", here / beside, "x", "the same page", LIMIT_RATIO),
    ]


Look = Callable[[str], Any]


def p95(visit: Callable[[Look], None], system: BenchSystem, crowd: Crowd) -> float:
    """Of the last request of each visit, in ms, as the owner of the crowd."""
    user = User(UserId(crowd.owner), OwnerId(crowd.owner), "", Role.OWNER, "UTC", datetime.now(UTC))
    token = system.services.tokens.issue(user, datetime.now(UTC)).text
    headers = {"Authorization": f"Bearer {token}"}
    took: list[float] = []

    def look(path: str) -> Any:
        began = time.perf_counter()
        answer = system.web.get(system.address + path, headers=headers)
        took.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
        return answer.json() if answer.headers["Content-Type"] == "application/json" else None

    last: list[float] = []
    for _ in range(WARM + COUNTED):
        visit(look)
        last.append(took[-1])
    return percentile(last[WARM:], 0.95)


def walk(look: Look, path: str, pages: int) -> None:
    """The page after so many others."""
    answer = look(path)
    mark = "&" if "?" in path else "?"
    for _ in range(pages):
        if answer["nextCursor"] is None:
            return
        answer = look(f"{path}{mark}cursor={answer['nextCursor']}")


def threads(crowd: Crowd) -> Callable[[Look], None]:
    """Another conversation each time, long and short ones, its second page where it has one."""
    talks = iter(crowd.conversations[:: max(1, len(crowd.conversations) // 100)])

    def visit(look: Look) -> None:
        walk(look, f"{TALKS}/{next(talks)}/messages", 1)

    return visit


def conversations(crowd: Crowd) -> Callable[[Look], None]:
    """Another conversation's page each time."""
    talks = iter(crowd.conversations[:: max(1, len(crowd.conversations) // 100)])
    return lambda look: look(f"/messages/onlyfans/{next(talks)}")
