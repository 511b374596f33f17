"""Addresses and forms as nobody should send them: every page answers, and none with a fault."""

from datetime import datetime, timedelta

import pytest

from tests.crm import Crm
from tests.importing import work_off
from tests.integration.crm.test_pages_connect import send

BAD = (
    *("x", "-1", "0", "%C2%B2", "%00", "a%00b", "%ED%A0%80", "99999999999999999999", "9" * 18),
    *("2026-02-30", "0001-01-01", "9999-12-31", "1e999999", "nan", "inf", "", "a" * 600, "WzFd"),
    *("..%2F..", "%25", "%5C", "%E2%80%AE"),
)
TALK, IMPORT, CAMPAIGN = (
    "/messages/onlyfans/{talk}",
    "/platforms/connect/onlyfans/imports/{import_id}",
    "/messages/bulk/{campaign}",
)
PAGES: dict[str, tuple[str, ...]] = {
    "/messages/onlyfans": ("rows", "here", "q", "platform", "from", "to", "spent", "tag", "view"),
    "/messages/onlyfans/list": ("rows", "here", "seen", "view", "q", "from", "after", "until"),
    TALK: ("around", "snippet", "rows"),
    f"{TALK}/newest": ("anchor", "seen"),
    f"{TALK}/older": ("cursor", "anchor"),
    f"{TALK}/snippets": ("snippet_q",),
    "/fans": ("q", "tag", "tier", "linked", "min", "after", "before", "sort", "segment", "cursor"),
    "/fans/{fan}": ("changes",),
    "/fans/duplicates": ("cursor",),
    "/messages/bulk": ("status", "cursor"),
    "/messages/bulk/new": ("name", "fan", "notFan", "segment", "tag"),
    CAMPAIGN: ("state", "cursor"),
    f"{CAMPAIGN}/live": ("seen",),
    "/platforms/connect/onlyfans/return": ("state", "account_id", "error"),
    IMPORT: ("show", "cursor"),
    f"{IMPORT}/part": ("seen", "show", "cursor"),
    "/platforms/onlyfans/analytics": ("from", "to", "platform", "connectionId", "tag", "basis"),
    "/monitoring/dead-letters": ("seen", "cursor"),
    "/notifications": ("cursor", "show"),
    "/needs-you": ("state", "cursor"),
    "/settings/snippets": ("cursor", "q", "category"),
    "/settings/audit": ("cursor",),
    "/login": ("next",),
}
ANSWERS = {200, 204, 303, 403, 404, 422}


@pytest.fixture
def world(crm: Crm) -> dict[str, object]:
    """One of each thing that has a page."""
    crm.quota.unavailable = True
    fan = crm.fan("Jane", value_cents=12_345)
    crm.post("/api/onlyfans/messages/send", {"recipientId": f"fan_{fan}", "content": "Hi"})
    body = {"recipientIds": [f"fan_{fan}"], "content": "Hi", "campaignName": "Sale"}
    campaign = crm.post("/api/messages/bulk", body).json["campaignId"]
    made = send(crm, b"Username,Email\nann,ann@example.com\nx y z,no\n")
    import_id = made.headers["Location"].rsplit("/", 1)[1]
    work_off(crm)
    talk = crm.sql("SELECT id FROM conversations")[0].id
    return {"fan": fan, "talk": talk, "campaign": campaign, "import_id": import_id}


def test_no_address_is_a_fault(crm: Crm, world: dict[str, object]) -> None:
    wrong = [
        (answer.status_code, path, name, bad)
        for path, names in PAGES.items()
        for name in names
        for bad in BAD
        if (answer := crm.get(f"{path.format(**world)}?{name}={bad}")).status_code not in ANSWERS
    ]
    assert wrong == []


def test_no_form_is_a_fault(crm: Crm, world: dict[str, object]) -> None:
    fan, talk = world["fan"], world["talk"]
    message = {"text": "Hi", "price": "", "media": "", "snippet": "", "anchor": "", "key": "k"}
    forms = {
        f"/messages/onlyfans/{talk}/send": message,
        f"/messages/onlyfans/{talk}/compose": message,
        "/fans/new": {
            "name": "A",
            "handle": "h",
            "email": "",
            "tags": "",
            "value": "",
            "notes": "",
        },
        f"/fans/{fan}/merge": {"other": "99"},
        "/messages/bulk/new": {"step": "confirm", "name": "n", "content": "x", "price": ""},
        "/monitoring/redrive": {"id": "x"},
        "/settings/snippets/new": {"title": "t", "shortcut": "z", "category": "", "text": "t"},
        "/settings/words": {"words": "a"},
        "/login": {"email": "a", "password": "b", "next": "/"},
    }
    values = ("\0", "a\0b", "²", "1e999999", "-1", "9" * 30, "\u202e", "nan", "2026-02-30")
    wrong = []
    for path, form in forms.items():
        for name in form:
            for value in values:
                answer = crm.call("POST", path, data=form | {name: value})
                if answer.status_code not in ANSWERS | {400, 401, 409}:
                    wrong.append((answer.status_code, path, name, value))
    assert wrong == []


@pytest.mark.parametrize(
    ("typed", "cents"),
    [("12,50", 1250), ("12.5", 1250), ("$1,250.00", 125_000), ("1,250", 125_000), ("7", 700)],
)
def test_an_amount_is_read_as_people_write_it(crm: Crm, typed: str, cents: int) -> None:
    form = {"name": "A", "handle": "amount", "email": "", "tags": "", "notes": "", "value": typed}
    assert crm.call("POST", "/fans/new", data=form).status_code == 303
    assert crm.sql("SELECT value_cents FROM fans WHERE name = 'A'")[0].value_cents == cents


def test_the_end_that_is_confirmed_is_not_the_what_if(crm: Crm) -> None:
    fans = [f"fan_{crm.fan(f'F{number}')}" for number in range(3)]
    form = {"step": "confirm", "name": "n", "content": "x", "zone": "UTC", "fan": fans}
    plain = crm.call("POST", "/messages/bulk/new", data=form).text
    what_if = crm.call("POST", "/messages/bulk/new", data=form | {"rate": "0.01"}).text
    ends = [
        datetime.fromisoformat(text.split('ends at <b><time datetime="')[1].split('"')[0])
        for text in (plain, what_if)
    ]
    assert abs(ends[0] - ends[1]) < timedelta(minutes=1)
