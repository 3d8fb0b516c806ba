"""The page without a mouse, for a screen reader, on a phone, in the dark; checked by axe-core."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visitor, answers_of, field_of
from tests.e2e.conftest import RunningStack

PHONE = {"width": 390, "height": 844}


async def violations(page: Page, axe: str) -> list[tuple[str, str, Any]]:
    """What axe finds serious or worse: rule, impact, where."""
    # In the page's own world, which its content security policy does not bind.
    await page.evaluate(f"{axe}; undefined")
    found = await page.evaluate("async () => (await axe.run(document)).violations")
    return [
        (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


async def a_conversation(user: Visitor) -> Page:
    """A thread with all that a thread can hold but an approval."""
    await user.say(
        "[[think 5]] [[say # Title\n\nText, [1](https://example.com), `code`.\n\n```python\ndef f() -> int:\n"
        '    return 1  # one\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n]] [[tool http_fetch {"url": "http://127.0.0.1:1/"}]]'
        ' [[tool ask {"text": "Go on?"}]]'
    )
    await expect(user.page.get_by_role("region", name="Question to you")).to_be_visible()
    await expect(user.page.locator(".run-foot")).to_be_visible()
    for fold in await user.page.locator("article details summary").all():
        await fold.click()
    return user.page


async def test_the_sign_in_passes_axe(visitor: Visitor, axe: str) -> None:
    await visitor.page.goto(visitor.stack.fields["page_url"])
    await expect(visitor.page.get_by_role("button", name="Sign in")).to_be_focused()
    assert await violations(visitor.page, axe) == []
    await visitor.page.get_by_role("button", name="Sign in").click()
    await expect(visitor.page.get_by_label("Name")).to_be_focused()
    assert await violations(visitor.page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_conversation_passes_axe(user: Visitor, axe: str, scheme: str) -> None:
    await user.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await expect(user.page.get_by_role("heading", name="What shall we work on?")).to_be_visible()
    assert await violations(user.page, axe) == []
    page = await a_conversation(user)
    assert await violations(page, axe) == []
    await page.get_by_role("button", name="Keyboard").click()
    assert await violations(page, axe) == []


async def test_a_phone_passes_axe_and_nothing_is_cut_off(user: Visitor, axe: str) -> None:
    page = await a_conversation(user)
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert await violations(page, axe) == []
    wide = await page.evaluate(
        "[...document.querySelectorAll('.pane *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1"
        " && !one.closest('pre, .table-frame')).map(one => one.className)"
    )
    assert wide == []
    await page.get_by_role("button", name="Show threads").click()
    await expect(page.get_by_label("Search threads")).to_be_focused()
    assert await violations(page, axe) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Show threads")).to_be_focused()
    await expect(page.get_by_label("Search threads")).not_to_be_visible()


async def test_an_approval_passes_axe(probed: RunningStack, user: Visitor, axe: str) -> None:
    await user.choose_assistant("Launcher", tools=["probe"])
    await user.say('[[tool launch {"target": "the moon"}]]')
    await expect(user.page.get_by_role("region", name="Approval needed")).to_be_visible()

    assert await violations(user.page, axe) == []


async def test_everything_is_in_reach_of_the_keyboard(user: Visitor) -> None:
    page = user.page
    await page.keyboard.type("[[endless rate 20]]")
    await page.keyboard.press("Enter")
    await expect(answers_of(page)).to_contain_text("token3 ")
    await page.keyboard.press("Escape")
    await expect(page.locator(".run-stopped")).to_be_visible()
    # The new thread is there at once: what comes of the old one meanwhile does not bring that back.
    pressed = 'dispatchEvent(new KeyboardEvent("keydown", {key: "O", ctrlKey: true, shiftKey: true}))'
    title = await page.evaluate(f"() => {{ {pressed}; return document.querySelector('h1').textContent }}")
    assert title == "New thread"
    await page.keyboard.press("Control+Shift+O")
    await expect(page.get_by_role("heading", name="What shall we work on?")).to_be_visible()
    await expect(field_of(page)).to_be_focused()
    await page.keyboard.press("Control+K")
    await expect(page.get_by_label("Search threads")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("navigation").get_by_role("link").first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("article.user")).to_contain_text("endless")


async def test_a_screen_reader_is_told(user: Visitor) -> None:
    page = user.page
    await user.say("[[say First paragraph.\n\nSecond paragraph.]]")

    log = page.get_by_role("log")
    await expect(log.locator("p")).to_have_text(["First paragraph.", "Second paragraph."])
    assert await log.get_attribute("aria-live") == "polite"
    await expect(page.get_by_text("The answer is complete.")).to_be_attached()
    # What was said before is not read out again.
    await page.reload()
    await expect(answers_of(page)).to_be_visible()
    await expect(log.locator("p")).to_have_count(0)


async def test_the_theme_is_kept(user: Visitor) -> None:
    page = user.page
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(colour)
    await page.get_by_role("button", name="Theme: system").click()
    await page.get_by_role("button", name="Theme: light").click()
    dark = await page.evaluate(colour)
    await page.reload()

    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert light != dark == await page.evaluate(colour)
