"""The caller's fans: listed, kept, tagged, deleted and handed out."""

import re

from flask import Response, request

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import FILE, IDEMPOTENT, problems
from api.errors import Refusal
from api.examples import fans as examples
from api.schemas import fans as schemas
from api.schemas.base import PageQuery
from api.views import fans as views
from domain.errors import FieldProblem
from domain.fans import FanId
from domain.segments import FanSort, SegmentId
from domain.services.fans import FanResult

fans = Routes("fans", __name__, url_prefix="/api/crm", tag="Fans")
ETAG = {"x-etag": True}
VERSION = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')
Made = tuple[schemas.FanReply, int, dict[str, str]]


def asked_version() -> int | None:
    """The version that If-Match names; None = any. Raises Refusal 422."""
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return None
    if found := VERSION.fullmatch(header):
        return int(found[1])
    problem = FieldProblem("If-Match", "use the ETag of the fan, or *")
    raise Refusal(422, "invalid", "The request is not valid", [problem])


def replied(result: FanResult, status: int) -> Made:
    """A fan with its version, marked when an Idempotency-Key brought it back."""
    headers = views.etag(result.fan)
    if result.replayed:
        headers["Idempotent-Replayed"] = "true"
    return schemas.FanReply(fan=views.fan(result.fan)), status, headers


@fans.get("/fans")
@fans.input(schemas.FanQuery, location="query", arg_name="asked")
@fans.output(schemas.FansReply, example=examples.FANS)
@fans.doc(
    summary="Fans: searched, filtered, sorted",
    description="nextCursor is null on the last page. A fan that is not linked cannot be written"
    " to yet. Counting stops at 10000, then totalCapped is true.",
    responses=problems(403, 404, 422),
)
def list_fans(asked: schemas.FanQuery) -> schemas.FansReply:
    return views.fans(
        services().fans.list_fans(
            caller(),
            asked.limit,
            asked.cursor,
            sought=views.fan_filter(asked, deleted=asked.deleted),
            sort=FanSort(asked.sort),
            segment_id=None if asked.segment is None else SegmentId(asked.segment),
        )
    )


@fans.post("/fans")
@fans.input(schemas.FanRequest, arg_name="body", example=examples.NEW)
@fans.output(schemas.FanReply, 201, example=examples.ONE)
@fans.doc(
    summary="Add a fan",
    description="409 fan_exists when a fan has the handle, and fan_deleted when one that was"
    " deleted had it: details name its fanId.",
    responses=problems(400, 403, 409, 413, 415, 422),
    extensions=IDEMPOTENT | ETAG,
)
def create_fan(body: schemas.FanRequest) -> Made:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    return replied(services().fans.create(caller(), given, now(), once()), 201)


@fans.get("/fans/<int:fan_id>")
@fans.output(schemas.FanReply, example=examples.ONE)
@fans.doc(summary="A fan", responses=problems(403, 404), extensions=ETAG)
def read_fan(fan_id: int) -> Made:
    return replied(FanResult(services().fans.get(caller(), FanId(fan_id))), 200)


@fans.put("/fans/<int:fan_id>")
@fans.input(schemas.FanUpdate, arg_name="body", example=examples.UPDATE)
@fans.output(schemas.FanReply, example=examples.ONE)
@fans.doc(
    summary="Change a fan",
    description="Only the fields that are given change; null clears one.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=ETAG | {"x-if-match": True},
)
def update_fan(fan_id: int, body: schemas.FanUpdate) -> Made:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    version = asked_version()
    fan = services().fans.update(caller(), FanId(fan_id), given, now(), version)
    return replied(FanResult(fan), 200)


@fans.delete("/fans/<int:fan_id>")
@fans.input(schemas.DeleteQuery, location="query", arg_name="asked")
@fans.output({}, 204)
@fans.doc(
    summary="Delete a fan",
    description="What is queued for the fan is cancelled first. mode=hard erases every text about"
    " the fan for good and keeps money without a name; 409 in_flight while a message is on its"
    " way.",
    responses=problems(403, 404, 409, 422),
)
def delete_fan(fan_id: int, asked: schemas.DeleteQuery) -> Response:
    services().departures.delete(caller(), FanId(fan_id), now(), asked.mode)
    return Response(status=204)


@fans.post("/fans/<int:fan_id>/restore")
@fans.output(schemas.FanReply, example=examples.ONE)
@fans.doc(
    summary="Bring a deleted fan back",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT | ETAG,
)
def restore_fan(fan_id: int) -> Made:
    return replied(services().fans.restore(caller(), FanId(fan_id), once()), 200)


@fans.get("/fans/<int:fan_id>/changes")
@fans.input(PageQuery, location="query", arg_name="page")
@fans.output(schemas.ChangesReply, example=examples.CHANGES)
@fans.doc(
    summary="What changed about a fan: who, when, before and after, newest first",
    responses=problems(403, 404, 422),
)
def list_changes(fan_id: int, page: PageQuery) -> schemas.ChangesReply:
    found = services().fans.changes(caller(), FanId(fan_id), page.limit, page.cursor)
    return views.changes(found)


@fans.get("/fans/<int:fan_id>/export")
@fans.output(schemas.FanExport, example=examples.EXPORT)
@fans.doc(
    summary="All that is kept about a fan, as one file",
    description="With what belonged to fans that were merged into it.",
    responses=problems(403, 404),
    extensions=FILE,
)
def export_fan(fan_id: int) -> Response:
    found = services().departures.export(caller(), FanId(fan_id))
    return Response(
        views.export(found, now()),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="fan-{fan_id}.json"'},
    )


@fans.post("/fans/tags")
@fans.input(schemas.TagsRequest, arg_name="body", example=examples.TAG)
@fans.output(schemas.TagsReply, example=examples.TAGGED)
@fans.doc(
    summary="Add and remove tags of many fans",
    description="Of the fans named, or of all that pass a filter. Unknown ids are listed (422) and"
    " nothing is changed.",
    responses=problems(400, 403, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def tag_fans(body: schemas.TagsRequest) -> tuple[schemas.TagsReply, int, dict[str, str]]:
    result = services().fans.tag(
        caller(),
        None if body.fan_ids is None else [FanId(one) for one in body.fan_ids],
        views.fan_filter(body.filter) if body.filter else None,
        add=body.add,
        remove=body.remove,
        once=once(),
    )
    headers = replay_mark(replayed=result.replayed)
    return schemas.TagsReply(matched=result.matched, changed=result.changed), 200, headers


@fans.get("/tags")
@fans.output(schemas.TagCountsReply, example=examples.TAGS)
@fans.doc(
    summary="The most used tags",
    description="Counted among the newest 10000 fans; at most 200 tags.",
    responses=problems(403),
)
def list_tags() -> schemas.TagCountsReply:
    return views.tag_counts(services().fans.tag_counts(caller()))
