"""`make screenshots`: pictures of the pages with demo data, in docs/screenshots.

One start of the whole system; every place of the rail and the PAGES below, wide and on a phone, light
and dark. What is not there yet is told and left out.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from browsing import NARROW, SCHEMES, WIDE, Browsing
from conftest import open_chromium
from playwright.sync_api import sync_playwright
from system import System

from api.pages.routes import PLACES

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
QUALITY = 60
SIZES = (("wide", WIDE), ("phone", NARROW))
WHOLE_BYTES = 4_000_000
# Numbered or named by a UUID: no page such as that of a new one.
THING = re.compile(r"\d+|[0-9a-f-]{36}")
FILE = b"""Username,Display Name,Email,Total Spent
ava_stone,Ava Stone,ava@example.com,$120.00
ben.hale,Ben Hale,ben@example.com,$35.50
no_mail,No Mail,not an address,$9.00
,Nameless,nameless@example.com,$15.00
avastone,Ava S.,,$20.00
"""


@dataclass(frozen=True)
class Shot:
    """A page: its path, or that of the first thing on `path` whose address begins with `follow`."""

    name: str
    path: str
    follow: str | None = None


PAGES = (
    Shot("login", "/login"),
    Shot("conversation", "/messages/onlyfans", "/messages/onlyfans/"),
    Shot("fan", "/fans", "/fans/"),
    Shot("duplicates", "/fans/duplicates"),
    Shot("new-campaign", "/messages/bulk/new"),
    Shot("campaign", "/messages/bulk", "/messages/bulk/"),
    Shot("import-report", "/platforms/connect/onlyfans", "/platforms/connect/onlyfans/imports/"),
    Shot("notifications", "/notifications"),
    Shot("settings-accounts", "/settings/accounts"),
    Shot("snippets", "/settings/snippets"),
)


def shots() -> Iterator[Shot]:
    """The places of the rail, and deeper pages."""
    for place in PLACES:
        yield Shot(place.name.lower(), place.path)
    yield from PAGES


def fill(system: System) -> None:
    """What is under way or went wrong: a campaign, an import with faulty rows, messages that wait,
    and some that failed."""
    system.upload(b"name,email\nAva Stone,ava@example.com\n")  # fails, and a notification says so
    system.upload(FILE)
    system.sql(
        "UPDATE messages SET state = 'failed', failed_at = sent_at, sent_at = NULL,"
        " platform_message_id = NULL, failures = 1, error_code = 'refused',"
        " error_detail = 'The platform answered 403' WHERE id IN"
        " (SELECT id FROM messages WHERE state = 'sent' ORDER BY created_at DESC LIMIT 3)"
        " RETURNING id"
    )
    fans = [
        row["id"]
        for row in system.sql(
            "SELECT id FROM fans WHERE connection_id IS NOT NULL ORDER BY id LIMIT 40"
        )
    ]
    for fan in fans[:8]:
        system.send(f"fan_{fan}", "Tonight at nine, and bring someone who likes long evenings 💛")
    answer = system.api(
        "POST",
        "/api/messages/bulk",
        {
            "campaignName": "A new set for those who stayed through November",
            "recipientIds": [f"fan_{fan}" for fan in fans],
            "content": "My new set is here 🌙",
        },
        key="screenshots-campaign-1",
    )
    if answer.status_code >= 400:
        print(f"no campaign: {answer.text}", file=sys.stderr)


def resolved(browsing: Browsing, shot: Shot) -> str | None:
    """Where a shot is taken; None where there is no such page."""
    answer = browsing.page.goto(shot.path)
    if answer is None or answer.status >= 400:
        return None
    if shot.follow is None:
        return shot.path
    links = browsing.page.locator(f'main a[href^="{shot.follow}"]')
    for link in links.all():
        href = link.get_attribute("href") or ""
        if THING.fullmatch(urlsplit(href).path.removeprefix(shot.follow)):
            return href
    return None


def take(system: System) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = open_chromium(playwright)
        if chromium is None:
            sys.exit("make screenshots needs a browser: install chromium")
        for size, pixels in SIZES:
            for scheme in SCHEMES:
                for shot in shots():
                    _take(
                        Browsing(system, chromium, size=pixels, scheme=scheme), shot, size, scheme
                    )
        chromium.close()


def _take(browsing: Browsing, shot: Shot, size: str, scheme: str) -> None:
    picture = PICTURES / f"{shot.name}-{size}-{scheme}.jpg"
    picture.unlink(missing_ok=True)
    if shot.path != "/login":
        browsing.carry_on()
    if (path := resolved(browsing, shot)) is None:
        print(f"no page {shot.name} at {shot.follow or shot.path}", file=sys.stderr)
    else:
        browsing.go(path)
        browsing.page.wait_for_timeout(300)
        browsing.page.screenshot(path=picture, type="jpeg", quality=QUALITY)
    browsing.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, System(Path(directory), {}) as system:
        fill(system)
        take(system)
    pictures = sorted(PICTURES.glob("*.jpg"))
    whole = sum(one.stat().st_size for one in pictures)
    print(f"{len(pictures)} pictures in docs/screenshots, {whole / 1e6:.1f} MB")
    if whole > WHOLE_BYTES:
        sys.exit("That is more than 4 MB: lower QUALITY, or show fewer pages")


if __name__ == "__main__":
    main()
