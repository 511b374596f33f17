"""Segments of fans, and the rules of their tiers."""

from flask import Response

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import services
from api.documents import IDEMPOTENT, problems
from api.examples import segments as examples
from api.schemas import segments as schemas
from api.views import segments as views
from api.views.fans import fan_filter
from domain.segments import SegmentId
from domain.tiers import TierRules

segments = Routes("segments", __name__, url_prefix="/api/crm", tag="Segments")


@segments.get("/segments")
@segments.output(schemas.SegmentsReply, example=examples.SEGMENTS)
@segments.doc(
    summary="Segments by name, each with its count",
    description="Counting stops at 10000, then countCapped is true.",
    responses=problems(403),
)
def list_segments() -> schemas.SegmentsReply:
    found = services().segments.list_segments(caller())
    return schemas.SegmentsReply(segments=[views.segment(one) for one in found])


@segments.post("/segments")
@segments.input(schemas.SegmentRequest, arg_name="body", example=examples.SAVE)
@segments.output(schemas.SegmentReply, 201, example=examples.ONE)
@segments.doc(
    summary="Save a filter as a segment",
    description="GET /api/crm/fans?segment=ID lists its fans.",
    responses=problems(400, 403, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def create_segment(
    body: schemas.SegmentRequest,
) -> tuple[schemas.SegmentReply, int, dict[str, str]]:
    result = services().segments.create(caller(), body.name, fan_filter(body.filter), once())
    headers = replay_mark(replayed=result.replayed)
    return schemas.SegmentReply(segment=views.segment(result.segment)), 201, headers


@segments.get("/segments/<int:segment_id>")
@segments.output(schemas.SegmentReply, example=examples.ONE)
@segments.doc(summary="A segment with its count", responses=problems(403, 404))
def read_segment(segment_id: int) -> schemas.SegmentReply:
    found = services().segments.get(caller(), SegmentId(segment_id))
    return schemas.SegmentReply(segment=views.segment(found))


@segments.put("/segments/<int:segment_id>")
@segments.input(schemas.SegmentUpdate, arg_name="body", example=examples.RENAME)
@segments.output(schemas.SegmentReply, example=examples.ONE)
@segments.doc(
    summary="Give a segment another name or filter",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def update_segment(segment_id: int, body: schemas.SegmentUpdate) -> schemas.SegmentReply:
    sought = fan_filter(body.filter) if body.filter else None
    changed = services().segments.update(caller(), SegmentId(segment_id), body.name, sought)
    return schemas.SegmentReply(segment=views.segment(changed))


@segments.delete("/segments/<int:segment_id>")
@segments.output({}, 204)
@segments.doc(summary="Forget a segment; its fans stay", responses=problems(403, 404))
def delete_segment(segment_id: int) -> Response:
    services().segments.delete(caller(), SegmentId(segment_id))
    return Response(status=204)


@segments.get("/tier-rules")
@segments.output(schemas.TierRulesReply, example=examples.RULES)
@segments.doc(
    summary="The rules that make whales, spenders, quiet and new fans", responses=problems(403)
)
def read_tier_rules() -> schemas.TierRulesReply:
    return views.tier_rules(services().tiers.rules(caller()))


@segments.put("/tier-rules")
@segments.input(schemas.TierRulesRequest, arg_name="body", example=examples.SET_RULES)
@segments.output(schemas.TierRulesReply, example=examples.RULES)
@segments.doc(
    summary="Change the rules",
    description="Tiers follow within seconds, some minutes for a million fans: `settled` tells.",
    responses=problems(400, 403, 413, 415, 422),
)
def put_tier_rules(body: schemas.TierRulesRequest) -> schemas.TierRulesReply:
    rules = TierRules(body.whale_cents, body.spender_cents, body.quiet_days, body.new_days)
    return views.tier_rules(services().tiers.set_rules(caller(), rules))
