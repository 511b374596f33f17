"""Which fan is which user of the platform."""

from api.auth import caller
from api.bodies import Routes
from api.context import services
from api.documents import problems
from api.examples import linking as examples
from api.schemas import linking as schemas
from domain.connections import ConnectionId
from domain.fans import FanId, recipient_id

linking = Routes("linking", __name__, url_prefix="/api/crm/fans", tag="Fan links")


@linking.post("/<int:fan_id>/link")
@linking.input(schemas.LinkRequest, arg_name="body", example=examples.LINK)
@linking.output(schemas.LinkView, example=examples.LINKED)
@linking.doc(
    summary="Link a fan to the platform",
    description="Nothing can be sent to a fan that is not linked. Without platformUserId the fan's"
    " handle is looked for among the account's fans (404 not_on_platform). A second time changes"
    " nothing; while messages to the fan wait, the link cannot change (409 messages_waiting), and"
    " one user of the platform is one fan (409 already_linked).",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def link(fan_id: int, body: schemas.LinkRequest) -> schemas.LinkView:
    fan = services().linking.link(
        caller(), FanId(fan_id), ConnectionId(body.connection_id), body.platform_user_id
    )
    assert fan.connection_id is not None
    assert fan.platform_user_id is not None
    return schemas.LinkView(
        fan_id=fan.id,
        recipient_id=recipient_id(fan.id),
        connection_id=fan.connection_id,
        platform_user_id=fan.platform_user_id,
        version=fan.version,
    )


@linking.delete("/<int:fan_id>/link")
@linking.output({}, 204)
@linking.doc(
    summary="Unlink a fan",
    description="Its conversations stay. Refused while messages to it wait.",
    responses=problems(403, 404, 409),
)
def unlink(fan_id: int) -> str:
    services().linking.unlink(caller(), FanId(fan_id))
    return ""
