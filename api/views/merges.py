"""Duplicates and merges as response bodies."""

from pydantic.alias_generators import to_camel

from api.schemas import merges as schemas
from api.views.fans import fan
from domain.merging import UNDO_WITHIN
from domain.paging import Page
from domain.repositories import Duplicate, Merge
from domain.services.merges import MergeResult, UndoResult


def duplicate(one: Duplicate) -> schemas.DuplicateView:
    return schemas.DuplicateView(fan=fan(one.fan), other=fan(one.other), reasons=list(one.reasons))


def merged(result: MergeResult) -> schemas.MergeReply:
    return schemas.MergeReply(
        merge_id=result.merge_id,
        kept_id=result.kept_id,
        merged_id=result.merged_id,
        at=result.at,
        conversations=result.conversations,
        transactions=result.transactions,
    )


def undone(result: UndoResult) -> schemas.UndoReply:
    return schemas.UndoReply(
        merge_id=result.merge_id,
        kept_id=result.kept_id,
        merged_id=result.merged_id,
        stayed=[to_camel(name) for name in result.stayed],
    )


def merges(page: Page[Merge]) -> schemas.MergesReply:
    return schemas.MergesReply(
        merges=[
            schemas.MergeView(
                id=one.id,
                kept_id=one.kept_id,
                merged_id=one.merged_id,
                actor_id=one.actor_id,
                at=one.at,
                undone_at=one.undone_at,
                undoable_until=None if one.undone_at else one.at + UNDO_WITHIN,
            )
            for one in page.items
        ],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )
