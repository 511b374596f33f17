"""Banned words."""

from pydantic import Field

from api.schemas.base import Answered, Asked


class BannedWordsRequest(Asked):
    words: list[str] = Field(
        description="the whole list: words and phrases of at most 50 characters",
        json_schema_extra={"maxItems": 500},
    )


class BannedWordsReply(Answered):
    words: list[str]
    is_default: bool = Field(description="the product's own list: nobody has changed it yet")
