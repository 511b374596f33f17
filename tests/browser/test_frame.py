"""Logging in, the rail, the colours, and whether everybody can use them."""

import re

import pytest
from browsing import Browsing
from playwright.sync_api import Browser, expect
from system import System


def test_a_wrong_password_is_told_and_the_right_one_leads_on(
    chromium: Browser, system: System
) -> None:
    browsing = Browsing(system, chromium)
    page = browsing.go("/styleguide?tab=1")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.fill("[name=email]", "demo@huntaze.example")
    page.fill("[name=password]", "not this one")
    page.click("main button")
    expect(page.get_by_role("alert")).to_contain_text("No account has this email and password")
    expect(page.locator("[name=email]")).to_have_value("demo@huntaze.example")
    page.fill("[name=password]", system.environment["DEMO_PASSWORD"])
    page.click("main button")
    expect(page).to_have_url(re.compile(r"/styleguide\?tab=1$"))
    page.click(".rail-foot >> text=Log out")
    expect(page).to_have_url(re.compile("/login$"))
    browsing.close()
    assert browsing.complaints == []


def test_the_keyboard_reaches_every_place(browsing: Browsing) -> None:
    page = browsing.go("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_chosen_colours_stay(browsing: Browsing) -> None:
    page = browsing.go("/")
    page.click(".rail-foot >> text=Dark colours")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    browsing.go("/styleguide")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("path", ["/", "/styleguide", "/nowhere"])
def test_nobody_is_kept_out(browsing: Browsing, path: str) -> None:
    browsing.axe(path)


def test_a_phone_has_everything_within_reach(phone: Browsing) -> None:
    page = phone.go("/styleguide")
    phone.fits()
    page.click("text=More >> visible=true")
    expect(page.get_by_role("link", name="Settings").locator("visible=true")).to_be_visible()
    phone.axe("/styleguide")
