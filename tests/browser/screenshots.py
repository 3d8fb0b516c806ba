"""The pictures of the documentation: ``python -m pytest tests/browser/screenshots.py`` writes them to docs/images."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import ROOT, Visitor
from tests.e2e.conftest import RunningStack

IMAGES = ROOT / "docs" / "images"

QUESTION = "Is example.com up, and what is it for? Keep it short."
SCRIPT = (
    '[[rate 0]] [[say I will look at the page itself.]] [[tool http_fetch {"url": "https://example.com"}]] '
    "[[say **Yes, as far as its owner is concerned.** The domain is reserved for use in documents (RFC 2606), so that "
    "examples never point at somebody's real site.\n\n"
    "| what | answer |\n|---|---|\n| reserved by | IANA |\n| may be registered | no |\n\n"
    "To check it yourself:\n\n```bash\ncurl --head https://example.com\n```\n\n"
    "From here the page could not be fetched, as this machine is offline.]]"
)


async def tell(page: Page, question: str) -> None:
    """Show a question of a person's in place of the scripted model's script."""
    await page.locator("article.user .plain").last.evaluate("(one, text) => { one.textContent = text; }", question)
    heading = "(text) => { document.querySelector('h1').textContent = text; }"
    await page.evaluate(heading, question)
    await page.evaluate("(text) => { document.querySelector('.thread-title').textContent = text; }", question)


async def shoot(page: Page, name: str) -> None:
    """Write a picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=IMAGES / f"chat-{name}.png", animations="disabled", caret="hide")


@pytest.fixture
async def user(visitor: Visitor) -> Visitor:
    """Somebody with a name."""
    visitor.name = "ada"
    await visitor.sign_in()
    return visitor


async def test_pictures(probed: RunningStack, user: Visitor) -> None:
    page = user.page
    await user.say(SCRIPT)
    await expect(page.locator(".run-foot")).to_be_visible()
    await tell(page, QUESTION)
    await shoot(page, "light")
    await page.emulate_media(color_scheme="dark")
    await shoot(page, "dark")
    await page.set_viewport_size({"width": 390, "height": 844})
    await shoot(page, "phone")


async def test_picture_of_an_approval(probed: RunningStack, user: Visitor) -> None:
    page = user.page
    await user.choose_assistant("Launcher", tools=["probe"])
    await user.say('[[say The pad is clear and the window is open.]] [[tool launch {"target": "low Earth orbit"}]]')
    await expect(page.get_by_role("region", name="Approval needed")).to_be_visible()
    await tell(page, "Check the pad and launch if all is well.")
    await shoot(page, "approval")
