"""Connected accounts: connecting them, their pace and health, pausing, resuming, disconnecting."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import connections as examples
from api.schemas import connections as schemas
from api.views import connections as views
from domain.bulk_limits import BulkLimits, read_hours
from domain.connections import ConnectionDraft, ConnectionId, LimitsDraft

connections = Routes("connections", __name__, url_prefix="/api", tag="Connections")


@connections.get("/connections")
@connections.output(schemas.ConnectionsReply, example=examples.CONNECTIONS)
@connections.doc(summary="Connected accounts", responses=problems(403))
def list_connections() -> schemas.ConnectionsReply:
    found = services().connections.list_paces(caller())
    return schemas.ConnectionsReply(connections=[views.connection(one.connection) for one in found])


@connections.post("/connections")
@connections.input(schemas.ConnectRequest, arg_name="body", example=examples.CONNECT)
@connections.output(
    schemas.ConnectionView, 201, example=examples.CONNECTION, description="Connected"
)
@connections.doc(
    summary="Connect an account",
    description="The gateway is asked first: a key or an id that it refuses is 422, a gateway that"
    " is away 503, and nothing is stored. An account that was disconnected comes back with all that"
    " waits on it. Its fans, chats and transactions are read soon after. The key is never shown"
    " again.",
    responses=problems(400, 403, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def connect(
    body: schemas.ConnectRequest,
) -> tuple[schemas.ConnectionView, int, dict[str, str]]:
    draft = ConnectionDraft(
        platform=body.platform,
        account_id=body.account_id,
        name=body.name,
        access_key=body.access_key,
    )
    made = services().connections.connect(caller(), draft, once())
    headers = replay_mark(replayed=made.replayed)
    return views.connection(made.connection), 201, headers


@connections.get("/connections/<int:connection_id>")
@connections.output(schemas.ConnectionDetail, example=examples.DETAIL)
@connections.doc(summary="One account: its state, limits and health", responses=problems(403, 404))
def look(connection_id: int) -> schemas.ConnectionDetail:
    return views.detail(services().connections.look(caller(), ConnectionId(connection_id)))


@connections.put("/connections/<int:connection_id>")
@connections.input(schemas.LimitsRequest, arg_name="body", example=examples.LIMITS)
@connections.output(schemas.ConnectionView, example=examples.LIMITED)
@connections.doc(
    summary="Rename an account, or change its pace and limits",
    description="What is left out stays; null is the default. Holds from the next message on.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def change(connection_id: int, body: schemas.LimitsRequest) -> schemas.ConnectionView:
    draft = LimitsDraft(
        given=frozenset(body.model_fields_set),
        name=body.name,
        rate_per_minute=body.rate_per_minute,
        burst=body.burst,
        campaign_limits=_limits(body.campaign_limits) if body.campaign_limits else None,
    )
    changed = services().connections.change_limits(caller(), ConnectionId(connection_id), draft)
    return views.connection(changed)


def _limits(body: schemas.CampaignLimitsBody) -> BulkLimits:
    field = "campaignLimits.hours"
    return BulkLimits(
        per_hour=body.per_hour,
        per_day=body.per_day,
        per_fan=body.per_fan_per_day,
        hours=(read_hours(body.hours.record(), field),) if body.hours else (),
        warm_up_since=now() if body.warm_up else None,
    )


@connections.put("/connections/<int:connection_id>/key")
@connections.input(schemas.KeyRequest, arg_name="body", example=examples.KEY)
@connections.output(schemas.ConnectionView, example=examples.CONNECTION)
@connections.doc(
    summary="Replace an account's access key",
    description="The gateway is asked with it first. An account that was paused because its session"
    " had ended sends again.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def replace_key(connection_id: int, body: schemas.KeyRequest) -> schemas.ConnectionView:
    changed = services().connections.replace_key(
        caller(), ConnectionId(connection_id), body.access_key
    )
    return views.connection(changed)


@connections.delete("/connections/<int:connection_id>")
@connections.output({}, 204)
@connections.doc(
    summary="Disconnect an account",
    description="Nothing is sent from it any more and its key is forgotten. What waits stays, says"
    " why, and goes on when the account is connected again.",
    responses=problems(403, 404),
)
def disconnect(connection_id: int) -> str:
    services().connections.disconnect(caller(), ConnectionId(connection_id))
    return ""


@connections.post("/connections/<int:connection_id>/pause")
@connections.output(schemas.ConnectionView, example=examples.PAUSED)
@connections.doc(
    summary="Stop sending on an account",
    description="What waits stays in its place.",
    responses=problems(403, 404, 409),
)
def pause(connection_id: int) -> schemas.ConnectionView:
    return views.connection(services().connections.pause(caller(), ConnectionId(connection_id)))


@connections.post("/connections/<int:connection_id>/resume")
@connections.output(schemas.ConnectionView, example=examples.CONNECTION)
@connections.doc(
    summary="Send again on a paused account",
    description="Also after reconnecting it or topping up credits; what waits goes, paced.",
    responses=problems(403, 404, 409),
)
def resume(connection_id: int) -> schemas.ConnectionView:
    return views.connection(services().connections.resume(caller(), ConnectionId(connection_id)))


@connections.post("/connections/<int:connection_id>/sync")
@connections.output(schemas.SyncReply, 202, example=examples.SYNC, description="It begins soon")
@connections.doc(
    summary="Read an account's chats, transactions and fans now",
    description="It happens by itself every few minutes. health.lastSyncAt tells when it is done.",
    responses=problems(403, 404, 409),
)
def synchronise(connection_id: int) -> tuple[schemas.SyncReply, int]:
    services().sync.ask(caller(), ConnectionId(connection_id))
    return schemas.SyncReply(connection_id=connection_id, status="requested"), 202


@connections.get("/onlyfans/limiter")
@connections.output(schemas.LimiterReply, example=examples.LIMITER)
@connections.doc(
    summary="The pace of every account, and why it is what it is", responses=problems(403)
)
def limiter() -> schemas.LimiterReply:
    moment = now()
    lines = services().monitoring.limiter(caller(), moment)
    return schemas.LimiterReply(
        as_of=moment,
        enabled=services().monitoring.enabled,
        connections=[views.limiter(line) for line in lines],
    )
