"""What a test does with the browser: signing in, looking, and judging a page."""

from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page
from system import DEMO_EMAIL, System

WIDE, NARROW = (1280, 860), (390, 844)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PATIENCE_MS = 30_000


class Browsing:
    """One browser window on the running product, with whatever its console complained of."""

    def __init__(
        self,
        system: System,
        browser: Browser,
        *,
        size: tuple[int, int] = WIDE,
        scheme: Literal["light", "dark"] = "light",
    ) -> None:
        self.system = system
        self.complaints: list[str] = []
        width, height = size
        self._context = browser.new_context(
            base_url=system.address,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda problem: self.complaints.append(str(problem)))

    def _listen(self, message: ConsoleMessage) -> None:
        # A refusal is an answer: what the page does with it is for the test to see.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def close(self) -> None:
        self._context.close()

    def sign_in(self, email: str = DEMO_EMAIL, password: str | None = None) -> None:
        self.page.goto("/login")
        self.page.fill("[name=email]", email)
        self.page.fill("[name=password]", password or self.system.environment["DEMO_PASSWORD"])
        self.page.click("main button")
        self.page.wait_for_url("**/")

    def go(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    def violations(self) -> list[str]:
        """What breaks WCAG 2.2 A or AA on the page, and where."""
        found: dict[str, Any] = Axe().run(self.page, options={"runOnly": RULES}).response
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def theme(self, scheme: Literal["light", "dark"]) -> None:
        self.page.emulate_media(color_scheme=scheme)

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)
