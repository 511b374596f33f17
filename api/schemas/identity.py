"""Logging in."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant


class LoginRequest(Asked):
    email: str = Field(json_schema_extra={"maxLength": 254})
    password: str = Field(json_schema_extra={"maxLength": 1024})


class UserView(Answered):
    id: int
    email: str
    role: str


class LoginReply(Answered):
    token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_at: Instant
    user: UserView
