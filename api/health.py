"""For load balancers and Prometheus."""

from flask import Response

from api.bodies import Routes
from api.context import services
from api.documents import Responses
from api.examples import monitoring as examples
from api.metrics import CONTENT_TYPE, exposition
from api.schemas import monitoring as schemas
from api.views import monitoring as views

NOT_READY: Responses = {
    503: {
        "description": "Something does not answer",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ReadyReply"},
                "example": examples.NOT_READY,
            }
        },
    }
}
TEXT: Responses = {
    200: {
        "description": "Prometheus text format",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}

health = Routes("health", __name__, tag="Health")


@health.get("/health")
@health.output(schemas.HealthReply, example=examples.HEALTH)
@health.doc(summary="Whether the process is alive")
def alive() -> schemas.HealthReply:
    return schemas.HealthReply(status="ok", build=services().settings.build)


@health.get("/ready")
@health.output(schemas.ReadyReply, example=examples.READY)
@health.doc(
    summary="Whether everything we need answers",
    responses=NOT_READY,
)
def ready() -> tuple[schemas.ReadyReply, int]:
    found = services().monitoring.dependencies()
    good = all(one.ok for one in found)
    answer = schemas.ReadyReply(
        status="ready" if good else "not_ready",
        build=services().settings.build,
        dependencies=[views.dependency(one) for one in found],
    )
    return answer, 200 if good else 503


@health.get("/metrics")
@health.doc(
    summary="Counters for Prometheus",
    responses=TEXT,
)
def metrics() -> Response:
    return Response(exposition(), content_type=CONTENT_TYPE)
