"""Campaigns: the list, a new one from its first word to its start, and how one goes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import Response, request

from api.auth import caller
from api.context import now, services
from api.pages import campaign_form as forms
from api.pages.routes import (
    Flash,
    Form,
    Pages,
    back,
    form_once,
    is_htmx,
    live,
    own_path,
    page,
)
from api.pages.vault import OFFERED, Mark, offers
from domain.bulk_limits import BulkLimits
from domain.campaigns import ASKED, Campaign, CampaignStatus, Unwritten
from domain.connections import Connection, ConnectionState
from domain.conversations import VaultFile
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.fans import Fan, FanId, parse_recipient, recipient_id
from domain.messages import State
from domain.notices import explain_account, failure
from domain.segments import FanFilter
from domain.users import Permission

campaigns = Pages("campaigns")

PATH = "/messages/bulk"
# Of a list at once; of fans who are left out; of texts as each fan gets them; of fans found.
LISTED, NAMED, TEXTS, FOUND = 20, 50, 5, 10
STATUSES = [one for one in CampaignStatus if one is not CampaignStatus.DRAFT]
STATES: Mapping[str, State | Unwritten] = {one.value: one for one in (*State, *Unwritten)}
TOLD = {
    CampaignStatus.PAUSED: "Paused. Nothing more begins",
    CampaignStatus.ACTIVE: "Resumed. The next message goes at its account's next free slot",
    CampaignStatus.CANCELLED: "Cancelled. What waited is not sent",
}


# The list


@campaigns.get(PATH)
def show() -> Response:
    asked, cursor = request.args.get("status", ""), request.args.get("cursor")
    status = CampaignStatus(asked) if asked in STATUSES else None
    found = services().campaigns.page(caller(), LISTED, cursor, status)
    template = "rows.html" if is_htmx() and cursor else "list.html"
    return page(f"campaigns/{template}", found=found, status=status, statuses=STATUSES)


@campaigns.get(f"{PATH}/<uuid:campaign_id>/row")
def row(campaign_id: UUID) -> Response:
    """What changes by itself of one in the list."""
    return live("campaigns/row.html", one=services().campaigns.get(caller(), campaign_id))


# A new one


@campaigns.get(f"{PATH}/new")
def compose() -> Response:
    caller().require(Permission.SEND)
    return _form(forms.blank())


@campaigns.post(f"{PATH}/new")
def step() -> Response:
    """One step of the form; whatever was typed stays until the campaign is started."""
    caller().require(Permission.SEND)
    typed = forms.typed()
    steps = {"look": _look, "test": _test, "confirm": _confirm, "start": _start}
    try:
        return steps.get(request.form.get("step", "look"), _form)(typed)
    except (Invalid, NotFound, Conflict) as refusal:
        return _form(forms.mended(typed, refusal), 422)


@campaigns.post(f"{PATH}/new/look")
def look() -> Response:
    """Whom it reaches as it is typed now, and when it ends."""
    caller().require(Permission.SEND)
    typed = forms.typed()
    try:
        found = forms.look(typed, forms.size_of(typed.values))
    except (Invalid, NotFound) as refusal:
        return page("campaigns/plan.html", why=forms.mended(typed, refusal))
    return page("campaigns/plan.html", **_looked(found))


@campaigns.post(f"{PATH}/new/fans")
def pick() -> Response:
    """The fans that a search finds, beside those that are picked."""
    caller().require(Permission.SEND)
    typed = forms.typed()
    return page("campaigns/picker.html", form=typed, **_picker(typed))


@campaigns.post(f"{PATH}/new/files")
def files() -> Response:
    """The files of the account that is chosen now, beside those that are ticked."""
    caller().require(Permission.SEND)
    return page("vault.html", **_vault(forms.typed(), _accounts()))


def _form(typed: Form, code: int = 200, **more: Any) -> Response:
    accounts = _accounts()
    values = {
        "form": typed,
        "segments": services().segments.list_segments(caller()),
        "tags": services().fans.tag_counts(caller()),
        "account_options": [("", "Any account"), *((one.id, one.name) for one in accounts)],
    }
    values |= _picker(typed) | _vault(typed, accounts)
    return page("campaigns/new.html", code, **values, **more)


def _vault(typed: Form, accounts: Sequence[Connection]) -> dict[str, Any]:
    """Files to tick: of the account that is chosen, or of the only one there is."""
    ids = [one.id for one in accounts if one.state is not ConnectionState.DISCONNECTED]
    with suppress(Invalid):
        if (chosen := forms.account_of(typed.values)) is not None:
            ids = [chosen]
    found: Sequence[VaultFile] = ()
    if len(ids) == 1:
        found = services().conversations.files_of(caller(), ids[0], OFFERED)
    none_yet = "Choose an account below to pick from its files." if len(ids) > 1 else None
    return {"offers": offers(found, _had_by, typed.values["file"]), "none_yet": none_yet}


def _had_by(file: VaultFile) -> Mark:
    """Whoever had a file gets it once more: said before it is ticked."""
    # Counted over the account's newest messages only.
    sold = f", {file.buyers:,} bought it" if file.buyers else ""
    return f"at least {file.fans:,} {'fan has' if file.fans == 1 else 'fans have'} it{sold}", "wait"


def _picker(typed: Form) -> dict[str, Any]:
    picked = services().fans.known(caller(), forms.picked(typed.values))
    sought = typed.values["q"]
    found: Sequence[Fan] = ()
    if any(letter.isalnum() for letter in sought):
        found = services().fans.list_fans(caller(), FOUND, None, sought=FanFilter(q=sought)).items
    return {
        "picked": list(picked.values()),
        "matches": [one for one in found if one.id not in picked],
        "id_of": recipient_id,
    }


def _looked(found: forms.Look) -> dict[str, Any]:
    plan = found.plan
    left_out = [*((one, why.value) for one, why in plan.excluded), *found.left_out]
    named = left_out[:NAMED]
    texts = [one for one in plan.recipients[:TEXTS] if one.fan_id > 0]
    late = [one.held_until for one in plan.recipients if one.held_until is not None]
    names = _names([*(one for one, _ in named), *(one.fan_id for one in texts)])
    return {
        "look": found,
        "count": len(plan.recipients),
        "ends": plan.promised_at,
        "is_imagined": any(one.fan_id < 0 for one in plan.recipients[:1]),
        "intervals": sorted(plan.intervals.values()),
        "accounts": [
            (one, _limits(one.bulk_limits), explain_account(one))
            for one in _accounts()
            if one.id in plan.intervals
        ],
        "held": (len(late), max(late)) if late else None,
        "left_out": [(names[one], why) for one, why in named],
        "left_out_count": sum(plan.excluded_by.values()) + len(found.left_out),
        "texts": [(names[one.fan_id], one) for one in texts],
        "is_later": found.terms.starts_at > now(),
    }


def _look(typed: Form) -> Response:
    return _form(typed, **_looked(forms.look(typed, forms.size_of(typed.values))))


def _test(typed: Form) -> Response:
    draft = forms.draft_of(typed.values)
    services().campaigns.send_test(caller(), draft, None, now(), form_once())
    told = "The test is on its way to your test fan. Nothing of the campaign has started."
    return _form(typed, told=told)


def _confirm(typed: Form) -> Response:
    forms.failure_of(typed.values)
    if not typed.values["name"]:
        raise Invalid(FieldProblem("name", "give it a name: your fans do not see it"))
    # Without the what-if: that is not what starts.
    real = Form(dict(typed.values) | {"rate": "", "size": ""})
    return _confirmation(typed, forms.look(real))


def _start(typed: Form) -> Response:
    failure_percent, moment = forms.failure_of(typed.values), now()
    found = forms.look(typed, moment=moment)
    seen, count = request.form.get("seen", ""), len(found.plan.recipients)
    if seen != str(count):
        changed = f"The audience changed while you looked: {seen} before, {count} now."
        return _confirmation(typed, found, 409, changed=changed)
    started = services().campaigns.launch(
        caller(),
        typed.values["name"],
        found.terms,
        moment,
        form_once(),
        failure_percent=failure_percent,
    )
    one = started.campaign
    told = "Scheduled." if one.scheduled_at else f"Started: {one.total} messages wait their turn."
    return back(f"{PATH}/{one.public_id}", told)


def _confirmation(typed: Form, found: forms.Look, code: int = 200, **more: Any) -> Response:
    values = {"form": typed, "lists": forms.LISTS}
    return page("campaigns/confirm.html", code, **values, **_looked(found), **more)


def _accounts() -> list[Connection]:
    return [one.connection for one in services().connections.list_paces(caller())]


def _limits(limits: BulkLimits) -> str:
    """What an account allows of campaigns, in words; empty without limits."""
    caps = (
        (limits.per_hour, "an hour"),
        (limits.per_day, "a day"),
        (limits.per_fan, "to one fan in 24 hours"),
    )
    said = [f"{most} {what}" for most, what in caps if most is not None]
    said = [f"at most {', '.join(said)}"] if said else []
    said += [f"from {one.opens:%H:%M} to {one.closes:%H:%M} {one.zone}" for one in limits.hours]
    return "; ".join(said + ["warming up"] * (limits.warm_up_since is not None))


# One of them


@campaigns.get(f"{PATH}/<uuid:campaign_id>")
def read(campaign_id: UUID) -> Response:
    cursor, state = request.args.get("cursor"), STATES.get(request.args.get("state", ""))
    values = {
        "campaign_id": campaign_id,
        "found": services().campaigns.recipients(caller(), campaign_id, LISTED, cursor, state),
        "state": state,
        "failure": failure,
    }
    if is_htmx() and cursor:
        return page("campaigns/recipients.html", **values)
    shown = _one(campaign_id)
    shown |= {"states": STATES, "left_out": _left_out(shown["one"])}
    return page("campaigns/page.html", **values, **shown)


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
    path = f"{PATH}/{campaign_id}"
    try:
        services().campaigns.retry(caller(), campaign_id, form_once())
    except Conflict as refusal:
        return back(path, Flash(f"Nothing was changed: {refusal.message}.", "bad"))
    return back(path, "What failed waits its turn again.")


def _one(campaign_id: UUID) -> dict[str, Any]:
    report = services().campaigns.report(caller(), campaign_id)
    holds = [(one, explain_account(one)) for one in report.holds]
    return {"one": report.campaign, "report": report, "holds": holds}


def _left_out(campaign: Campaign) -> list[tuple[str, str]]:
    listed = campaign.audience.get("excluded", ())[:NAMED]
    ids = [parse_recipient(one["recipientId"]) for one in listed]
    names = _names(ids)
    return [(names[fan_id], one["reason"]) for fan_id, one in zip(ids, listed, strict=True)]


def _names(ids: Iterable[FanId]) -> Mapping[FanId, str]:
    """By name; whoever is not known has a number."""
    asked = list(ids)
    known = services().fans.known(caller(), asked)
    return {one: known[one].name if one in known else recipient_id(one) for one in asked}
