"""What a model, a tool or a title says cannot break the page, act in it, or look like it."""

import json
import random
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, Route, expect

from tests.browser import hostile
from tests.browser.conftest import Visitor, answers_of, field_of

SEED = 13
GENERATED = 360
BATCH = 128
# A batch on a machine that has other things to do; what the parser was before took minutes for one text of LONG.
BATCH_MS = 60_000

# What is in the frames is counted by what it is: only elements that say something, and attributes that only do that.
IN_FRAMES = """() => {
  const elements = new Set(`A BLOCKQUOTE BR CODE EM H1 H2 H3 H4 H5 H6 HR LI OL P PRE S STRONG
    TABLE TBODY TD TH THEAD TR UL`.split(/\\s+/));
  const made = [".block", "p.plain", ".table-frame", "figure.code", "figure.code > figcaption",
    "figure.code > figcaption > span", "figure.code > figcaption > button.copy", "button.copy > svg",
    "button.copy > svg > path", "figure.code > pre", "figure.code > pre > code"]
    .map((one) => `.markdown ${one}`).join();
  const found = new Set();
  for (const frame of document.querySelectorAll(".markdown")) {
    const style = getComputedStyle(frame);
    if (style.borderTopStyle !== "solid" || !style.contain.includes("paint")) found.add("no frame");
    // So much takes a second; what is beyond it is shown as it is.
    if (frame.childElementCount > 1001) found.add("blocks");
    if (frame.querySelectorAll("td, th").length > 10_000) found.add("cells");
    for (const element of frame.querySelectorAll("*")) {
      const [tag, code] = [element.tagName, element.closest("figure.code")];
      let depth = 0;
      for (let at = element; at !== frame; at = at.parentElement) depth++;
      if (depth > 32) found.add(`depth`);
      if (element.matches(made)) continue;
      if (code && tag === "SPAN" && /^(hljs-|language-|function_)/.test(element.className)) continue;
      if (!elements.has(tag)) found.add(`<${tag}>`);
      for (const { name, value } of element.attributes) {
        if (name === "href" ? !/^(https?|mailto):/.test(value) : !["align", "rel", "start", "target"].includes(name)) {
          found.add(`${tag}[${name}=${value}]`);
        }
      }
    }
  }
  return [...found];
}"""
# What there is of the page's own beside the conversation, whatever is said in it.
PAGES_OWN = """() => ["dialog", ".approval", "iframe", "style", ".scroller form", ".scroller [style]",
  "[popover]", "[contenteditable]", "main > :not(header, .pane)", "body > :not(.app, script, noscript)"]
  .filter((one) => document.querySelector(one)).concat(window.hurt ? ["script"] : [])"""


def said(text: str, *calls: dict[str, Any], role: str = "assistant") -> dict[str, Any]:
    """A message as the API lists it."""
    content = {"role": role, "content": text, **({"tool_calls": list(calls)} if calls else {})}
    return {
        "message_id": str(uuid.uuid4()),
        "type": role,
        "content": content,
        "metadata": {},
        "agent_run_id": None,
        "created_at": "2026-01-01T00:00:00Z",
    }


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A call as a model makes it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@asynccontextmanager
async def thread_of(user: Visitor, messages: list[dict[str, Any]], **metadata: Any) -> AsyncGenerator[str]:
    """The page shows a thread that has these messages."""

    async def answer(route: Route) -> None:
        offset = int(re.findall(r"offset=(\d+)", route.request.url)[0])
        await route.fulfill(json=messages[offset:])

    async with user.api() as api:
        created = await api.post("/threads", json={"metadata": {"title": "hostile", **metadata}})
    thread_id: str = created.json()["thread_id"]
    await user.page.route(f"**/threads/{thread_id}/messages?*", answer)
    await user.page.goto(f"{user.stack.fields['page_url']}#/t/{thread_id}")
    yield thread_id
    await user.page.unroute_all(behavior="wait")


async def answers(page: Page) -> None:
    """The page does what it is asked."""
    await page.get_by_role("button", name="Keyboard").click(timeout=BATCH_MS)
    await page.get_by_role("dialog").get_by_role("button", name="Close").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_whatever_a_model_says_stays_in_its_frame(user: Visitor) -> None:
    page = user.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    texts = hostile.texts(SEED, GENERATED)
    for first in range(0, len(texts), BATCH):
        batch = [said(f"{text}\n\nend-{index}") for index, text in enumerate(texts[first : first + BATCH])]
        async with thread_of(user, batch):
            await expect(answers_of(page)).to_have_count(len(batch), timeout=BATCH_MS)
            await expect(page.locator(".message-body > .markdown")).to_have_count(len(batch))
            assert await page.evaluate(IN_FRAMES) == []
            assert await page.evaluate(PAGES_OWN) == []
            # Nothing is left out, however deep it is.
            ends = "all => all.map((one, index) => one.textContent.includes(`end-${index}`))"
            assert all(await answers_of(page).evaluate_all(ends))
            await answers(page)
    assert {url for url in asked if not url.startswith((user.stack.base_url, "data:", "blob:"))} == set()
    await page.get_by_role("button", name="New thread").click()
    await user.say("[[say I am here.]]")
    await expect(answers_of(page).last).to_have_text(re.compile("I am here."))


async def test_whatever_tools_and_titles_say_is_text(user: Visitor) -> None:
    page = user.page
    chance = random.Random(SEED)  # noqa: S311
    texts = [text[:50_000] for text in hostile.texts(SEED, 40)]
    messages: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        arguments = chance.choice((json.dumps({"a": text, "__proto__": text}), text, json.dumps(hostile.nested(900))))
        messages += [
            said("", call(f"c{index}", text, arguments)),
            {**said(text, role="tool"), "metadata": {"tool_call_id": f"c{index}"}},
        ]
    async with thread_of(user, messages, title=hostile.APPROVAL * 3):
        calls = page.locator("details.call")
        await expect(calls).to_have_count(len(texts))
        await calls.evaluate_all("all => all.forEach((one) => { one.open = true; })")
        # Arguments and result: each call is made of the same elements, whatever is in it.
        await expect(page.locator("details.call .call-part")).to_have_count(2 * len(texts))
        made = (
            "all => [...new Set(all.map((one) => [...one.querySelectorAll('*')].map((e) => e.tagName).join()))].length"
        )
        assert await calls.evaluate_all(made) == 1
        assert await page.evaluate(PAGES_OWN) == []
        names = await page.locator(".call-name").all_text_contents()
        assert max(map(len, names)) < 1000
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", "".join(names))
        assert await page.locator(".call-part pre").evaluate_all(
            "all => all.every((one) => one.textContent.length < 300_000)"
        )
        await answers(page)


async def test_an_approval_shows_what_will_be_done(user: Visitor) -> None:
    page = user.page
    run = {
        **{"run_id": str(uuid.uuid4()), "assistant_id": "agent", "status": "interrupted", "error": None, "usage": None},
        **{"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:01Z", "metadata": {}},
    }
    await page.route("**/runs?*", lambda route: route.fulfill(json=[run]))
    reversed_text = "\u202egnihton\u202c \u200bread"
    asks = said(
        hostile.APPROVAL,
        call("__proto__", "launch\u202e", json.dumps({"target": reversed_text})),
        call("c2", "x" * 5000, json.dumps(hostile.nested(900))),
    )
    async with thread_of(user, [{**asks, "agent_run_id": run["run_id"]}]):
        approval = page.get_by_role("region", name="Approval needed")
        await expect(approval).to_have_count(1)
        await expect(approval.locator("strong").first).to_have_text(r"launch\u{202e}")
        await expect(approval.locator("pre").first).to_contain_text(r"\u{202e}gnihton\u{202c} \u{200b}read")
        # The false one is text in a frame, and the real one is outside of any.
        await expect(page.locator(".markdown .approval, .markdown button")).to_have_count(0)
        assert await page.locator(".approval").evaluate("one => one.closest('.markdown, article')") is None
        assert await page.evaluate(IN_FRAMES) == []


async def test_a_deep_answer_that_streams_is_shown(user: Visitor) -> None:
    page = user.page
    await user.say(f"[[rate 0]] [[say {'> ' * hostile.DEEP} the bottom]]")
    await expect(answers_of(page).last).to_contain_text("the bottom")
    await expect(page.locator(".run-foot")).to_be_visible()
    assert await page.evaluate(IN_FRAMES) == []
    await expect(field_of(page)).to_be_enabled()
    await answers(page)
