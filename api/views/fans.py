"""Fans as response bodies."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel

from api.schemas import fans as schemas
from api.schemas.base import iso
from domain.connections import ConnectionId
from domain.fans import Fan, recipient_id
from domain.paging import Page
from domain.repositories import FanChange, TagCounts
from domain.segments import FanFilter
from domain.services.departures import SECTIONS, Export


def fan(one: Fan) -> schemas.FanView:
    return schemas.FanView(
        id=one.id,
        user_id=one.owner_id,
        name=one.name,
        platform=one.platform,
        handle=one.handle,
        email=one.email,
        avatar=one.avatar,
        tags=list(one.tags),
        value_cents=one.value_cents,
        last_seen_at=one.last_seen_at,
        notes=one.notes,
        created_at=one.created_at,
        updated_at=one.updated_at,
        version=one.version,
        tier=one.tier,
        subscription=one.subscription,
        subscription_ends_at=one.subscription_ends_at,
        subscription_tier=one.subscription_tier,
        connection_id=one.connection_id,
        platform_user_id=one.platform_user_id,
        linked=one.linked,
        recipient_id=recipient_id(one.id),
        deleted_at=one.deleted_at,
    )


def fans(page: Page[Fan]) -> schemas.FansReply:
    return schemas.FansReply(
        fans=[fan(one) for one in page.items],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


def etag(one: Fan) -> dict[str, str]:
    """The header that names the version."""
    return {"ETag": f'"{one.version}"'}


def fan_filter(asked: schemas.FanQuery | schemas.FilterBody, *, deleted: bool = False) -> FanFilter:
    """What a query or a body asks for."""
    return FanFilter(
        q=asked.q,
        tags=tuple(asked.tag),
        min_spend_cents=asked.min_spend_cents,
        max_spend_cents=asked.max_spend_cents,
        seen_after=asked.seen_after,
        seen_before=asked.seen_before,
        tier=asked.tier,
        subscription=asked.subscription,
        subscription_tier=asked.subscription_tier,
        connection_id=None if asked.connection_id is None else ConnectionId(asked.connection_id),
        linked=asked.linked,
        deleted=deleted,
    )


def filter_view(one: FanFilter) -> dict[str, Any]:
    """The filter as a body asks for it."""
    record = camel(one.record())
    if "tags" in record:
        record["tag"] = record.pop("tags")
    return record


def camel(record: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in record.items()}


def tag_counts(found: TagCounts) -> schemas.TagCountsReply:
    return schemas.TagCountsReply(
        tags=[schemas.TagView(tag=tag, fans=count) for tag, count in found.counts],
        counted_fans=found.counted,
        total_capped=found.is_capped,
    )


def changes(page: Page[FanChange]) -> schemas.ChangesReply:
    return schemas.ChangesReply(
        changes=[
            schemas.ChangeView(
                id=one.id,
                fan_id=one.fan_id,
                actor_id=one.actor_id,
                source=one.source,
                before=camel(one.before),
                after=camel(one.after),
                at=one.at,
            )
            for one in page.items
        ],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


def export(one: Export, now: datetime) -> Iterator[str]:
    """The export as JSON, written while its rows are read."""
    head = fan(one.fan).model_dump(mode="json", by_alias=True)
    yield f'{{"fan":{_text(head)},"exportedAt":{_text(now)}'
    for section in SECTIONS:
        yield f',"{section}":['
        for number, row in enumerate(one.rows(section)):
            yield ("," if number else "") + _text(row)
        yield "]"
    yield "}\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value))
