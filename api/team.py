"""The team: who may log in and work on the owner's rows."""

from api.auth import caller
from api.bodies import Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.examples import team as examples
from api.schemas import team as schemas
from api.views import team as views
from domain.services.team import MemberChange, NewMember
from domain.users import Role, UserId

team = Routes("team", __name__, url_prefix="/api/team", tag="Team")


@team.get("")
@team.output(schemas.TeamReply, example=examples.TEAM)
@team.doc(summary="Everybody of the team, the owner first", responses=problems(403))
def list_members() -> schemas.TeamReply:
    found = services().team.list_members(caller())
    return schemas.TeamReply(members=[views.member(one) for one in found], total=len(found))


@team.post("")
@team.input(schemas.AddMemberRequest, arg_name="body", example=examples.ADD)
@team.output(schemas.MemberReply, 201, example=examples.MEMBER)
@team.doc(
    summary="Let somebody log in",
    responses=problems(400, 403, 409, 413, 415, 422),
    extensions=IDEMPOTENT,
)
def add(body: schemas.AddMemberRequest) -> tuple[schemas.MemberReply, int, dict[str, str]]:
    new = NewMember(body.email, Role(body.role), body.password, body.time_zone)
    added = services().team.add(caller(), new, once())
    reply = schemas.MemberReply(member=views.member(added.member))
    return reply, 201, replay_mark(replayed=added.replayed)


@team.put("/<int:user_id>")
@team.input(schemas.ChangeMemberRequest, arg_name="body", example=examples.CHANGE)
@team.output(schemas.MemberReply, example=examples.MEMBER)
@team.doc(
    summary="Change a member's role, time zone or password",
    description="Any subset. Within five seconds the role counts, and a new password ends the"
    " member's present logins; API keys go on. The owner's role stays.",
    responses=problems(400, 403, 404, 409, 413, 415, 422),
)
def change(user_id: int, body: schemas.ChangeMemberRequest) -> schemas.MemberReply:
    changes = MemberChange(
        role=None if body.role is None else Role(body.role),
        time_zone=body.time_zone,
        password=body.password,
    )
    changed = services().team.change(caller(), UserId(user_id), changes, now())
    return schemas.MemberReply(member=views.member(changed))


@team.delete("/<int:user_id>")
@team.output({}, 204)
@team.doc(
    summary="Remove a member",
    description="Logins and keys of the member are refused within five seconds. What the member did"
    " stays in the audit log. The owner cannot be removed.",
    responses=problems(403, 404, 409),
)
def remove(user_id: int) -> str:
    services().team.remove(caller(), UserId(user_id))
    return ""
