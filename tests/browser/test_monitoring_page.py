"""What goes wrong reaches a person, who mends it with one click."""

import re

import pytest
from browsing import Browsing
from playwright.sync_api import expect
from system import System


@pytest.fixture
def failed(system: System) -> str:
    """A message that the platform refused once: sent again, it is taken."""
    account = system.account()
    system.fault("refuse_422", account, times=1)
    message = system.send(account.fans[0], "Good evening")
    system.until(message, "failed")
    return message


def test_a_failure_has_a_badge_and_retry_mends_it(
    browsing: Browsing, system: System, failed: str
) -> None:
    page = browsing.go("/")
    expect(page.locator("#bell-count")).to_contain_text("not seen")
    page.click(".bell")
    notice = page.locator(".notice").first
    expect(notice).to_contain_text("Message failed to send")

    notice.get_by_role("button", name="Retry").click()

    expect(page.locator(".flash.good")).to_contain_text("Queued again")
    system.until(failed, "sent")
    page.goto("/notifications?show=all")
    expect(page.locator(".notice").first).to_contain_text("Resolved")


def test_a_dead_letter_is_redriven_by_a_click(
    browsing: Browsing, system: System, failed: str
) -> None:
    system.sql(
        "UPDATE messages SET dead_lettered_at = now(), dead_letter_reason = 'OperationalError'"
        " WHERE public_id = %s RETURNING id",
        failed,
    )
    page = browsing.go("/monitoring")
    expect(page.locator("#dead-letters")).to_contain_text("OperationalError")

    page.locator("#dead-letters tbody").get_by_role("button", name="Redrive").first.click()

    expect(page.locator(".flash.good").first).to_contain_text(re.compile("1 redriven"))
    system.until(failed, "sent")


@pytest.mark.parametrize("path", ["/", "/needs-you", "/monitoring", "/notifications"])
def test_nobody_is_kept_out(
    browsing: Browsing, phone: Browsing, system: System, failed: str, path: str
) -> None:
    system.sql(
        "UPDATE messages SET dead_lettered_at = now(), dead_letter_reason = 'OperationalError'"
        " WHERE public_id = %s RETURNING id",
        failed,
    )
    browsing.axe(path)
    phone.axe(path)
    phone.fits()


def test_many_failures_are_mended_by_one_click(browsing: Browsing, system: System) -> None:
    account = system.account()
    system.fault("refuse_422", account, times=2)
    messages = [system.send(account.fans[0], text) for text in ("Hello", "How are you?")]
    for one in messages:
        system.until(one, "failed")
    page = browsing.go("/")

    page.get_by_role("button", name="Retry all 2").first.click()

    expect(page.locator(".flash.good").first).to_contain_text("2 queued again")
    for one in messages:
        system.until(one, "sent")
