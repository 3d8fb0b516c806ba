"""The chat page of a deployed stack in the machine's own Chromium."""

import json
import re
import shutil
import uuid
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright, expect

from tests.e2e.conftest import ROOT, RunningStack, own_code, up

LOCAL_DIR = ROOT / ".local" / "browser"
PATIENCE_MS = 20_000
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def stack() -> Generator[RunningStack]:
    """A stack of its own."""
    started = up("up", local_dir=LOCAL_DIR)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield RunningStack(json.loads((LOCAL_DIR / "stack.json").read_text(encoding="utf-8")))
    finally:
        ended = up("down", local_dir=LOCAL_DIR)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def probed(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningStack]:
    """The stack with the tool ``probe``, one of whose functions needs approval."""
    with own_code(stack, "runner", ["QueueRunner", "WorkflowRunner"], tmp_path_factory.mktemp("probed")) as source:
        shutil.copy(ROOT / "tests/e2e/probe.py", source / "functions/runner/tools/custom/probe.py")
        name = stack.fields["outputs"]["QueueRunnerFunctionName"]
        answer = stack.aws("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')
        assert "FunctionError" not in answer, answer["Payload"].read()
        yield stack


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """Headless Chromium."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("Chromium is missing: install it so that `chromium` is on PATH (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        # No sandbox: tests may run as root. No GPU: without one, screenshots hang.
        launched = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        await launched.close()


@dataclass
class Visitor:
    """Somebody with a browser window of their own; ``errors`` is what their console said."""

    context: BrowserContext
    page: Page
    name: str
    stack: RunningStack
    errors: list[str] = field(default_factory=list)
    forgiven: re.Pattern[str] | None = None

    def watch(self, page: Page) -> Page:
        """Note what goes wrong in a page."""

        def note(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.errors.append(f"{message.text} ({message.location.get('url')})")

        page.on("console", note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    async def second_tab(self) -> Page:
        """Another tab of the same window."""
        return self.watch(await self.context.new_page())

    async def sign_in(self) -> None:
        """From the page's address to an empty thread."""
        await self.page.goto(self.stack.fields["page_url"])
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_label("Name").fill(self.name)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(field_of(self.page)).to_be_focused()

    async def say(self, text: str) -> None:
        """Write a message and send it."""
        await field_of(self.page).fill(text)
        await self.page.keyboard.press("Enter")

    def api(self) -> httpx.AsyncClient:
        """The API as this visitor."""
        headers = {"authorization": f"Bearer {self.stack.token(self.name)}"}
        return httpx.AsyncClient(base_url=self.stack.base_url, headers=headers, timeout=30)

    async def choose_assistant(self, name: str, **configurable: Any) -> None:
        """Make an assistant with native calls, and choose it in the page."""
        processor = {"native_tool_calling": True, "xml_tool_calling": False}
        config = {"configurable": {"processor": processor, **configurable}}
        async with self.api() as api:
            answer = await api.post("/assistants", json={"graph_id": "agent", "name": name, "config": config})
        assert answer.status_code == 200, answer.text
        await self.page.reload()
        await self.page.get_by_label("Assistant").select_option(name)


def field_of(page: Page) -> Locator:
    """Where messages are written."""
    return page.get_by_role("textbox", name="Message", exact=True)


def answers_of(page: Page) -> Locator:
    """The agent's messages."""
    return page.locator("article.assistant")


@pytest.fixture
async def visitor(browser: Browser, stack: RunningStack) -> AsyncGenerator[Visitor]:
    """A visitor; at the end nothing must have gone wrong in their console."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    visitor = Visitor(context, await context.new_page(), f"visitor-{uuid.uuid4().hex[:8]}", stack)
    visitor.watch(visitor.page)
    yield visitor
    await context.close()
    assert [error for error in visitor.errors if not (visitor.forgiven and visitor.forgiven.search(error))] == []


@pytest.fixture
async def user(visitor: Visitor) -> Visitor:
    """A visitor who is signed in."""
    await visitor.sign_in()
    return visitor


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    source = Path(ROOT / "clients/web/node_modules/axe-core/axe.min.js")
    if not source.exists():
        pytest.fail("axe-core is missing: run `make web`")
    return source.read_text(encoding="utf-8")
