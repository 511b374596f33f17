"""Connected accounts: their pace, pausing and resuming them."""

from api.auth import caller
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.examples import connections as examples
from api.schemas import connections as schemas
from api.views import connections as views
from domain.connections import ConnectionId

connections = Routes("connections", __name__, url_prefix="/api", tag="Connections")


@connections.get("/connections")
@connections.output(schemas.ConnectionsReply, example=examples.CONNECTIONS)
@connections.doc(summary="Connected accounts", responses=problems(403))
def list_connections() -> schemas.ConnectionsReply:
    found = services().connections.list_paces(caller())
    return schemas.ConnectionsReply(connections=[views.connection(one.connection) for one in found])


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
