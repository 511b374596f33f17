"""Segments and the rules of tiers as response bodies."""

from api.schemas import segments as schemas
from api.views.fans import filter_view
from domain.segments import Segment
from domain.tiers import RulesInForce


def segment(one: Segment) -> schemas.SegmentView:
    return schemas.SegmentView(
        id=one.id,
        name=one.name,
        filter=filter_view(one.filter),
        count=one.count or 0,
        count_capped=one.is_capped,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


def tier_rules(found: RulesInForce) -> schemas.TierRulesReply:
    return schemas.TierRulesReply(
        **vars(found.rules),
        is_default=found.is_default,
        settled=found.is_settled,
        updated_at=found.updated_at,
    )
