"""Uploads through the application; random files of fans, and an oracle that takes one line at a time
and keeps no plan.

The oracle's fans are plain dicts by handle in lower case; it knows nothing of batches."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from domain.events import CsvUploaded, ImportUndoRequested
from domain.fans import TAGS_MAX
from domain.importing import UNDONE_FIELDS, Known
from domain.imports import FanRow, ImportId, Options, Policy
from tests.crm import Crm

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(days=9)
FULL = tuple(f"tag {number}" for number in range(TAGS_MAX - 1))

# Few, so that lines meet each other.
HANDLES = ("@ann", "@Ann", "@bob")
NAMES = ("ann", "Ann", "Anna A.")
EMAILS = ("ann@example.com", "bob@example.com")
PLANS = ("Basic", "Premium")
MOMENTS = (BEFORE, BEFORE + timedelta(microseconds=5), NOW)


def upload(
    crm: Crm,
    text: str | bytes,
    *,
    role: str = "owner",
    name: str = "fans.csv",
    query: str = "",
    headers: dict[str, str] | None = None,
    **fields: str,
) -> Any:
    """The answer to an upload; unless its headers say so, it does not wait."""
    content = text.encode() if isinstance(text, str) else text
    return crm.call(
        "POST",
        f"/api/onlyfans/import/csv{query}",
        role,
        data={"file": (BytesIO(content), name), **fields},
        content_type="multipart/form-data",
        headers={"Prefer": "respond-async"} | (headers or {}),
    )


def work_off(crm: Crm) -> None:
    """Do what the workers would do for the events that were published so far."""
    events, crm.bus.events[:] = list(crm.bus.events), []
    for event in events:
        if isinstance(event.payload, CsvUploaded | ImportUndoRequested):
            crm.services.importing.run(ImportId(event.payload.import_id))


def maybe(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


tags = st.one_of(
    st.lists(st.sampled_from(("vip", "new", "old")), max_size=3, unique=True).map(tuple),
    st.sampled_from((FULL, ("a", "b"))),
)
policies = st.sampled_from(Policy)
options = st.builds(Options, policy=policies, tags=tags)
contents = st.fixed_dictionaries(
    {
        "handle": st.sampled_from(HANDLES),
        "name": maybe(*NAMES),
        "email": maybe(*EMAILS),
        "subscription_tier": maybe(*PLANS),
        "value_cents": maybe(0, 500, 900),
        "last_seen_at": maybe(*MOMENTS),
        "tags": tags,
    }
)
# Every other line of such a file is empty and has no row: numbers have gaps.
files = st.lists(contents, max_size=12).map(
    lambda lines: [FanRow(line=2 + 2 * number, **one) for number, one in enumerate(lines)]
)
cuts = st.sets(st.integers(0, 12))
fans = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "email": maybe(*EMAILS),
        "subscription_tier": maybe(*PLANS),
        "value_cents": st.sampled_from((0, 500)),
        "value_stated_at": maybe(BEFORE),
        "last_seen_at": maybe(*MOMENTS),
        "tags": tags,
        "deleted_at": maybe(BEFORE),
    }
)
worlds = st.dictionaries(st.sampled_from(("@ann", "@bob")), fans)


def said_by(fan: Known) -> dict[str, Any]:
    return {name: getattr(fan, name) for name in ("handle", *UNDONE_FIELDS)}


def batches(rows: Sequence[FanRow], ends: set[int]) -> Iterator[Sequence[FanRow]]:
    places = sorted({0, len(rows)} | {end for end in ends if end < len(rows)})
    for start, end in pairwise(places):
        yield rows[start:end]


class Oracle:
    """What a patient person with the table in front of them would do."""

    def __init__(self, world: Mapping[str, Mapping[str, Any]]) -> None:
        self.fans = {key: {"handle": key, **one} for key, one in world.items()}
        self.mine: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.bad: list[int] = []

    def line(self, row: FanRow, given: Options) -> None:
        key = row.handle.lower()
        old = self.fans.get(key)
        new = self.as_said(row, given) if old is None else self.with_said(old, row, given)
        if len(new["tags"]) > TAGS_MAX:
            self.counts["failed"] += 1
            self.bad.append(row.line)
            return
        if old is None:
            self.counts["inserted"] += 1
        elif new == old:
            self.counts["skipped"] += 1
            self.counts["duplicates"] += key in self.mine
            return
        else:
            self.counts["updated"] += 1
            self.counts["revived"] += old["deleted_at"] is not None
        self.fans[key] = new
        self.mine.add(key)

    def as_said(self, row: FanRow, given: Options) -> dict[str, Any]:
        return {
            "handle": row.handle,
            "name": row.name or row.handle[1:],
            "email": row.email,
            "subscription_tier": row.subscription_tier,
            "value_cents": row.value_cents or 0,
            "last_seen_at": row.last_seen_at,
            "tags": merged((), row, given),
            "value_stated_at": NOW if row.value_cents is not None else None,
            "deleted_at": None,
        }

    def with_said(self, old: Mapping[str, Any], row: FanRow, given: Options) -> dict[str, Any]:
        new = {**old, "deleted_at": None}
        if given.policy is Policy.SKIP:
            return new
        fills = given.policy is Policy.FILL_BLANKS
        if row.name and not (fills and old["name"] != old["handle"][1:]):
            new["name"] = row.name
        for name in ("email", "subscription_tier", "last_seen_at"):
            said = getattr(row, name)
            if said is not None and not (fills and old[name] is not None):
                new[name] = said
        if row.value_cents not in (None, old["value_cents"]) and not (fills and old["value_cents"]):
            new |= {"value_cents": row.value_cents, "value_stated_at": NOW}
        new["tags"] = merged(old["tags"], row, given)
        return new


def merged(had: Sequence[str], row: FanRow, given: Options) -> tuple[str, ...]:
    more = list(had)
    for tag in [*row.tags, *given.tags]:
        if tag not in more:
            more.append(tag)
    return tuple(more)


def by_hand(
    world: Mapping[str, Mapping[str, Any]], rows: Sequence[FanRow], given: Options
) -> Oracle:
    oracle = Oracle(world)
    for row in rows:
        oracle.line(row, given)
    return oracle
