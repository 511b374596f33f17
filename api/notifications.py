"""The badge and the list of every page."""

from api.auth import caller
from api.bodies import Routes
from api.context import services
from api.documents import problems
from api.examples import notifications as examples
from api.schemas import notifications as schemas
from api.views import notifications as views
from domain.notifications import NotificationId

notifications = Routes(
    "notifications", __name__, url_prefix="/api/notifications", tag="Notifications"
)


@notifications.get("")
@notifications.input(schemas.NotificationsQuery, location="query", arg_name="query")
@notifications.output(schemas.NotificationsReply, example=examples.NOTIFICATIONS)
@notifications.doc(
    summary="What failed or needs somebody, newest first",
    description="Messages that failed for good or that only a person can settle, accounts that the"
    " platform paused, campaigns that paused themselves or failed, imports that failed. Messages of"
    " one account, or campaign, that fail for one reason within ten minutes are one notification."
    " isResolved follows the rows: a message that was retried and sent is no longer told as failed."
    " canRetry: for target message POST /api/onlyfans/messages/{id}/retry, for target campaign POST"
    " /api/messages/bulk/{id}/retry.",
    responses=problems(403, 422),
)
def list_notifications(query: schemas.NotificationsQuery) -> schemas.NotificationsReply:
    found = services().notifications.list_notifications(
        caller(), query.limit, query.cursor, is_open=query.open
    )
    return views.listed(found)


@notifications.get("/unseen")
@notifications.output(schemas.UnseenReply, example=examples.UNSEEN)
@notifications.doc(
    summary="The badge",
    description="Open notifications that the caller has not seen. Stops at 100.",
    responses=problems(403),
)
def unseen() -> schemas.UnseenReply:
    return views.unseen(services().notifications.unseen(caller()))


@notifications.post("/seen")
@notifications.input(schemas.SeenRequest, arg_name="body", example=examples.SEEN_REQUEST)
@notifications.output(schemas.UnseenReply, example=examples.UNSEEN)
@notifications.doc(
    summary="The caller has seen everything up to one",
    description="For the caller alone, and never less than before; what comes later is unseen.",
    responses=problems(400, 403, 413, 415, 422),
)
def seen(body: schemas.SeenRequest) -> schemas.UnseenReply:
    return views.unseen(services().notifications.see(caller(), NotificationId(body.up_to)))
