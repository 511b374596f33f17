"""The inbox: conversations, a thread that refreshes itself, the fan beside it, and writing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, request

from api import lines
from api.auth import caller
from api.context import now, services
from api.pages.routes import (
    Form,
    Pages,
    back,
    cents_of,
    dressed,
    form_once,
    is_htmx,
    live,
    number_of,
    one_time_key,
    page,
    zone,
)
from api.pages.vault import OFFERED, Mark, offers
from api.views.conversations import FIELDS
from domain.conversations import ConversationFilter, ConversationId, VaultFile
from domain.errors import Conflict, Invalid, NotFound
from domain.fans import recipient_id
from domain.messages import Draft, attachments_of
from domain.paging import Page
from domain.services.conversations import Opened
from domain.services.results import SendResult
from domain.snippets import SnippetId
from domain.threads import Bubble, MessageFilter

inbox = Pages("inbox")

PLACE = "/messages/onlyfans"
# A part of the list grows by this much up to the most, and the next part follows; whoever writes
# anew comes on top of what a part has then, up to what it may hold at all.
ROWS, ROWS_MOST, ROWS_HELD = 40, 400, 800
# Of a thread: what is shown at first and asked for again, and what an open page may grow to.
NEWEST, OLDER, OPEN_MOST = 50, 50, 300
FOUND, SNIPPETS = 8, 50
SPENDERS = ((100, "$1"), (10_000, "$100"), (50_000, "$500"), (100_000, "$1,000"))
TIERS = ("whale", "spender", "quiet", "new")
# Why a message goes later than was promised.
DELAYS = {
    "overtaken": "more urgent messages went before",
    "retry": "a try ended without sending",
    "limited": "the account's limits hold it back",
    "recovery": "the waiting room was rebuilt",
}
# What an address may hold of filters, in this order.
SWITCHES = ("unread", "unreplied", "failed", "online", "tips", "all")
WRITTEN = ("text", "price", "media", "file", "snippet")
TEXTS = ("q", "platform", "from", "to", "spent", "tier", "tag", "view")


@dataclass(frozen=True)
class Asked:
    """The filters of an address, by their names there."""

    given: Mapping[str, str]

    @property
    def filter(self) -> ConversationFilter:
        given, on = self.given, {name: True for name in SWITCHES if name in self.given}
        return ConversationFilter(
            unread=on.get("unread"),
            unreplied=on.get("unreplied"),
            failed=on.get("failed"),
            online=on.get("online"),
            with_tips=on.get("tips"),
            direct=False if "all" in on else None,
            platform=given.get("platform"),
            since=_day(given.get("from")),
            until=_day(given.get("to"), end=True),
            min_spend_cents=int(given["spent"]) if "spent" in given else None,
            tier=given.get("tier"),
            tag=given.get("tag"),
            q=given.get("q"),
        )

    @property
    def narrows(self) -> bool:
        return bool(self.given)

    @property
    def more(self) -> int:
        """How many filters are hidden behind the button."""
        return len(self.given.keys() - {"q", "unread", "unreplied", "failed", "view"})

    def address(self, path: str = "", /, **more: object) -> str:
        """A path of the inbox with these filters and what is given beside them."""
        query = dict(self.given) | {name: str(value) for name, value in more.items()}
        return f"{PLACE}{path}?{urlencode(query)}" if query else f"{PLACE}{path}"

    def toggled(self, name: str, value: str = "1") -> str:
        """The list with a filter on where it was off, and off where it was on."""
        given = dict(self.given)
        if given.pop(name, None) != value:
            given[name] = value
        return Asked(given).address()


def asked() -> Asked:
    """The filters of the request; what cannot be one is left out."""
    given = {name: "1" for name in SWITCHES if request.args.get(name) == "1"}
    for name in TEXTS:
        text = request.args.get(name, "").replace("\0", "").strip()[:100]
        if text and _fits(name, text):
            given[name] = text
    return Asked(given)


def _fits(name: str, text: str) -> bool:
    if name in {"from", "to"}:
        return _day(text) is not None
    if name == "spent":
        return text.isascii() and text.isdigit() and len(text) < 16
    return name != "tier" or text in TIERS


def _day(text: str | None, *, end: bool = False) -> datetime | None:
    """The beginning of a day of the viewer's, or its end."""
    try:
        day = date.fromisoformat(text or "")
        start = datetime.combine(day, time(), zone())
        return start + timedelta(days=1, microseconds=-1) if end else start
    except (ValueError, OverflowError):
        return None


# Looking


@inbox.get(PLACE)
def show() -> Response:
    return page("inbox/page.html", **_list(), **_views(), opened=None)


@inbox.get(f"{PLACE}/<int:conversation_id>")
def show_thread(conversation_id: int) -> Response:
    return _conversation_page(ConversationId(conversation_id))


@inbox.get(f"{PLACE}/list")
def rows() -> Response:
    """A part of the list, which refreshes itself and grows as a whole, down to a fixed end where
    another part follows: so nothing is shown twice or lost."""
    return live("inbox/rows.html", **_list())


@inbox.get(f"{PLACE}/<int:conversation_id>/newest")
def newest(conversation_id: int) -> Response:
    """The end of a thread, which refreshes itself."""
    return live("inbox/newest.html", **_newest(ConversationId(conversation_id)))


@inbox.get(f"{PLACE}/<int:conversation_id>/older")
def older(conversation_id: int) -> Response:
    cursor = request.args.get("cursor", "")
    found = services().threads.read(
        caller(), ConversationId(conversation_id), OLDER, now(), cursor=cursor
    )
    values = {
        "bubbles": found.bubbles,
        "older": found.stretch.older,
        "conversation_id": conversation_id,
        "anchor": request.args.get("anchor"),
        "asked": asked(),
        "delays": DELAYS,
    }
    return page("inbox/older.html" if is_htmx() else "inbox/earlier.html", **values)


@inbox.get(f"{PLACE}/<int:conversation_id>/fan")
def fan_pane(conversation_id: int) -> Response:
    opened = services().conversations.open(caller(), ConversationId(conversation_id))
    return live("inbox/fan.html", opened=opened, asked=asked())


@inbox.get(f"{PLACE}/<int:conversation_id>/snippets")
def snippets(conversation_id: int) -> Response:
    """Snippets to choose from, for a dialog."""
    words = request.args.get("snippet_q", "").replace("\0", "").strip()[:100]
    found = services().snippets.list_snippets(caller(), SNIPPETS, None, q=words)
    template = "inbox/snippets.html" if is_htmx() else "inbox/choose.html"
    return page(template, snippets=found, conversation_id=conversation_id, asked=asked())


@inbox.get(f"{PLACE}/<int:conversation_id>/files")
def files(conversation_id: int) -> Response:
    """Files to choose from; what the fan has had is marked, so that nothing is sold twice."""
    who, asked_for = caller(), ConversationId(conversation_id)
    found, panel = services().conversations.files(who, asked_for, OFFERED)
    had = {one.url for one in panel.already_sent}
    bought = {url for one in panel.already_bought for url in one.urls}

    def mark(one: VaultFile) -> Mark | None:
        if one.url in bought:
            return "bought", "bad"
        return ("sent before", "wait") if one.url in had else None

    return page("vault.html", offers=offers(found, mark))


@inbox.post(f"{PLACE}/<int:conversation_id>/compose")
def compose(conversation_id: int) -> Response:
    """What is being written, with a snippet behind it; nothing is sent."""
    opened = services().conversations.open(caller(), ConversationId(conversation_id))
    return page("inbox/composer.html", **_composer(opened, request.args.get("snippet")))


def _list() -> dict[str, Any]:
    wanted, problem = asked(), None
    start, end = request.args.get("after") or None, request.args.get("until") or None
    limit = min(ROWS_MOST, max(ROWS, number_of(request.args.get("rows", "")) or ROWS))
    try:
        found = services().conversations.list_conversations(
            caller(),
            wanted.filter,
            ROWS_HELD if end else limit,
            start,
            now(),
            view=wanted.given.get("view"),
            until=end,
        )
    except (Invalid, NotFound) as refusal:
        found, problem = Page([], 0, is_capped=False, next_cursor=None), refusal.message
    here = number_of(request.args.get("here", ""))
    kept = {"here": here or 0} | ({"after": start} if start else {})
    is_full = end is None and limit == ROWS_MOST and found.next_cursor is not None
    extent = {"until": end or found.next_cursor} if end or is_full else {"rows": limit}
    return {
        "asked": wanted,
        "list_problem": problem,
        "list": found,
        "here": here,
        "start": start,
        "refreshed": kept | extent,
        "is_cut": end is not None and found.next_cursor is not None,
        # What follows: more of this part, or the part behind it.
        "grown": None if end or is_full or not found.next_cursor else kept | {"rows": limit + ROWS},
        "followed": {"after": found.next_cursor, "here": here or 0} if is_full else None,
    }


def _views() -> dict[str, Any]:
    """What stands over the list: views with their counts, and messages that hold the words."""
    who, moment, words = caller(), now(), asked().given.get("q")
    found: Sequence[Bubble] = ()
    if words and len(words) > 1:
        found, _ = services().threads.list_messages(
            who, MessageFilter(q=words), FOUND, None, moment
        )
    return {
        "views": services().saved_views.list_views(who, moment),
        "found": found,
        "spenders": SPENDERS,
        "tiers": TIERS,
    }


def _conversation_page(
    conversation_id: ConversationId, code: int = 200, written: Form | None = None
) -> Response:
    who, moment = caller(), now()
    opened = services().conversations.open(who, conversation_id)
    around = request.args.get("around") if request.method == "GET" else None
    first = services().threads.read(who, conversation_id, NEWEST, moment, around=around)
    # The oldest stands outside of what refreshes itself, which is all that follows it.
    cursor = first.stretch.older
    head = first.bubbles[:1] if cursor else []
    values = _list() | _views() | _composer(opened, request.args.get("snippet"), written)
    values |= {"head": head, "older": cursor, "here": conversation_id, "around": around}
    if around is not None:
        values |= _newest(conversation_id, cursor)
    else:
        values |= {
            "bubbles": first.bubbles[len(head) :],
            "anchor": cursor,
            "is_cut": False,
            "delays": DELAYS,
        }
    return page("inbox/page.html", code, **values)


def _newest(conversation_id: ConversationId, anchor: str | None = None) -> dict[str, Any]:
    """What follows the anchor, or the newest of a thread that was shown as a whole."""
    who, moment = caller(), now()
    anchor = anchor or request.form.get("anchor") or request.args.get("anchor") or None
    read = services().threads.read
    if anchor is None:
        found = read(who, conversation_id, OPEN_MOST, moment)
        bubbles, is_cut = found.bubbles, False
    else:
        found = read(who, conversation_id, OPEN_MOST + 1, moment, after=anchor)
        bubbles, is_cut = found.bubbles[:OPEN_MOST], len(found.bubbles) > OPEN_MOST
    return {
        "bubbles": bubbles,
        "anchor": anchor,
        "is_cut": is_cut,
        "conversation_id": conversation_id,
        "asked": asked(),
        "delays": DELAYS,
    }


def _composer(opened: Opened, snippet: str | None, written: Form | None = None) -> dict[str, Any]:
    """What is written, with the text of a snippet behind it."""
    given = request.form if request.method == "POST" else {}
    form = written or Form(
        {name: given.get(name, "") for name in ("text", "price", "media", "snippet")}
    )
    if request.method == "POST" and written is None:  # Chosen files stay chosen, as addresses.
        media = "\n".join([form.values["media"], *request.form.getlist("file")]).strip()
        form = Form(dict(form.values) | {"media": media})
    fan_id = opened.conversation.fan.id
    chosen = number_of(snippet or "")
    if chosen and written is None:
        try:
            text = services().snippets.rendered_for(caller(), SnippetId(chosen), fan_id)
        except (Conflict, NotFound) as refusal:
            form = Form(form.values, error=f"This snippet cannot be used: {refusal.message}.")
        else:
            before = form.values["text"].rstrip()
            joined = f"{before}\n{text}" if before else text
            form = Form(dict(form.values) | {"text": joined, "snippet": snippet})
    return {
        "opened": opened,
        "conversation_id": opened.conversation.id,
        "form": form,
        "key": one_time_key(),
        "anchor": given.get("anchor", ""),
        "asked": asked(),
        "inserted": snippet is not None,
    }


# Writing


@inbox.post(f"{PLACE}/<int:conversation_id>/send")
def send(conversation_id: int) -> Response:
    """Accept what was written. The form's key makes a second click of it the same message."""
    found = ConversationId(conversation_id)
    names = ("text", "price", "media", "snippet")
    typed = Form({name: request.form.get(name, "") for name in names})
    try:
        bubble, result = _accepted(found, _draft(typed), now())
    except (Invalid, Conflict) as refusal:
        told = typed.refused(refusal, priceCents="price", attachments="media")
        if is_htmx():
            return _refused(told)
        return _conversation_page(found, 422, told)
    lines.message_queued(result, recipient_id(bubble.message.fan_id))
    return _thread_again(found)


def _accepted(
    conversation_id: ConversationId, draft: Draft, moment: datetime
) -> tuple[Bubble, SendResult]:
    send_to, once = services().conversations.send, form_once(only=WRITTEN)
    try:
        return send_to(caller(), conversation_id, draft, moment, once)
    except Invalid as refusal:
        if [one.field for one in refusal.problems] != ["snippetId"]:
            raise
        # Deleted since it was chosen: its words stand in the message all the same.
        return send_to(caller(), conversation_id, replace(draft, snippet_id=None), moment, once)


def _refused(told: Form) -> Response:
    """For a script, which keeps what was typed where it is."""
    names = {"text": "message", "price": "price", "media": "files"}
    problems = [f"{names.get(name, name)}: {text}" for name, text in told.problems.items()]
    response = page(
        "refusals/toast.html",
        422,
        heading="Not sent",
        error="; ".join(filter(None, [*problems, told.error])),
        remedy="What you wrote is kept: change it and send it again.",
    )
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#toasts", "beforeend"
    return response


def _draft(typed: Form) -> Draft:
    snippet = typed.values["snippet"]
    urls = typed.values["media"].split() + request.form.getlist("file")
    return Draft(
        content=typed.values["text"].replace("\r\n", "\n"),
        attachments=attachments_of(urls),
        price_cents=cents_of("priceCents", typed.values["price"]) or None,
        snippet_id=number_of(snippet),
        fields=FIELDS,
    )


@inbox.post(f"{PLACE}/<int:conversation_id>/messages/<uuid:message_id>/<deed>")
def change(conversation_id: int, message_id: UUID, deed: str) -> Response:
    """Retry, cancel, confirm or take back one message."""
    who, moment, found = caller(), now(), ConversationId(conversation_id)
    shown = services().threads.bubble(who, message_id, moment)
    if shown.message.conversation_id != found:
        raise NotFound("no such message in this conversation")
    if deed == "retry":
        services().messages.retry(who, message_id, moment)
    elif deed == "cancel":
        services().messages.cancel(who, message_id)
    elif deed == "confirm":
        services().messages.confirm_sent(who, message_id, moment)
    elif deed == "unsend":
        services().unsending.ask(who, message_id, moment)
    else:
        raise NotFound("no such deed")
    return _thread_again(found)


@inbox.post(f"{PLACE}/<int:conversation_id>/read")
def mark_read(conversation_id: int) -> Response:
    services().read_marks.mark_read(caller(), ConversationId(conversation_id))
    if is_htmx():
        return dressed(Response(status=204))
    return back(asked().address(f"/{conversation_id}"), "Marked as read.")


@inbox.post(f"{PLACE}/<int:conversation_id>/unread")
def mark_unread(conversation_id: int) -> Response:
    """Then to the list: an open thread would be read again at once."""
    services().read_marks.mark_unread(caller(), ConversationId(conversation_id))
    return back(asked().address(), "Marked as unread.")


def _thread_again(conversation_id: ConversationId) -> Response:
    """The end of the thread for a script, the page for a plain form."""
    if not is_htmx():
        return back(asked().address(f"/{conversation_id}"))
    return live("inbox/newest.html", **_newest(conversation_id))
