"""What failed or needs somebody, kept until seen, with one click to try again."""

from uuid import UUID

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.routes import Flash, Pages, back, is_htmx, live, own_path, page
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.notifications import Kind, Notification, NotificationId
from domain.services.notifications import Notifications

notifications = Pages("notifications")

PATH, SHOWN = "/notifications", 30
ACCOUNTS = "/platforms/connect/onlyfans"


@notifications.get(PATH)
def show() -> Response:
    found, shows_all = _found()
    template = "notifications/rows.html" if is_htmx() else "notifications/page.html"
    return page(template, found=found, shows_all=shows_all, where=where, retry_path=retry_path)


@notifications.get(f"{PATH}/live")
def part() -> Response:
    """The first page, when it has changed."""
    found, shows_all = _found()
    return live(
        "notifications/live.html",
        found=found,
        shows_all=shows_all,
        where=where,
        retry_path=retry_path,
    )


@notifications.post(f"{PATH}/seen")
def see() -> Response:
    """Up to one of them, which is the newest shown for "all seen"."""
    given = request.form.get("up_to", "")
    if not given.isascii() or not given.isdecimal() or len(given) > 18:
        raise Invalid(FieldProblem("up_to", "use the number of a notification"))
    services().notifications.see(caller(), NotificationId(int(given)))
    return back(own_path(request.form.get("next"), PATH))


@notifications.post(f"{PATH}/retry/message/<uuid:message_id>")
def retry_message(message_id: UUID) -> Response:
    """Pressed twice it is sent once: its row is queued by then."""
    after = own_path(request.form.get("next"), PATH)
    try:
        services().messages.retry(caller(), message_id, now())
    except (Conflict, NotFound) as refusal:
        return back(after, Flash(f"Not sent again: {refusal.message}.", "bad"))
    return back(after, "Queued again. It goes at its account's next free slot.")


@notifications.post(f"{PATH}/retry/campaign/<uuid:campaign_id>")
def retry_campaign(campaign_id: UUID) -> Response:
    after = own_path(request.form.get("next"), PATH)
    try:
        services().campaigns.retry(caller(), campaign_id)
    except (Conflict, NotFound) as refusal:
        return back(after, Flash(f"Not sent again: {refusal.message}.", "bad"))
    return back(after, "Queued again. The failed messages of the campaign go at their turns.")


def where(one: Notification) -> tuple[str, str]:
    """The page that it leads to, and what to call it."""
    if one.message and (one.open_count == 1 or not one.campaign):
        path = f"/messages/onlyfans/{one.message.conversation_id}?around={one.message.id}"
        return path, "Open the conversation"
    if one.campaign:
        return f"/messages/bulk/{one.campaign.id}", f"Open {one.campaign.name}"
    if one.import_:
        return f"{ACCOUNTS}?import={one.import_.id}", f"Open {one.import_.name}"
    if one.connection:
        return f"{ACCOUNTS}#account-{one.connection.id}", f"Open {one.connection.name}"
    return "/", "Open Today"


def retry_path(one: Notification) -> str | None:
    """Where its Retry button goes; None when one click mends nothing."""
    if not one.can_retry or one.kind is not Kind.MESSAGES_FAILED:
        return None
    if one.open_count == 1 and one.message:
        return f"{PATH}/retry/message/{one.message.id}"
    return f"{PATH}/retry/campaign/{one.campaign.id}" if one.campaign else None


def _found() -> tuple[Notifications, bool]:
    shows_all = request.args.get("show") == "all"
    found = services().notifications.list_notifications(
        caller(), SHOWN, request.args.get("cursor") or None, is_open=None if shows_all else True
    )
    return found, shows_all
