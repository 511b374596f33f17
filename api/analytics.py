"""Analytics: the numbers of the page, and the same as files."""

from flask import Response

from api.auth import caller
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.examples import analytics as examples
from api.schemas import analytics as schemas
from api.views import analytics as views
from domain.analytics import Part

analytics = Routes("analytics", __name__, url_prefix="/api/analytics", tag="Analytics")

FILTERED = "Every filter applies to every number; days are whole days of the time zone."


@analytics.get("/overview")
@analytics.input(schemas.AnalyticsQuery, location="query", arg_name="asked")
@analytics.output(schemas.OverviewReply, example=examples.OVERVIEW)
@analytics.doc(
    summary="Fans, their value, and the money and messages of a period",
    description=f"{FILTERED} The money is the sum of the days at /revenue.",
    responses=problems(403, 422),
)
def overview(asked: schemas.AnalyticsQuery) -> schemas.OverviewReply:
    return views.overview(services().analytics.overview(caller(), views.question(asked), now()))


@analytics.get("/revenue")
@analytics.input(schemas.AnalyticsQuery, location="query", arg_name="asked")
@analytics.output(schemas.RevenueReply, example=examples.REVENUE)
@analytics.doc(
    summary="Revenue day by day",
    description=f"{FILTERED} A day without money is there, with zeros.",
    responses=problems(403, 422),
)
def revenue(asked: schemas.AnalyticsQuery) -> schemas.RevenueReply:
    return views.revenue(services().analytics.days(caller(), views.question(asked), now()))


@analytics.get("/top-fans")
@analytics.input(schemas.AnalyticsQuery, location="query", arg_name="asked")
@analytics.output(schemas.TopFansReply, example=examples.TOP_FANS)
@analytics.doc(
    summary="The fans of the highest value",
    description=f"{FILTERED} Beside the value stands what came from each in the period.",
    responses=problems(403, 422),
)
def top_fans(asked: schemas.AnalyticsQuery) -> schemas.TopFansReply:
    return views.top_fans(services().analytics.top_fans(caller(), views.question(asked), now()))


@analytics.get("/messages")
@analytics.input(schemas.AnalyticsQuery, location="query", arg_name="asked")
@analytics.output(schemas.MessageTotalsReply, example=examples.MESSAGES)
@analytics.doc(
    summary="When messages leave and money comes, by hour and weekday",
    description=f"{FILTERED} Messages stand at the time they left, money at the time it was paid.",
    responses=problems(403, 422),
)
def messages(asked: schemas.AnalyticsQuery) -> schemas.MessageTotalsReply:
    return views.messages(services().analytics.messages(caller(), views.question(asked), now()))


@analytics.get("/export.csv")
@analytics.input(schemas.ExportQuery, location="query", arg_name="asked")
@analytics.doc(
    summary="One part of the page as a file",
    description=f"{FILTERED} The rows and numbers are those of the page.",
    responses={
        200: {
            "description": "A header, then a line for each row",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **problems(403, 422),
    },
)
def export(asked: schemas.ExportQuery) -> Response:
    part = Part(asked.part)
    answer = services().analytics.export(caller(), part, views.question(asked), now())
    period = answer.which.period
    name = f"analytics-{part}-{period.first}-{period.last}.csv"
    return Response(
        views.file(part, answer),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
