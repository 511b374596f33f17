"""A real browser on one running product. Chromium is the system's own: none is downloaded."""

import os
import shutil
from collections.abc import Iterator

import pytest
from browsing import NARROW, Browsing
from playwright.sync_api import Browser, Playwright, sync_playwright
from system import FAST, System

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def open_chromium(playwright: Playwright) -> Browser | None:
    """The system's own browser; None where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        return None
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("browsed"), FAST) as running:
        yield running


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = open_chromium(playwright)
    if browser is None:
        assert not os.environ.get("CI"), f"install one of {', '.join(NAMES)}"
        pytest.skip(f"needs a browser: install one of {', '.join(NAMES)}")
    yield browser
    browser.close()


@pytest.fixture
def browsing(chromium: Browser, system: System) -> Iterator[Browsing]:
    """Somebody who is logged in as the demo's owner; whatever the browser complained of fails the
    test."""
    yield from _signed_in(Browsing(system, chromium))


@pytest.fixture
def phone(chromium: Browser, system: System) -> Iterator[Browsing]:
    """The same on a phone."""
    yield from _signed_in(Browsing(system, chromium, size=NARROW))


def _signed_in(browsing: Browsing) -> Iterator[Browsing]:
    browsing.sign_in()
    yield browsing
    browsing.close()
    assert browsing.complaints == []
