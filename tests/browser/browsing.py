"""What a test does with the browser: signing in, looking, and judging a page."""

from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page
from system import DEMO_EMAIL, System

WIDE, NARROW = (1280, 860), (390, 844)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
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
        scheme: Scheme = "light",
        scripts: bool = True,
    ) -> None:
        self.system = system
        self.complaints: list[str] = []
        width, height = size
        self._context = browser.new_context(
            base_url=system.address,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            java_script_enabled=scripts,
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

    def carry_on(self) -> None:
        """Logged in as the demo's owner without the form: many windows would be too many logins."""
        self._context.add_cookies(
            [
                {
                    "name": "huntaze_login",
                    "value": self.system.login(),
                    "url": self.system.address,
                }
            ]
        )

    def go(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    def violations(self) -> list[str]:
        """What breaks WCAG 2.2 A or AA on the page as it stands, what to change, and where."""
        found: dict[str, Any] = Axe().run(self.page, options={"runOnly": RULES}).response
        return [
            f"{one['id']} ({one['impact']}): {' '.join(node['failureSummary'].split())}"
            f" at {' '.join(map(str, node['target']))}: {node['html'][:160]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def axe(self, path: str) -> None:
        """The page can be used by everybody, in light and in dark."""
        self.go(path)
        for scheme in SCHEMES:
            self.theme(scheme)
            found = self.violations()
            assert not found, "\n".join([f"{path} in {scheme}:", *found])

    def fits(self) -> None:
        """Nothing of the page lies beyond its side."""
        width, shown = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert width <= shown, f"{self.page.url} is {width} px wide on a screen of {shown} px"

    def theme(self, scheme: Scheme) -> None:
        """What the browser prefers; it counts until somebody chooses colours."""
        self.page.emulate_media(color_scheme=scheme)

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        """What is in view."""
        self.page.screenshot(path=path)
