"""Saved views of the inbox."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import saved_views as examples
from api.schemas import saved_views as schemas
from api.views import saved_views as views

saved_views = Routes("saved_views", __name__, url_prefix="/api/crm/views", tag="Views")


@saved_views.get("")
@saved_views.output(schemas.ViewsReply, example=examples.VIEWS)
@saved_views.doc(
    summary="Views with their counts",
    description="Built in: unread, unreplied, failed. Counts stop at 1000.",
    responses=problems(403),
)
def list_views() -> schemas.ViewsReply:
    return views.listed(services().saved_views.list_views(caller(), now()))


@saved_views.post("")
@saved_views.input(schemas.ViewRequest, arg_name="body", example=examples.VIEW_REQUEST)
@saved_views.output(schemas.ViewReply, 201, example=examples.VIEW)
@saved_views.doc(
    summary="Save a view",
    description="At most 20; names are unique, whatever their case.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def add_view(body: schemas.ViewRequest) -> tuple[schemas.ViewReply, int, dict[str, str]]:
    made, counted, is_replayed = services().saved_views.add(
        caller(), body.name, views.asked(body.filter), now(), once()
    )
    headers = replay_mark(replayed=is_replayed)
    return schemas.ViewReply(view=views.saved(made, counted)), 201, headers


@saved_views.put("/<int:view_id>")
@saved_views.input(schemas.ViewChange, arg_name="body", example=examples.VIEW_REQUEST)
@saved_views.output(schemas.ViewReply, example=examples.VIEW)
@saved_views.doc(
    summary="Change a view",
    description="A given filter takes the place of the old one as a whole.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def change_view(view_id: int, body: schemas.ViewChange) -> schemas.ViewReply:
    asked = views.asked(body.filter) if body.filter else None
    changed, counted = services().saved_views.change(caller(), view_id, body.name, asked, now())
    return schemas.ViewReply(view=views.saved(changed, counted))


@saved_views.delete("/<int:view_id>")
@saved_views.output({}, 204)
@saved_views.doc(summary="Remove a view", responses=problems(403, 404))
def remove_view(view_id: int) -> tuple[str, int]:
    services().saved_views.remove(caller(), view_id)
    return "", 204
