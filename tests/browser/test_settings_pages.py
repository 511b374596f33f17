"""Settings as a person changes them, and what of it holds afterwards."""

import re
from uuid import uuid4

import pytest
from browsing import Browsing
from playwright.sync_api import Browser, expect
from system import System

PATHS = (
    "/settings",
    "/settings/snippets",
    "/settings/snippets/new",
    "/settings/words",
    "/settings/accounts",
    "/settings/accounts/1",
    "/settings/team",
    "/settings/keys",
    "/settings/audit",
)
PASSWORD = "a first long password"


def test_a_snippet_is_added_changed_and_deleted(browsing: Browsing) -> None:
    name = f"s{uuid4().hex[:8]}"
    page = browsing.go("/settings/snippets")
    page.get_by_role("link", name="Add a snippet").click()
    page.fill("[name=title]", f"Title {name}")
    page.fill("[name=shortcut]", "Not One")
    page.fill("main [name=text]", "Hey {name|love}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#field-shortcut-problem")).to_contain_text("a-z")
    expect(page.locator("main [name=text]")).to_have_value("Hey {name|love}")
    page.fill("[name=shortcut]", name)
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has_text=f"/{name}")
    expect(row).to_contain_text("Hey {name|love}")
    browsing.axe("/settings/snippets")

    row.get_by_role("link", name="Edit").click()
    page.fill("main [name=text]", "Good evening")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Good evening")
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(page.locator(".flash.good")).to_contain_text("Deleted")
    expect(row).to_have_count(0)


def test_a_key_is_shown_once_works_and_is_revoked(browsing: Browsing, system: System) -> None:
    page = browsing.go("/settings/keys")
    page.fill("main [name=name]", "Our shop")
    page.get_by_role("button", name="Make key").click()
    secret = page.locator("pre").inner_text()
    assert system.api("GET", "/api/crm/fans?limit=1", token=secret).status_code == 200
    browsing.go("/settings/keys")
    expect(page.locator("main")).to_contain_text("Our shop")
    expect(page.locator("main")).not_to_contain_text(secret)

    page.locator("li", has_text="Our shop").get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(page.locator(".flash.good")).to_contain_text("Revoked")
    expect(page.locator("main")).not_to_contain_text("Our shop")


def test_a_member_joins_and_changes_the_password(
    browsing: Browsing, chromium: Browser, system: System
) -> None:
    email = f"{uuid4().hex[:8]}@example.com"
    page = browsing.go("/settings/team")
    page.fill("#field-email", email)
    page.fill("#field-password", "short")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#field-password-problem")).to_be_visible()
    expect(page.locator("#field-email")).to_have_value(email)
    page.fill("#field-password", PASSWORD)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("li", has_text=email)).to_contain_text("chatter")
    browsing.axe("/settings/team")
    member = page.locator("li", has_text=email)
    member.get_by_text("Change").first.click()
    member.get_by_label("Role").select_option("manager")
    member.get_by_role("button", name="Save").click()
    expect(page.locator("li", has_text=email)).to_contain_text("manager")

    theirs = Browsing(system, chromium)
    theirs.sign_in(email, PASSWORD)
    page = theirs.go("/settings")
    expect(page.get_by_role("link", name="Team")).to_have_count(0)
    page.fill("[name=current]", PASSWORD)
    page.fill("[name=new]", "another long password")
    page.fill("[name=again]", "another long passwort")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("#field-again-problem")).to_be_visible()
    page.fill("[name=current]", PASSWORD)
    page.fill("[name=new]", "another long password")
    page.fill("[name=again]", "another long password")
    page.get_by_role("button", name="Change password").click()
    expect(page).to_have_url(re.compile("/login$"))
    theirs.sign_in(email, "another long password")
    theirs.close()
    assert theirs.complaints == []


def test_limits_of_an_account_are_changed(browsing: Browsing) -> None:
    page = browsing.go("/settings/accounts")
    page.get_by_role("link", name="Change").first.click()
    page.fill("[name=per_day]", "0")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#field-per_day-problem")).to_contain_text("use 1 to 20000")
    page.fill("[name=per_day]", "900")
    page.fill("[name=opens]", "09:00")
    page.fill("[name=closes]", "23:00")
    page.check("[name=warm_up]")
    page.get_by_role("button", name="Save").click()

    first = page.locator("main section").first
    expect(first).to_contain_text("at most 900 a day")
    expect(first).to_contain_text("from 09:00 to 23:00")
    expect(first).to_contain_text("Warm-up since")
    page.get_by_role("link", name="Change").first.click()
    for name in ("per_day", "opens", "closes"):
        page.fill(f"[name={name}]", "")
    page.uncheck("[name=warm_up]")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main section").first).not_to_contain_text("a day")


def test_colours_are_chosen(browsing: Browsing) -> None:
    page = browsing.go("/settings")
    main = page.get_by_role("main")
    main.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    main.get_by_role("button", name="As the system").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_kept_out_of_settings(browsing: Browsing, path: str) -> None:
    browsing.axe(path)


def test_settings_fit_on_a_phone(phone: Browsing) -> None:
    for path in PATHS:
        phone.axe(path)
        phone.fits()
