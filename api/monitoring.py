"""Everything at a glance."""

from api.auth import caller
from api.bodies import Routes
from api.context import now, services
from api.documents import problems
from api.examples import monitoring as examples
from api.schemas import monitoring as schemas
from api.views import monitoring as views

monitoring = Routes("monitoring", __name__, url_prefix="/api/monitoring", tag="Monitoring")


@monitoring.get("/onlyfans")
@monitoring.output(schemas.MonitoringReply, example=examples.MONITORING)
@monitoring.doc(
    summary="Dependencies, queues, limiter and alarms",
    description="It answers whatever is away. Queues are everybody's, as SQS counts them; limiter"
    " and rows are the caller's.",
    responses=problems(403),
)
def overview() -> schemas.MonitoringReply:
    told = services().monitoring.overview(caller(), now())
    return views.overview(told, services().settings.build)
