"""What every body is made of, and the one shape of errors."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def iso(moment: datetime) -> str:
    """As in 2025-11-01T12:00:06.030Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: object) -> datetime:
    """A time with its zone, or a day, which begins at midnight UTC."""
    try:
        if not isinstance(value, str):
            raise TypeError  # noqa: TRY301  # told like the others
        read = datetime.fromisoformat(value)
        if len(value) == len("2025-11-01"):
            return read.replace(tzinfo=UTC)
        if read.tzinfo is None:
            raise ValueError  # noqa: TRY301
        return read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise PydanticCustomError("moment", "use a time such as 2025-11-01T12:00:00Z") from None


Instant = Annotated[datetime, PlainSerializer(iso, return_type=str)]
Moment = Annotated[datetime, BeforeValidator(moment)]


class Asked(BaseModel):
    """A request body: unknown names and wrong types are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class Query(BaseModel):
    """A query string, where every value is text."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Answered(BaseModel):
    """A response body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PageQuery(Query):
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, description="nextCursor of the page before")


class HoursBody(Asked):
    """Over midnight if `to` is before `from`."""

    opens: str = Field(alias="from", json_schema_extra={"pattern": "^[0-2][0-9]:[0-5][0-9]$"})
    closes: str = Field(alias="to", json_schema_extra={"pattern": "^[0-2][0-9]:[0-5][0-9]$"})
    time_zone: str = Field(description="as in Europe/Paris")

    def record(self) -> dict[str, str]:
        return self.model_dump(by_alias=True)


class Detail(Answered):
    field: str
    message: str


class ErrorReply(Answered):
    """Every refusal. 429 and 503 carry the last three fields too."""

    error: str = Field(description="for people")
    code: str = Field(description="for programs; stable")
    details: list[Detail]
    request_id: str
    retry_after_sec: int | None = None
    reason: str | None = None
    limit: int | None = None
