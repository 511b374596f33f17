"""Fans that are perhaps one person: found, made one, and parted again."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import merges as examples
from api.schemas import merges as schemas
from api.schemas.base import PageQuery
from api.views import merges as views
from domain.fans import FanId
from domain.repositories import MergeId

merges = Routes("merges", __name__, url_prefix="/api/crm", tag="Duplicates")


@merges.get("/fans/duplicates")
@merges.input(PageQuery, location="query", arg_name="page")
@merges.output(schemas.DuplicatesReply, example=examples.DUPLICATES)
@merges.doc(
    summary="Pairs of fans that may be one person",
    description="They share an email, the platform's id, or a handle but for case and punctuation."
    " A page looks at a bounded number of fans: it may hold fewer pairs than `limit`, even none,"
    " and still have a nextCursor.",
    responses=problems(403, 422),
)
def list_duplicates(page: PageQuery) -> schemas.DuplicatesReply:
    found, cursor = services().merges.duplicates(caller(), page.limit, page.cursor)
    return schemas.DuplicatesReply(
        duplicates=[views.duplicate(one) for one in found], next_cursor=cursor
    )


@merges.post("/fans/<int:fan_id>/merge")
@merges.input(schemas.MergeRequest, arg_name="body", example=examples.MERGE)
@merges.output(schemas.MergeReply, example=examples.MERGED)
@merges.doc(
    summary="Make another fan a part of this one",
    description="Blanks are filled, tags united, the greater value stays; conversations and"
    " transactions move. It can be undone for 30 days. 409 different_people when one account knows"
    " them as two.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def merge_fans(
    fan_id: int, body: schemas.MergeRequest
) -> tuple[schemas.MergeReply, int, dict[str, str]]:
    result = services().merges.merge(caller(), FanId(fan_id), FanId(body.other_id), now(), once())
    return views.merged(result), 200, replay_mark(replayed=result.replayed)


@merges.get("/merges")
@merges.input(PageQuery, location="query", arg_name="page")
@merges.output(schemas.MergesReply, example=examples.MERGES)
@merges.doc(summary="Merges, newest first", responses=problems(403, 422))
def list_merges(page: PageQuery) -> schemas.MergesReply:
    return views.merges(services().merges.list_merges(caller(), page.limit, page.cursor))


@merges.post("/merges/<int:merge_id>/undo")
@merges.output(schemas.UndoReply, example=examples.UNDONE)
@merges.doc(
    summary="Part two fans again",
    description="All that moved goes back, and so do the kept fan's fields; those that were"
    " changed since stay and are named.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def undo_merge(merge_id: int) -> tuple[schemas.UndoReply, int, dict[str, str]]:
    result = services().merges.undo(caller(), MergeId(merge_id), now(), once())
    return views.undone(result), 200, replay_mark(replayed=result.replayed)
