"""The inbox in a real browser: writing, hearing, reading far back, and the keyboard."""

import re
from uuid import uuid4

import pytest
from browsing import NARROW, Browsing
from playwright.sync_api import Page, expect
from running import eventually
from system import Account, System

PLACE = "/messages/onlyfans"
# A refresh comes every five seconds, on a machine that may be busy.
REFRESHED_MS = 20_000


def hear(system: System, account: Account, text: str) -> None:
    """The account's fan writes on the platform."""
    body = {"account": account.account_id, "chat": account.chats[0], "text": text}
    system.platform("POST", "inbound", body)


def conversation(system: System, account: Account) -> int:
    """The conversation of the account's only fan, who has written."""
    hear(system, account, "Hello from the other side")

    def found() -> list[dict[str, int]]:
        asked = "SELECT id FROM conversations WHERE connection_id = %s"
        return system.sql(asked, account.id)

    return eventually(found, "the conversation")[0]["id"]


def fill(system: System, talk: int, count: int) -> None:
    """That many messages before what was said."""
    system.sql(
        "INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id,"
        " direction, text, created_at, read) SELECT gen_random_uuid(), user_id, connection_id, id,"
        " fan_id, 'in', 'Line ' || n, last_message_at - (%s - n) * interval '7 minutes'"
        " - interval '1 hour', true FROM conversations, generate_series(1, %s) n WHERE id = %s"
        " RETURNING id",
        count,
        count,
        talk,
    )


def mark(page: Page) -> None:
    """What a reload would lose."""
    page.evaluate("window.unbroken = true")


def is_unbroken(page: Page) -> bool:
    return page.evaluate("window.unbroken === true") is True


def test_a_message_waits_with_its_time_and_is_sent(system: System, browsing: Browsing) -> None:
    account = system.account()
    talk = conversation(system, account)
    page = browsing.go(f"{PLACE}/{talk}")
    mark(page)
    with system.frozen("worker-messages"):
        page.fill("#write", "Tonight at nine")
        page.keyboard.press("Control+Enter")
        bubble = page.locator(".message.out", has_text="Tonight at nine")
        expect(bubble).to_have_count(1)
        expect(page.locator("#write")).to_have_value("")
        expect(bubble).to_contain_text("Queued, will be sent shortly")
        expect(bubble.locator("[data-countdown]")).to_contain_text("Goes at")
        expect(bubble.get_by_role("button", name="Cancel")).to_be_visible()
        page.fill("#write", "Not sent yet")
    expect(bubble.locator(".state")).to_have_text(
        re.compile("Sent|Delivered|Read"), timeout=REFRESHED_MS
    )
    expect(page.locator("#write")).to_have_value("Not sent yet")
    expect(page.locator("#write")).to_be_focused()
    assert is_unbroken(page)
    assert system.texts(account) == ["Tonight at nine"]
    browsing.go(PLACE)
    browsing.go(f"{PLACE}/{talk}")
    expect(page.locator("#write")).to_have_value("Not sent yet")


def test_a_double_click_sends_once(system: System, browsing: Browsing) -> None:
    account = system.account()
    talk = conversation(system, account)
    page = browsing.go(f"{PLACE}/{talk}")
    page.fill("#write", "Only once")
    page.locator("#composer .primary").dblclick()
    bubble = page.locator(".message.out", has_text="Only once")
    expect(bubble.locator(".state")).to_be_visible(timeout=REFRESHED_MS)
    assert system.texts(account) == ["Only once"]


def test_a_bubble_stands_there_before_the_server_answers(
    system: System, browsing: Browsing
) -> None:
    talk = conversation(system, system.account())
    page = browsing.go(f"{PLACE}/{talk}")
    page.fill("#write", "At once")
    is_there = page.evaluate(
        """() => {
          document.getElementById("composer").requestSubmit();
          const busy = document.querySelector(".message.busy");
          return busy?.getAttribute("aria-busy") === "true" && busy.textContent.includes("At once");
        }"""
    )
    assert is_there
    expect(page.locator(".message.busy")).to_have_count(0)
    expect(page.locator(".message.out", has_text="At once")).to_have_count(1)


def test_taking_back_is_asked_and_the_question_stays(system: System, browsing: Browsing) -> None:
    account = system.account()
    talk = conversation(system, account)
    page = browsing.go(f"{PLACE}/{talk}")
    page.fill("#write", "Too early")
    page.click("#composer .primary")
    bubble = page.locator(".message.out", has_text="Too early")
    expect(bubble.locator(".state")).to_be_visible(timeout=REFRESHED_MS)
    bubble.hover()
    bubble.get_by_role("button", name="Take back").click()
    dialog = page.get_by_role("dialog", name="Take this message back?")
    hear(system, account, "Something new meanwhile")
    expect(page.locator(f"#talk-{talk}")).to_contain_text("Something new", timeout=REFRESHED_MS)
    page.wait_for_timeout(6000)  # The thread has been due for a refresh.
    expect(dialog).to_be_visible()
    assert browsing.violations() == []
    dialog.get_by_role("button", name="Keep").click()
    expect(page.locator(".message.in", has_text="Something new")).to_be_visible(
        timeout=REFRESHED_MS
    )
    bubble.hover()
    bubble.get_by_role("button", name="Take back").click()
    dialog.get_by_role("button", name="Take back").click()
    expect(bubble).to_contain_text(re.compile("[Tt]aken back"))
    expect(dialog).to_have_count(0)


def test_what_a_refusal_gives_back(system: System, browsing: Browsing) -> None:
    talk = conversation(system, system.account())
    page = browsing.go(f"{PLACE}/{talk}")
    page.fill("#write", "For three dollars")
    page.click(".offer summary")
    page.fill("#write-price", "3.00")
    page.click("#composer .primary")
    expect(page.locator("#toasts")).to_contain_text("Not sent")
    expect(page.locator("#write")).to_have_value("For three dollars")
    expect(page.locator("#write-price")).to_have_value("3.00")
    expect(page.locator(".message.out")).to_have_count(0)
    # htmx tells the console of every refusal.
    assert all("Response Status Error Code 422" in one for one in browsing.complaints)
    browsing.complaints.clear()


def test_sending_waits_for_nothing_else_in_the_form(system: System, browsing: Browsing) -> None:
    talk = conversation(system, system.account())
    page = browsing.go(f"{PLACE}/{talk}")
    page.route("**/files", lambda _: None)  # asked for, and never answered
    with page.expect_request("**/files"):
        page.click(".offer summary")
    page.fill("#write", "Before the files are listed")
    page.click("#composer .primary")
    expect(page.locator(".message.out", has_text="Before the files")).to_be_visible()
    expect(page.locator("#write")).to_have_value("")


def test_a_fan_is_heard_without_a_reload(system: System, browsing: Browsing) -> None:
    account = system.account()
    talk = conversation(system, account)
    page = browsing.go(f"{PLACE}/{talk}")
    mark(page)
    page.focus("#write")
    words = f"Are you there {uuid4()}"
    hear(system, account, words)
    expect(page.locator(".message.in", has_text=words)).to_be_visible(timeout=REFRESHED_MS)
    expect(page.locator("#thread-news")).to_contain_text(words)
    expect(page.locator(f"#talk-{talk}")).to_contain_text(words[:20], timeout=REFRESHED_MS)
    expect(page.locator("#write")).to_be_focused()
    assert is_unbroken(page)


def test_reading_far_back_never_jumps(system: System, browsing: Browsing) -> None:
    talk = conversation(system, system.account())
    fill(system, talk, 1000)
    page = browsing.go(f"{PLACE}/{talk}")
    expect(page.locator(".message").last).to_be_in_viewport()
    jumps = page.evaluate(
        """async () => {
          const box = document.getElementById("thread-box");
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const jumps = [];
          const until = Date.now() + 25000;
          while (Date.now() < until) {
            const top = box.getBoundingClientRect().top;
            const seen = [...box.querySelectorAll(".message")].find((one) => one.getBoundingClientRect().top >= top);
            const before = seen.getBoundingClientRect().top, from = box.scrollTop;
            if (!box.querySelector(".older") && from === 0) break;
            box.scrollTop = from - 350;
            const asked = from - Math.max(0, from - 350);
            await frame();
            await frame();
            if (!seen.isConnected) continue; // a refresh replaced it
            const moved = seen.getBoundingClientRect().top - before;
            if (Math.abs(moved - asked) > 2) jumps.push([moved, asked]);
          }
          return jumps;
        }"""
    )
    assert jumps == []
    texts = page.locator(".message .words").all_text_contents()
    assert texts[:1000] == [f"Line {number}" for number in range(1, 1001)]
    expect(page.locator(".beginning")).to_be_visible()
    days = page.locator(".day").all_text_contents()
    assert len(days) == len(set(days))


def test_the_keyboard_does_it_all(system: System, browsing: Browsing) -> None:
    talk = conversation(system, system.account())
    system.sql(
        "INSERT INTO snippets (user_id, title, shortcut, text) SELECT user_id, 'Warm hello', %s,"
        " 'So glad you wrote' FROM conversations WHERE id = %s RETURNING id",
        f"warm-{talk}",
        talk,
    )
    page = browsing.go(PLACE)
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(rf"{PLACE}/\d+"))
    first = page.url
    page.keyboard.press("j")
    expect(page).not_to_have_url(first)
    page.keyboard.press("k")
    expect(page).to_have_url(first)
    browsing.go(f"{PLACE}/{talk}")
    page.keyboard.press("/")
    expect(page.locator("#snippet-q")).to_be_focused()
    with page.expect_response(lambda answer: "snippet_q=warm" in answer.url):
        page.keyboard.type("warm")
    expect(page.locator(".snippet")).to_have_count(1)
    page.wait_for_timeout(500)  # The list is swapped a moment after its answer.
    page.keyboard.press("ArrowDown")
    expect(page.locator(".snippet")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#write")).to_have_value("So glad you wrote")
    expect(page.locator("#write")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


@pytest.mark.parametrize("path", ["", "?unread=1&q=a"])
def test_everybody_can_use_the_list(browsing: Browsing, path: str) -> None:
    browsing.axe(f"{PLACE}{path}")


def test_everybody_can_use_a_conversation(system: System, browsing: Browsing) -> None:
    talk = conversation(system, system.account())
    fill(system, talk, 60)
    browsing.axe(f"{PLACE}/{talk}")
    browsing.resize(NARROW)
    browsing.axe(f"{PLACE}/{talk}")


def test_nothing_lies_under_the_bell_of_a_phone(system: System, phone: Browsing) -> None:
    page = phone.go(f"{PLACE}/{conversation(system, system.account())}")
    covered = page.evaluate(
        """() => {
          document.getElementById("bell-count").innerHTML = '<span class="count">99+</span>';
          const bells = [...document.querySelectorAll(".bell, .bell .count")];
          return [...document.querySelectorAll(".thread-head a, .thread-head button, .thread-head p")]
            .filter((one) => bells.some((bell) => {
              const [a, b] = [one.getBoundingClientRect(), bell.getBoundingClientRect()];
              return a.width && a.right > b.left && a.left < b.right && a.bottom > b.top && a.top < b.bottom;
            })).map((one) => one.outerHTML);
        }"""
    )
    assert covered == []


def test_a_phone_shows_one_pane_at_a_time(system: System, phone: Browsing) -> None:
    page = phone.go(PLACE)
    phone.fits()
    expect(page.locator(".thread-pane")).to_be_hidden()
    page.locator("a.talk").first.click()
    expect(page.locator("#write")).to_be_visible()
    expect(page.locator(".talks")).to_be_hidden()
    phone.fits()
    page.get_by_role("button", name="About the fan").click()
    expect(page.get_by_role("dialog", name="About the fan")).to_contain_text("Already sent")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Back to the inbox").click()
    expect(page.locator(".talks")).to_be_visible()
