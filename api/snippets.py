"""Snippets: scripts of a team."""

from flask import Response

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import services
from api.documents import IDEMPOTENT, problems
from api.examples import snippets as examples
from api.schemas import snippets as schemas
from api.views import snippets as views
from domain.fans import FanId
from domain.snippets import SnippetDraft, SnippetId

snippets = Routes("snippets", __name__, url_prefix="/api/snippets", tag="Snippets")


@snippets.get("")
@snippets.input(schemas.SnippetsQuery, location="query", arg_name="query")
@snippets.output(schemas.SnippetsReply, example=examples.SNIPPETS)
@snippets.doc(
    summary="Snippets by title",
    description="`q` is looked for in titles, shortcuts and texts. earningsCents is what priced"
    " messages brought that were sent with it, net; null for who may not see money.",
    responses=problems(403, 422),
)
def list_snippets(query: schemas.SnippetsQuery) -> schemas.SnippetsReply:
    found = services().snippets.list_snippets(
        caller(), query.limit, query.cursor, q=query.q, category=query.category
    )
    return schemas.SnippetsReply(
        snippets=[views.snippet(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


@snippets.post("")
@snippets.input(schemas.SnippetRequest, arg_name="body", example=examples.SNIPPET_REQUEST)
@snippets.output(schemas.SnippetReply, 201, example=examples.SNIPPET)
@snippets.doc(
    summary="Add a snippet",
    description="At most 1000. `{name}` becomes the fan's name, `{name|you}` the words behind the"
    " bar for a fan without one, as in campaigns. Shortcuts are unique in a team.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def create_snippet(
    body: schemas.SnippetRequest,
) -> tuple[schemas.SnippetReply, int, dict[str, str]]:
    made, replayed = services().snippets.create(caller(), SnippetDraft(**body.model_dump()), once())
    headers = replay_mark(replayed=replayed)
    return schemas.SnippetReply(snippet=views.snippet(made)), 201, headers


@snippets.put("/<int:snippet_id>")
@snippets.input(schemas.SnippetChange, arg_name="body", example=examples.SNIPPET_CHANGE)
@snippets.output(schemas.SnippetReply, example=examples.SNIPPET)
@snippets.doc(
    summary="Change a snippet",
    description="Only what is given changes; null takes the category away.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def change_snippet(snippet_id: int, body: schemas.SnippetChange) -> schemas.SnippetReply:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    changed = services().snippets.change(caller(), SnippetId(snippet_id), given)
    return schemas.SnippetReply(snippet=views.snippet(changed))


@snippets.delete("/<int:snippet_id>")
@snippets.output({}, 204)
@snippets.doc(
    summary="Remove a snippet",
    description="Its shortcut is free again; what was sent with it stays.",
    responses=problems(403, 404),
)
def remove_snippet(snippet_id: int) -> Response:
    services().snippets.remove(caller(), SnippetId(snippet_id))
    return Response(status=204)


@snippets.get("/<int:snippet_id>/rendered")
@snippets.input(schemas.RenderedQuery, location="query", arg_name="query")
@snippets.output(schemas.RenderedReply, example=examples.RENDERED)
@snippets.doc(
    summary="A snippet's text for one fan",
    description="Nothing is sent or counted: send it with `snippetId` in POST"
    " /api/crm/conversations/{id}/messages. 409 name_missing where the text needs a name that the"
    " fan does not have.",
    responses=problems(403, 404, 409, 422),
)
def render_snippet(snippet_id: int, query: schemas.RenderedQuery) -> schemas.RenderedReply:
    text = services().snippets.rendered_for(caller(), SnippetId(snippet_id), FanId(query.fan_id))
    return schemas.RenderedReply(snippet_id=snippet_id, fan_id=query.fan_id, text=text)
