"""Campaigns: the list, a new one from its first word to its start, and how one goes."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages import campaign_form as forms
from api.pages.routes import Flash, Form, Pages, back, is_htmx, live, own_path, page
from domain.campaigns import ASKED, Campaign, CampaignStatus
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.fans import FanId, parse_recipient, recipient_id
from domain.messages import State
from domain.notices import explain_limits
from domain.repositories import Once
from domain.segments import FanFilter
from domain.users import Permission

campaigns = Pages("campaigns")

PATH = "/messages/bulk"
# Of a list at once; of fans who are left out or found; of texts as each fan gets them.
LISTED, NAMED, TEXTS = 20, 50, 10
TOLD = {
    CampaignStatus.PAUSED: "Paused. Nothing more begins",
    CampaignStatus.ACTIVE: "Resumed. The next message goes at its account's next free slot",
    CampaignStatus.CANCELLED: "Cancelled. What waited is not sent",
}


# The list


@campaigns.get(PATH)
def show() -> Response:
    asked = request.args.get("status", "")
    status = CampaignStatus(asked) if asked in list(CampaignStatus) else None
    cursor = request.args.get("cursor")
    found = services().campaigns.page(caller(), LISTED, cursor, status)
    values = {"found": found, "status": status, "statuses": list(CampaignStatus)[1:]}
    template = "rows.html" if is_htmx() and cursor else "list.html"
    return page(f"campaigns/{template}", **values)


@campaigns.get(f"{PATH}/<uuid:campaign_id>/row")
def row(campaign_id: UUID) -> Response:
    """What changes by itself of one in the list."""
    return live("campaigns/row.html", one=services().campaigns.get(caller(), campaign_id))


# A new one


@campaigns.get(f"{PATH}/new")
def compose() -> Response:
    caller().require(Permission.SEND)
    return _form(forms.blank(str(uuid4())))


@campaigns.post(f"{PATH}/new")
def step() -> Response:
    """One step of the form; whatever was typed stays until the campaign is started."""
    caller().require(Permission.SEND)
    typed, wanted = forms.typed(), request.form.get("step", "look")
    try:
        if wanted == "test":
            return _test(typed)
        if wanted == "confirm":
            return _confirm(typed)
        if wanted == "start":
            return _start(typed)
        if wanted == "look":
            return _form(typed, look=forms.look(typed, forms.size_of(typed.values)))
    except (Invalid, NotFound, Conflict) as refusal:
        return _form(forms.mended(typed, refusal), 422)
    return _form(typed)


@campaigns.post(f"{PATH}/new/look")
def look() -> Response:
    """Whom it reaches as it is typed now, and when it ends."""
    caller().require(Permission.SEND)
    typed = forms.typed()
    try:
        found = forms.look(typed, forms.size_of(typed.values))
    except (Invalid, NotFound) as refusal:
        return page("campaigns/plan.html", look=None, why=forms.mended(typed, refusal))
    return page("campaigns/plan.html", **_looked(found))


@campaigns.post(f"{PATH}/new/fans")
def pick() -> Response:
    """The fans that a search finds, beside those that are picked."""
    caller().require(Permission.SEND)
    typed = forms.typed()
    return page("campaigns/picker.html", form=typed, **_picker(typed))


def _form(typed: Form, code: int = 200, look: forms.Look | None = None, **more: Any) -> Response:
    values: dict[str, Any] = {
        "form": typed,
        "segments": services().segments.list_segments(caller()),
        "tags": services().fans.tag_counts(caller()),
        "account_options": [
            ("", "Any account"),
            *(
                (one.connection.id, one.connection.name)
                for one in services().monitoring.limiter(caller(), now())
            ),
        ],
        "look": None,
        "why": None,
        **_picker(typed),
        **more,
    }
    return page("campaigns/new.html", code, **(values | (_looked(look) if look else {})))


def _picker(typed: Form) -> dict[str, Any]:
    named = [*typed.values["fan"], *typed.values["notFan"]]
    ids = list(dict.fromkeys(filter(None, map(_fan_id, named))))[:200]
    picked = [one for one in map(_fan, ids) if one]
    q, found = typed.values["q"], None
    if q:
        try:
            found = services().fans.list_fans(caller(), 10, None, sought=FanFilter(q=q))
        except Invalid:
            found = None
    known = {one.id for one in picked}
    return {
        "picked": picked,
        "matches": [one for one in found.items if one.id not in known] if found else [],
        "searched": bool(q),
        "id_of": recipient_id,
    }


def _looked(found: forms.Look) -> dict[str, Any]:
    plan = found.plan
    excluded = [*((one, why.value) for one, why in plan.excluded), *found.left_out]
    texts = [one for one in plan.recipients[:TEXTS] if one.fan_id > 0]
    shown = excluded[:NAMED]
    return {
        "look": found,
        "why": None,
        "count": len(plan.recipients),
        "ends": plan.promised_at,
        "is_imagined": bool(plan.recipients) and plan.recipients[0].fan_id < 0,
        "interval": max(plan.intervals.values(), default=timedelta()),
        "excluded": shown,
        "excluded_count": len(excluded),
        "texts": texts,
        "fans": _names([*(one for one, _ in shown), *(one.fan_id for one in texts)]),
        "is_later": found.terms.starts_at > now(),
    }


def _test(typed: Form) -> Response:
    key = request.form.get("testKey", "")[:64]
    draft = forms.draft_of(typed.values)
    given = Once(key, f"POST {PATH}/test", forms.once(typed).fingerprint) if key else None
    services().campaigns.send_test(caller(), draft, None, now(), given)
    told = "The test is on its way to your test fan. Nothing of the campaign has started."
    return _form(typed, told=told)


def _confirm(typed: Form) -> Response:
    forms.failure_of(typed.values)
    if not typed.values["name"]:
        typed = Form(typed.values, {"name": "give it a name: your fans do not see it"})
        return _form(typed, 422)
    found = forms.look(typed)
    return page("campaigns/confirm.html", form=typed, lists=forms.LISTS, **_looked(found))


def _start(typed: Form) -> Response:
    failure, moment, given = forms.failure_of(typed.values), now(), forms.once(typed)
    found = forms.look(typed, moment=moment)
    seen = request.form.get("seen", "")
    if seen != str(len(found.plan.recipients)):
        text = f"The audience changed meanwhile: it was {seen or 'not counted'}. Look again."
        values = _looked(found) | {"changed": text}
        return page("campaigns/confirm.html", 409, form=typed, lists=forms.LISTS, **values)
    result = services().campaigns.launch(
        caller(), typed.values["name"], found.terms, moment, given, failure_percent=failure
    )
    one = result.campaign
    told = "Scheduled." if one.scheduled_at else f"Started: {one.total} messages wait their turn."
    return back(f"{PATH}/{one.public_id}", told)


# One of them


@campaigns.get(f"{PATH}/<uuid:campaign_id>")
def read(campaign_id: UUID) -> Response:
    asked, cursor = request.args.get("state", ""), request.args.get("cursor")
    state = State(asked) if asked in list(State) else None
    who = caller()
    found = services().campaigns.recipients(who, campaign_id, LISTED, cursor, state)
    values = {"found": found, "state": state, "id_of": recipient_id, "campaign_id": campaign_id}
    if is_htmx() and cursor:
        return page("campaigns/recipients.html", **values)
    return page("campaigns/page.html", **(_one(campaign_id) | values), states=list(State))


@campaigns.get(f"{PATH}/<uuid:campaign_id>/live")
def part(campaign_id: UUID) -> Response:
    """What changes by itself."""
    return live("campaigns/live.html", **_one(campaign_id))


@campaigns.post(f"{PATH}/<uuid:campaign_id>/status")
def change(campaign_id: UUID) -> Response:
    asked = request.form.get("status", "")
    path = own_path(request.form.get("next"), f"{PATH}/{campaign_id}")
    if asked not in list(ASKED):
        raise Invalid(FieldProblem("status", "use paused, active or cancelled"))
    status = CampaignStatus(asked)
    try:
        result = services().campaigns.set_status(caller(), campaign_id, status)
    except Conflict as refusal:
        return back(path, Flash(f"Nothing was changed: {refusal.message}.", "bad"))
    told = TOLD[status]
    if result.in_flight and status is not CampaignStatus.ACTIVE:
        told += f"; {result.in_flight} had begun and arrive still"
    return back(path, f"{told}.")


@campaigns.post(f"{PATH}/<uuid:campaign_id>/retry")
def retry(campaign_id: UUID) -> Response:
    path, key = f"{PATH}/{campaign_id}", request.form.get("key", "")[:64]
    try:
        services().campaigns.retry(
            caller(), campaign_id, Once(key, f"POST {path}/retry", key) if key else None
        )
    except Conflict as refusal:
        return back(path, Flash(f"Nothing was changed: {refusal.message}.", "bad"))
    return back(path, "What failed waits its turn again.")


def _one(campaign_id: UUID) -> dict[str, Any]:
    report = services().campaigns.report(caller(), campaign_id)
    holds = [(one, wait) for one in report.holds if (wait := explain_limits(one))]
    return {
        "one": report.campaign,
        "report": report,
        "holds": holds,
        "excluded": _excluded(report.campaign),
        "retry_key": f"retry-{report.campaign.version}",
    }


def _excluded(campaign: Campaign) -> list[tuple[str, str]]:
    listed = campaign.audience.get("excluded", ())[:NAMED]
    fans = _names(parse_recipient(one["recipientId"]) for one in listed)
    return [(fans[parse_recipient(one["recipientId"])], one["reason"]) for one in listed]


def _fan_id(text: str) -> FanId | None:
    try:
        return parse_recipient(text)
    except Invalid:
        return None


def _fan(fan_id: FanId) -> Any:
    try:
        return services().fans.get(caller(), fan_id)
    except NotFound:
        return None


def _names(ids: Iterable[FanId]) -> Mapping[FanId, str]:
    """By name; whoever is gone keeps a number."""
    return {one: getattr(_fan(one), "name", recipient_id(one)) for one in dict.fromkeys(ids)}
