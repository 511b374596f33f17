"""Analytics: one filter for every number, and the numbers."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from api.schemas.base import Answered, Instant, Query
from api.schemas.fans import Id, split
from domain.analytics import ACTIVE_DAYS_DEFAULT, DAYS_DEFAULT, DAYS_MAX, TOP_FANS, Part


def _day(value: object) -> date:
    """A day alone: a time would leave open in which zone it is meant."""
    try:
        if not isinstance(value, str) or len(value) != len("2025-11-01"):
            raise ValueError  # noqa: TRY301  # told like the others
        return date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("day", "use a day such as 2025-11-01") from None


Day = Annotated[date, BeforeValidator(_day)]
Basis = Literal["net", "gross"]


class AnalyticsQuery(Query):
    first: Day | None = Field(
        None, alias="from", description=f"first day; default: {DAYS_DEFAULT} days up to `to`"
    )
    last: Day | None = Field(
        None,
        alias="to",
        description=f"last day, included; default: today; at most {DAYS_MAX} days in all",
    )
    time_zone: str | None = Field(
        None, max_length=64, description="an IANA name such as Europe/Paris; default: the caller's"
    )
    platform: str | None = Field(None, max_length=32, description="such as onlyfans")
    connection_id: Annotated[list[Id], BeforeValidator(split)] = Field(
        default_factory=list, description="any of them; repeat it, or part them by commas"
    )
    tag: Annotated[list[str], BeforeValidator(split)] = Field(
        default_factory=list, description="repeat it, or part them by commas"
    )
    tags: Literal["any", "all"] = Field("any", description="whether one of the tags is enough")
    basis: Basis = Field("net", description="which money `revenueCents` is")
    active_days: int = Field(
        ACTIVE_DAYS_DEFAULT, description="how many days back a fan still counts as active"
    )


class ExportQuery(AnalyticsQuery):
    part: Part = Field(description="which numbers")


class FilterView(Answered):
    """The filter as it was understood, with its defaults."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    time_zone: str
    platform: str | None
    connection_ids: list[int]
    tags: list[str]
    tag_match: Literal["any", "all"]
    basis: Basis
    active_days: int


class MoneyView(Answered):
    """Integer cents; `revenueCents` is net or gross as the filter's basis says."""

    revenue_cents: int
    net_cents: int
    gross_cents: int
    fees_cents: int
    refunded_cents: int
    purchases: int


class KpisView(MoneyView):
    total_fans: int
    active_fans: int
    lifetime_value_cents: int
    average_value_cents: int | None
    messages_sent: int
    messages_failed: int
    failure_rate: float | None


class OverviewReply(Answered):
    overview: KpisView
    definitions: dict[str, str] = Field(description="what each number means, for people")
    filter: FilterView
    as_of: Instant = Field(description="numbers are kept for up to 30 seconds")


class DayView(MoneyView):
    date: date


class RevenueReply(Answered):
    days: list[DayView] = Field(description="every day of the period, in order")
    totals: MoneyView = Field(description="the sum of the days, as in the overview")
    filter: FilterView
    as_of: Instant


class TopFanView(MoneyView):
    """A fan, and what came from them in the period."""

    id: int
    name: str
    handle: str
    avatar: str | None
    value_cents: int


class TopFansReply(Answered):
    top_fans: list[TopFanView] = Field(description=f"up to {TOP_FANS}, the highest value first")
    filter: FilterView
    as_of: Instant


class SlotView(MoneyView):
    """Messages that left at this time, and the money that was paid at it."""

    sent: int
    delivered: int
    purchased: int = Field(description="of the messages that left then, how many were unlocked")


class HourView(SlotView):
    hour: int


class WeekdayView(SlotView):
    weekday: str


class MessageTotalsReply(Answered):
    hours: list[HourView] = Field(description="0 to 23, of the time zone")
    weekdays: list[WeekdayView] = Field(description="monday to sunday")
    filter: FilterView
    as_of: Instant
