"""API keys."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant


class MakeKeyRequest(Asked):
    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": 100})


class KeyView(Answered):
    id: int
    name: str
    prefix: str = Field(description="how the key begins")
    member_id: int = Field(description="whom it acts as")
    created_at: Instant
    last_used_at: Instant | None = Field(description="to the minute")


class KeysReply(Answered):
    keys: list[KeyView]
    total: int


class MadeKeyReply(Answered):
    key: KeyView
    secret: str | None = Field(description="shown once; null in a repeated answer")
