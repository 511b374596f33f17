"""The team."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant

# An owner is named too, so that the refusal can say why.
RoleName = Literal["owner", "manager", "chatter", "analyst"]


class AddMemberRequest(Asked):
    email: str = Field(json_schema_extra={"maxLength": 254})
    role: RoleName
    password: str = Field(json_schema_extra={"minLength": 8, "maxLength": 1024})
    time_zone: str = Field("UTC", description="whose midnight starts a day")


class ChangeMemberRequest(Asked):
    role: RoleName | None = None
    time_zone: str | None = None
    password: str | None = Field(None, json_schema_extra={"minLength": 8, "maxLength": 1024})


class MemberView(Answered):
    id: int
    email: str
    role: str
    time_zone: str
    created_at: Instant


class MemberReply(Answered):
    member: MemberView


class TeamReply(Answered):
    members: list[MemberView]
    total: int
