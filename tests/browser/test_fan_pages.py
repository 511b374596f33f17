"""Fans as a person keeps them: found, changed, tagged, made one, parted, deleted and restored."""

import re
from uuid import uuid4

import pytest
from browsing import Browsing
from playwright.sync_api import expect


def add(browsing: Browsing, name: str, **more: str) -> str:
    """A fan that was added by hand; returns its number."""
    page = browsing.go("/fans/new")
    for field, text in {"name": name, "handle": f"f{uuid4().hex[:12]}", **more}.items():
        page.fill(f"main [name={field}]", text)
    page.get_by_role("button", name="Add").click()
    expect(page).to_have_url(re.compile(r"/fans/\d+$"))
    return page.url.rsplit("/", 1)[1]


def test_a_fan_is_found_narrowed_opened_and_changed(browsing: Browsing) -> None:
    add(browsing, "Zoë Findable", tags="rare", value="321.50")
    page = browsing.go("/fans")
    page.get_by_role("link", name="Fans").first.click()
    page.keyboard.press("/")
    page.locator("[data-search]").fill("findable")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=findable"))
    expect(page.locator("tbody[data-list] tr")).to_have_count(1)
    page.get_by_text("More filters").click()
    page.fill("[name=min]", "400")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No fan matches")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Zoë Findable").click()
    expect(page.locator("main")).to_contain_text("$321.50")
    expect(page.locator("main")).to_contain_text("no connected account knows the handle")

    page.get_by_role("link", name="Edit").click()
    page.fill("[name=notes]", "Likes trains <b>and</b> boats")
    page.get_by_role("button", name="Save").click()

    expect(page.locator(".flash.good")).to_have_text("Saved.")
    expect(page.locator("main")).to_contain_text("Likes trains <b>and</b> boats")
    expect(page.locator("section[aria-labelledby=history]")).to_contain_text("demo@huntaze.example")


def test_chosen_fans_are_tagged_and_kept_as_a_segment(browsing: Browsing) -> None:
    for number in range(2):
        add(browsing, f"Tagged {number}", notes="x")
    page = browsing.go("/fans?q=Tagged")
    page.get_by_text("Tag fans").click()
    page.get_by_role("button", name="Change tags").click()
    expect(page.locator(".flash.bad")).to_contain_text("choose fans first")
    for number in range(2):
        page.get_by_label(f"Choose Tagged {number}").check()
    page.get_by_text("Tag fans").click()
    page.fill("#bulk-add", "together")
    page.get_by_role("button", name="Change tags").click()
    expect(page.locator(".flash.good")).to_have_text("2 of 2 fans changed.")

    page.locator("main [name=tag]").select_option("together")
    expect(page).to_have_url(re.compile("tag=together"))
    page.get_by_text("Save as a segment").click()
    page.fill("#segment-name", "The two")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".tabs [aria-current]")).to_contain_text("The two 2")
    browsing.axe(page.url)
    page.get_by_role("button", name="Delete this segment").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".tabs", has_text="The two")).to_have_count(0)


def test_two_fans_are_made_one_and_parted(browsing: Browsing) -> None:
    kept, other = add(browsing, "Kept One"), add(browsing, "Other One", notes="from the other")
    page = browsing.go(f"/fans/{kept}")
    page.get_by_role("button", name="Merge another fan into this one").click()
    page.fill("#other", other)
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.locator("main")).to_contain_text("from the other")
    expect(page.locator("main")).to_contain_text("Other One (fan")

    page.get_by_role("button", name="Part them again").click()

    expect(page.locator(".flash.good")).to_contain_text("They are two fans again")
    browsing.go(f"/fans/{other}")
    expect(page.get_by_role("heading", name="Other One")).to_be_visible()


def test_a_fan_is_deleted_restored_and_erased(browsing: Browsing) -> None:
    fan = add(browsing, "Going Away")
    page = browsing.go(f"/fans/{fan}")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("0 waiting messages")
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("main")).to_contain_text("This fan is deleted")
    browsing.axe(page.url)
    browsing.go("/fans?q=Going+Away&deleted=yes")
    page.get_by_role("button", name="Restore Going Away").click()
    expect(page.get_by_role("link", name="Edit")).to_be_visible()

    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be undone")
    page.get_by_role("dialog").get_by_role("button", name="Erase for good").click()

    expect(page.locator(".flash.good")).to_have_text("Erased for good.")
    expect(page).to_have_url(re.compile("/fans$"))


def test_scrolling_brings_more_fans(browsing: Browsing) -> None:
    page = browsing.go("/fans?sort=name")
    items = page.locator("a[data-item]")
    expect(items).to_have_count(50)
    page.locator("tr.sentinel").scroll_into_view_if_needed()
    expect(items).not_to_have_count(50)
    with page.expect_download() as file:
        page.get_by_role("link", name="Export").click()
    assert file.value.suggested_filename == "fans.csv"


PATHS = ("/fans", "/fans?min=1&deleted=yes", "/fans?min=lots", "/fans/1", "/fans/1/edit")


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_kept_out_of_fans(browsing: Browsing, path: str) -> None:
    browsing.axe(path)


def test_fans_fit_on_a_phone(phone: Browsing) -> None:
    for path in PATHS:
        phone.axe(path)
        phone.fits()
    page = phone.go("/fans")
    first = page.locator("a[data-item]").first
    width = first.evaluate("one => one.closest('td').clientWidth")
    assert width > 120, "a name is squeezed into a few letters a line"
