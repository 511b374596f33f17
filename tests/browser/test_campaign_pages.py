"""A campaign as a person runs it: composed, looked at, started, paused, resumed and cancelled."""

import re
from datetime import UTC, datetime, timedelta

from browsing import SCHEMES, Browsing
from playwright.sync_api import Browser, Page, expect
from system import System

PATH = "/messages/bulk"
FANS = 6


def compose(browsing: Browsing, name: str) -> Page:
    """A form that is filled in, with some fans that a search finds. It sends in two hours, so that
    it can be paused and cancelled until then."""
    page = browsing.go(f"{PATH}/new")
    page.fill("[name=name]", name)
    page.fill("[name=content]", "Hey {name|love}, look at this")
    found = page.locator("#picker [name=fan]")
    page.locator("[name=q]").press_sequentially("lou")
    expect(found.nth(FANS)).to_be_visible()
    for number in range(FANS):
        found.nth(number).check()
    for field, hours in (("opens", 2), ("closes", 3)):
        page.fill(f"[name={field}]", f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}")
    return page


def started(browsing: Browsing, name: str) -> Page:
    """On its page, a moment after its start."""
    page = compose(browsing, name)
    page.click("button[value=confirm]")
    page.click("button[value=start]")
    expect(page).to_have_url(re.compile(rf"{PATH}/[0-9a-f-]{{36}}$"))
    return page


def is_fair(browsing: Browsing) -> None:
    """What is in view can be used by everybody, in light and in dark."""
    for scheme in SCHEMES:
        browsing.theme(scheme)
        assert browsing.violations() == []


def test_a_campaign_is_run(browsing: Browsing) -> None:
    page = compose(browsing, "By hand")
    expect(page.locator("#plan .plan-count")).to_contain_text(f"{FANS} fans get it")
    expect(page.locator("#plan .bubble").first).to_contain_text("Hey ")
    is_fair(browsing)
    page.click("button[value=confirm]")
    expect(page.get_by_role("heading", name="Start this campaign?")).to_be_visible()
    is_fair(browsing)
    page.click("button[value=edit]")
    expect(page.locator("[name=name]")).to_have_value("By hand")
    expect(page.locator("#picker [name=fan]:checked")).to_have_count(FANS)
    page.click("button[value=confirm]")
    page.dblclick("button[value=start]")
    expect(page).to_have_url(re.compile(rf"{PATH}/[0-9a-f-]{{36}}$"))
    path, state = page.url, page.locator("#campaign-live .badge").first
    page.click("button[value=paused]")
    expect(state).to_have_text("paused")
    is_fair(browsing)
    page.click("button[value=active]")
    expect(page.locator("#campaign-live button[value=paused]")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("waiting message")
    is_fair(browsing)
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel campaign").click()
    expect(state).to_have_text("cancelled")
    assert page.url == path
    browsing.go(PATH)
    expect(page.get_by_role("link", name="By hand")).to_have_count(1)


def test_nobody_is_kept_out_of_campaigns(browsing: Browsing) -> None:
    for path in (PATH, f"{PATH}/new", f"{PATH}?status=failed"):
        browsing.axe(path)


def test_campaigns_fit_on_a_phone(phone: Browsing) -> None:
    page = started(phone, "On a phone")
    phone.fits()
    page.get_by_role("button", name="Cancel", exact=True).click()
    phone.fits()
    for path in (PATH, f"{PATH}/new"):
        phone.go(path)
        phone.fits()


def test_a_campaign_is_cancelled_without_scripts(
    browsing: Browsing, chromium: Browser, system: System
) -> None:
    path = started(browsing, "Without scripts").url
    bare = Browsing(system, chromium, scripts=False)
    bare.carry_on()
    page = bare.go(path)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("waiting message")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel campaign").click()
    expect(page.locator("#campaign-live .badge").first).to_have_text("cancelled")
    bare.close()
