"""The caller's fans."""

from api.auth import caller
from api.bodies import Routes
from api.context import services
from api.documents import problems
from api.examples import fans as examples
from api.schemas import fans as schemas
from api.schemas.base import PageQuery
from api.views import fans as views

fans = Routes("fans", __name__, url_prefix="/api/crm/fans", tag="Fans")


@fans.get("")
@fans.input(PageQuery, location="query", arg_name="page")
@fans.output(schemas.FansReply, example=examples.FANS)
@fans.doc(
    summary="Fans, newest first",
    description="nextCursor is null on the last page. A fan that is not linked cannot be written"
    " to yet.",
    responses=problems(403, 422),
)
def list_fans(page: PageQuery) -> schemas.FansReply:
    found = services().fans.list_fans(caller(), page.limit, page.cursor)
    return schemas.FansReply(
        fans=[views.fan(one) for one in found.fans],
        total=found.total,
        next_cursor=found.next_cursor,
    )
