"""API keys of the team."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import services
from api.documents import IDEMPOTENT, problems
from api.examples import keys as examples
from api.schemas import keys as schemas
from api.views import keys as views
from domain.keys import ApiKeyId

keys = Routes("keys", __name__, url_prefix="/api/keys", tag="API keys")


@keys.get("")
@keys.output(schemas.KeysReply, example=examples.KEYS)
@keys.doc(summary="The team's live keys, oldest first", responses=problems(403))
def list_keys() -> schemas.KeysReply:
    found = services().keys.list_keys(caller())
    return schemas.KeysReply(keys=[views.key(one) for one in found], total=len(found))


@keys.post("")
@keys.input(schemas.MakeKeyRequest, arg_name="body", example=examples.MAKE)
@keys.output(schemas.MadeKeyReply, 201, example=examples.MADE)
@keys.doc(
    summary="Make a key",
    description="Its secret is shown now and never again; an answer that an Idempotency-Key brings"
    " back has none. Use it as Authorization: Bearer, wherever a login is asked for: it acts as"
    " whoever made it, with that member's role at the time. Fifty live keys a team. A key can"
    " neither make keys nor change the team (403 login_needed).",
    responses=problems(400, 403, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def make(body: schemas.MakeKeyRequest) -> tuple[schemas.MadeKeyReply, int, dict[str, str]]:
    made = services().keys.make(caller(), body.name, once())
    reply = schemas.MadeKeyReply(key=views.key(made.key), secret=made.secret)
    return reply, 201, replay_mark(replayed=made.replayed)


@keys.delete("/<int:key_id>")
@keys.output({}, 204)
@keys.doc(
    summary="Revoke a key",
    description="It is refused within five seconds.",
    responses=problems(403, 404),
)
def revoke(key_id: int) -> str:
    services().keys.revoke(caller(), ApiKeyId(key_id))
    return ""
