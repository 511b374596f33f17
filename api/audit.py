"""The audit log."""

from api.auth import caller
from api.bodies import Routes
from api.context import services
from api.documents import problems
from api.examples import audit as examples
from api.schemas import audit as schemas
from api.schemas.base import PageQuery
from api.views import audit as views

audit = Routes("audit", __name__, url_prefix="/api/audit", tag="Audit log")


@audit.get("")
@audit.input(PageQuery, location="query", arg_name="page")
@audit.output(schemas.AuditReply, example=examples.LINES)
@audit.doc(
    summary="Who did what, newest first",
    description="Lines are added and never changed: the database refuses it. They hold ids, counts"
    " and names of fields, never texts or names. actorId is null for what nobody in particular did,"
    " such as a failed login.",
    responses=problems(403, 422),
)
def list_lines(page: PageQuery) -> schemas.AuditReply:
    found = services().audit_log.list_lines(caller(), page.limit, page.cursor)
    return schemas.AuditReply(
        lines=[views.line(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )
