"""Links of fans."""

from pydantic import Field

from api.schemas.base import Answered, Asked
from domain.fans import BIGINT_MAX


class LinkRequest(Asked):
    connection_id: int = Field(ge=1, le=BIGINT_MAX)
    platform_user_id: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,18}$",
        description="the platform's number of the fan; left out: found by the fan's handle",
    )


class LinkView(Answered):
    fan_id: int
    recipient_id: str
    connection_id: int
    platform_user_id: str
    version: int
