"""Logging in, and who one is."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, Query


class LoginRequest(Asked):
    email: str = Field(json_schema_extra={"maxLength": 254})
    password: str = Field(json_schema_extra={"maxLength": 1024})


class EndSessionQuery(Query):
    everywhere: bool = False


class PasswordRequest(Asked):
    current: str = Field(json_schema_extra={"maxLength": 1024})
    new: str = Field(json_schema_extra={"minLength": 8, "maxLength": 1024})


class UserView(Answered):
    id: int
    email: str
    role: str


class LoginReply(Answered):
    token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_at: Instant
    user: UserView


class SessionReply(Answered):
    expires_at: Instant
    csrf_token: str
    user: UserView


class MeReply(Answered):
    id: int
    owner_id: int = Field(description="whose rows one works on")
    email: str
    role: str
    permissions: list[str]
    time_zone: str
    api_key_id: int | None = Field(description="the key that asks; null for a login")
