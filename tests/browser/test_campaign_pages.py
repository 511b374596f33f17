"""A campaign as a person runs it: composed, looked at, started, paused, resumed and cancelled."""

import re

from browsing import Browsing
from playwright.sync_api import Page, expect

PATH = "/messages/bulk"


def compose(browsing: Browsing, name: str, fans: int) -> Page:
    """A form that is filled in, with some fans that a search finds."""
    page = browsing.go(f"{PATH}/new")
    page.fill("[name=name]", name)
    page.fill("[name=content]", "Hey {name|love}, look at this")
    page.locator("[name=q]").press_sequentially("an")
    expect(page.locator("#picker [name=fan]")).not_to_have_count(0)
    for number in range(fans):
        page.locator("#picker [name=fan]").nth(number).check()
    return page


def test_a_campaign_is_run(browsing: Browsing) -> None:
    page = compose(browsing, "By hand", 3)
    expect(page.locator("#plan .plan-count")).to_contain_text(re.compile("gets? it"))
    expect(page.locator("#plan .bubble").first).to_contain_text("Hey ")
    page.click("button[value=confirm]")
    expect(page.get_by_role("heading", name="Start this campaign?")).to_be_visible()
    assert browsing.violations() == []
    page.click("button[value=edit]")
    expect(page.locator("[name=name]")).to_have_value("By hand")
    page.click("button[value=confirm]")
    page.dblclick("button[value=start]")
    expect(page).to_have_url(re.compile(rf"{PATH}/[0-9a-f-]{{36}}$"))
    path = page.url
    page.click("button[value=paused]")
    expect(page.locator("#campaign-live .badge").first).to_have_text("paused")
    assert browsing.violations() == []
    page.click("button[value=active]")
    expect(page.locator("#campaign-live button[value=paused]")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("waiting message")
    page.get_by_role("button", name="Cancel campaign").click()
    expect(page.locator("#campaign-live .badge").first).to_have_text("cancelled")
    assert page.url == path
    browsing.go(PATH)
    expect(page.get_by_role("link", name="By hand")).to_have_count(1)


def test_nobody_is_kept_out_of_campaigns(browsing: Browsing) -> None:
    for path in (PATH, f"{PATH}/new", f"{PATH}?status=failed"):
        browsing.axe(path)


def test_campaigns_fit_on_a_phone(phone: Browsing) -> None:
    for path in (PATH, f"{PATH}/new"):
        phone.go(path)
        phone.fits()
