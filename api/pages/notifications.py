"""What failed or needs somebody, kept until seen, with one click to try again."""

from typing import Any
from uuid import UUID

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages.routes import Flash, Pages, back, is_htmx, live, own_path, page
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.notifications import OF_MESSAGES, Kind, Notification, NotificationId

notifications = Pages("notifications")

PATH, SHOWN = "/notifications", 30
ACCOUNTS = "/platforms/connect/onlyfans"
# Direct messages that one click sends again.
RETRY_MAX = 100


@notifications.get(PATH)
def show() -> Response:
    template = "notifications/rows.html" if is_htmx() else "notifications/page.html"
    return page(template, **_values())


@notifications.get(f"{PATH}/live")
def part() -> Response:
    """The first page, when it has changed."""
    return live("notifications/live.html", **_values())


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


@notifications.post(f"{PATH}/retry/<int:notification_id>")
def retry_all(notification_id: int) -> Response:
    """The direct messages that it tells of, one by one; those that were sent again are left."""
    after, who, moment = own_path(request.form.get("next"), PATH), caller(), now()
    ids = services().notifications.failed_messages(who, NotificationId(notification_id), RETRY_MAX)
    left: list[str] = []
    for one in ids:
        try:
            services().messages.retry(who, one, moment)
        except (Conflict, NotFound) as refusal:
            left.append(refusal.message)
    if not ids:
        return back(after, Flash("Nothing to retry: none of them stands as failed.", "bad"))
    told = f"{len(ids) - len(left)} queued again, each at its account's next free slot."
    if not left:
        return back(after, told)
    why = "; ".join(f"{left.count(one)}: {one}" for one in dict.fromkeys(left))
    return back(after, Flash(f"{told} {len(left)} could not be retried ({why}).", "bad"))


def where(one: Notification) -> tuple[str, str]:
    """The page that it leads to, and what to call it."""
    if one.message and one.open_count == 1:
        path = f"/messages/onlyfans/{one.message.conversation_id}?around={one.message.id}"
        return path, "Open the conversation"
    if one.kind in OF_MESSAGES and one.message and not one.campaign:
        state = "failed" if one.kind is Kind.MESSAGES_FAILED else "unknown"
        return f"/needs-you?state={state}", "See each of them"
    if one.campaign:
        return f"/messages/bulk/{one.campaign.id}", f"Open {one.campaign.name}"
    if one.import_:
        return f"{ACCOUNTS}/imports/{one.import_.id}", f"Open {one.import_.name}"
    if one.connection:
        return f"{ACCOUNTS}#account-{one.connection.id}", f"Open {one.connection.name}"
    return "/", "Open Today"


def retry_path(one: Notification) -> str | None:
    """Where its Retry button goes; None when one click mends nothing."""
    if one.is_resolved or one.kind is not Kind.MESSAGES_FAILED:
        return None
    if one.open_count == 1 and one.message:
        return f"{PATH}/retry/message/{one.message.id}"
    if one.campaign:
        return f"{PATH}/retry/campaign/{one.campaign.id}"
    return f"{PATH}/retry/{one.id}"


def retry_name(one: Notification) -> str:
    """What that button says."""
    if one.open_count == 1:
        return "Retry"
    if one.open_count > RETRY_MAX and not one.campaign:
        return f"Retry the first {RETRY_MAX}"
    return f"Retry all {one.open_count:,}"


def _values() -> dict[str, Any]:
    shows_all = request.args.get("show") == "all"
    found = services().notifications.list_notifications(
        caller(), SHOWN, request.args.get("cursor") or None, is_open=None if shows_all else True
    )
    return {
        "found": found,
        "shows_all": shows_all,
        "where": where,
        "retry_path": retry_path,
        "retry_name": retry_name,
    }
