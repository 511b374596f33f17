"""Accounts and imports as a person sees them: a file chosen or dropped, checked, imported, mended and
taken back; an account connected at the gateway's own page."""

import base64
import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Browsing
from playwright.sync_api import Page, expect

PATH = "/platforms/connect/onlyfans"
HEADER = "Username,Email,Total Spent\n"


def a_file(name: str, good: int, bad: int) -> bytes:
    """A CSV file whose fans are here for the first time."""
    lines = [f"{name}_{number},{name}{number}@example.com,{number}.50" for number in range(good)]
    lines += [f"{name}_bad{number},no address," for number in range(bad)]
    return (HEADER + "\n".join(lines) + "\n").encode()


def choose(page: Page, name: str, content: bytes) -> None:
    page.set_input_files(
        "[name=file]", {"name": f"{name}.csv", "mimeType": "text/csv", "buffer": content}
    )


def drop(page: Page, name: str, content: bytes) -> None:
    """What a browser does when a file is let go over the field."""
    page.evaluate(
        """([name, text]) => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          data.items.add(new File([bytes], name, { type: "text/csv" }));
          const place = document.querySelector("[data-drop]");
          for (const kind of ["dragenter", "dragover", "drop"]) {
            place.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
          }
        }""",
        [f"{name}.csv", base64.b64encode(content).decode()],
    )


def check(page: Page) -> None:
    page.get_by_role("button", name="Check the file").click()
    page.wait_for_url(re.compile(rf"{PATH}/imports/\d+$"))


@pytest.mark.parametrize("bring", [choose, drop])
def test_a_file_is_imported_and_taken_back(
    browsing: Browsing, tmp_path: Path, bring: Callable[[Page, str, bytes], None]
) -> None:
    name = bring.__name__
    page = browsing.go(PATH)
    bring(page, name, a_file(name, 20, 60))
    expect(page.locator(".drop.over")).to_have_count(0)
    check(page)
    summary = page.locator("#sum")
    expect(page.get_by_text("Checked: nothing is imported yet.")).to_be_visible()
    expect(summary).to_contain_text("80 lines = 20 created + 0 updated + 0 skipped + 60 failed")
    page.get_by_role("link", name=re.compile("New fans")).click()
    expect(page.locator("tbody").first).to_contain_text(f"{name}_0")
    page.get_by_role("link", name=re.compile("Errors only")).click()
    expect(page.get_by_role("cell", name="Invalid email format")).to_have_count(50)
    page.locator("tr.sentinel").scroll_into_view_if_needed()
    expect(page.get_by_role("cell", name="Invalid email format")).to_have_count(60)
    page.get_by_role("button", name="Import 20 of 80 lines").click()
    expect(page.get_by_text("Imported. 60 lines were not")).to_be_visible()
    expect(summary).to_contain_text("20 created + 0 updated + 0 skipped + 60 failed")
    assert browsing.violations() == []

    with page.expect_download() as coming:
        page.get_by_role("link", name="Download the failed lines").click()
    coming.value.save_as(tmp_path / "failed.csv")
    with (tmp_path / "failed.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert rows[0]["Username"] == f"{name}_bad0"
    assert "Invalid email format" in rows[0]["Reason"]

    page.get_by_role("button", name="Undo this import").click()
    expect(page.get_by_role("dialog")).to_contain_text("20 fans that it created")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("Taken back: 20 fans put back")).to_be_visible()


def test_columns_are_named(browsing: Browsing) -> None:
    page = browsing.go(PATH)
    choose(page, "unclear", a_file("unclear", 3, 0).replace(b"Username", b"Whom"))
    check(page)
    expect(page.get_by_role("alert")).to_contain_text("No column is Username")
    assert browsing.violations() == []
    page.get_by_label("Username").select_option("Whom")
    page.get_by_label("Tags for every fan").fill("summer")
    page.get_by_role("button", name="Check again").click()
    expect(page.locator("#sum")).to_contain_text("3 lines = 3 created")
    expect(page.get_by_label("Username")).to_have_value("Whom")


def test_an_account_is_connected_at_the_gateway(browsing: Browsing) -> None:
    page = browsing.go(PATH)
    page.get_by_role("link", name="Connect at the gateway").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("No account was connected at the gateway.")).to_be_visible()
    page.get_by_role("link", name="Connect at the gateway").click()
    page.fill("[name=account_id]", "acct_vera")
    page.get_by_role("button", name="Log in and connect").click()
    expect(page.get_by_text("Vera is connected.")).to_be_visible()
    account = page.locator(".account", has_text="Vera")
    expect(account).to_contain_text("sends")
    account.get_by_role("button", name="Disconnect").click()
    account.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    expect(page.locator(".account", has_text="Vera")).to_contain_text("disconnected")


def test_nobody_is_kept_out_of_imports(browsing: Browsing) -> None:
    browsing.axe(PATH)


def test_imports_fit_on_a_phone(phone: Browsing) -> None:
    page = phone.go(PATH)
    phone.fits()
    choose(page, "phone", a_file("phone", 2, 2))
    check(page)
    expect(page.locator("#columns")).to_be_visible()
    phone.fits()
