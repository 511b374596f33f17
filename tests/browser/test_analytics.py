"""The page of numbers in a real browser."""

import csv
import io
import re

from browsing import Browsing
from playwright.sync_api import expect

PATH = "/platforms/onlyfans/analytics"


def test_a_filter_holds_for_the_tiles_and_for_their_file(browsing: Browsing) -> None:
    page = browsing.go(PATH)
    page.fill("[name=tag]", "vip")
    page.click("text=Apply")
    expect(page).to_have_url(re.compile(r"tag=vip"))
    page.get_by_role("link", name="Gross").click()
    expect(page).to_have_url(re.compile(r"tag=vip.*basis=gross"))

    with page.expect_download() as begun:
        page.get_by_role("link", name="CSV of Revenue, fans and messages").click()
    text = begun.value.path().read_text("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text))

    shown = page.locator(".tile", has_text="Revenue, gross").locator("dd").first
    expect(shown).to_have_text(f"${int(row['revenueCents']) / 100:,.2f}")
    fans = page.locator(".tile", has_text="Total fans").locator("dd").first
    expect(fans).to_have_text(f"{int(row['totalFans']):,}")


def test_a_year_and_a_table_one_click_away(browsing: Browsing) -> None:
    page = browsing.go(PATH)
    page.get_by_role("link", name="12 months").click()
    expect(page.get_by_role("heading", name="by week")).to_be_visible()
    page.locator("main summary").first.click()
    expect(page.get_by_role("region", name="Revenue as a table")).to_be_visible()


def test_numbers_keep_nobody_out(browsing: Browsing) -> None:
    browsing.axe(PATH)


def test_numbers_fit_a_phone(phone: Browsing) -> None:
    phone.axe(PATH)
    phone.fits()
