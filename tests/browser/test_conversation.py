"""What people do with the page: sign in, talk, watch, stop, approve, answer, come back."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Visitor, answers_of, field_of
from tests.e2e.conftest import RunningStack

GATEWAY_RESTART = "/_suna/gateway/restart"
# A pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
STATE = "section.pane[data-stream='{}']"


def answer(count: int) -> re.Pattern[str]:
    """An answer that is what the scripted model says for ``[[tokens count]]``: once, and all of it."""
    said = " ".join(f"token{number}" for number in range(1, count + 1))
    return re.compile(rf"^Agent{said}\s*$")


async def shows_beginning(page: Page) -> None:
    """An answer is being given: its beginning is there."""
    await expect(answers_of(page).last).to_contain_text("token3 ")
    await expect(page.locator("article[data-phase='streaming']")).to_have_count(1)


async def test_sign_in_send_and_stream(user: Visitor) -> None:
    page = user.page
    await user.say("[[tokens 80 rate 20]]")

    await expect(page.locator("article.user")).to_have_text(re.compile(r"\[\[tokens 80"))
    await expect(page.locator(".working")).to_contain_text("Answering")
    await shows_beginning(page)
    await expect(page.locator(".run-foot")).to_contain_text("80 tokens")
    await expect(page.locator(".run-foot")).to_contain_text(re.compile(r"\d+\.\d s"))
    await expect(answers_of(page)).to_have_text(answer(80))
    await expect(page.locator(".working")).to_be_hidden()
    await expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["[[tokens 80 rate 20]]"])
    await expect(page).to_have_url(re.compile(r"/app/#/t/[0-9a-f-]{36}$"))
    await expect(field_of(page)).to_be_focused()


async def test_a_sign_in_outlives_a_reload_and_ends_when_asked(user: Visitor) -> None:
    await user.page.reload()
    await expect(field_of(user.page)).to_be_visible()
    await user.page.get_by_role("button", name="Sign out").click()

    await expect(user.page.get_by_role("button", name="Sign in")).to_be_focused()
    await user.page.reload()
    await expect(user.page.get_by_role("button", name="Sign in")).to_be_visible()


async def test_markdown_and_tools(user: Visitor) -> None:
    page = user.page
    await user.say(
        "[[say **Bold** and `code`\n\n```python\nx = 1\n```\n\n]] "
        '[[tool http_fetch {"url": "http://127.0.0.1:1/"}]] [[say It is out of reach.]]'
    )

    await expect(page.locator(".run-foot")).to_be_visible()
    await expect(answers_of(page).first.locator("strong")).to_have_text("Bold")
    await expect(answers_of(page).first.locator("pre code")).to_have_text(re.compile(r"x = 1"))
    call = page.locator("details.call")
    await expect(call).to_have_attribute("data-status", "failed")
    await expect(call.locator(".call-body")).to_be_hidden()
    await call.locator("summary").click()
    await expect(call.locator(".call-body")).to_contain_text('"url": "http://127.0.0.1:1/"')


async def test_what_a_model_writes_is_harmless(user: Visitor) -> None:
    page = user.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # (A script's brackets hold JSON.)
    await user.say(
        '[[say <img src="https://example.com/a" onerror="window.hurt=1"> ![1](https://example.com/b?q=secret) '
        '[2](javascript:window.hurt=2) <script>window.hurt=3</script> <iframe src="https://example.com/c"></iframe> '
        "[3](https://example.com/d)]]"
    )

    await expect(page.locator(".run-foot")).to_be_visible()
    assert await page.evaluate("window.hurt") is None
    assert [url for url in asked if "example.com" in url] == []
    links = answers_of(page).locator("a[href]")
    # Markup is text, and an address in a text is a link.
    assert await links.evaluate_all("all => all.map(one => [one.textContent, one.href, one.rel])") == [
        ["https://example.com/a", "https://example.com/a", "noopener noreferrer"],
        ["1", "https://example.com/b?q=secret", "noopener noreferrer"],
        ["https://example.com/c", "https://example.com/c", "noopener noreferrer"],
        ["3", "https://example.com/d", "noopener noreferrer"],
    ]
    await expect(answers_of(page)).to_contain_text('<img src="https://example.com/a" onerror="window.hurt=1">')


async def test_stop(user: Visitor) -> None:
    page = user.page
    await user.say("[[endless rate 20]]")
    await shows_beginning(page)
    await page.get_by_role("button", name="Stop", exact=True).click()

    await expect(page.locator(".run-stopped")).to_be_visible()
    await expect(page.locator(".working")).to_be_hidden()
    await expect(answers_of(page)).to_contain_text("token3 ")
    await user.say("[[say I am here.]]")
    await expect(answers_of(page).last).to_have_text(re.compile("I am here."))


@asynccontextmanager
async def without_assistants(page: Page) -> AsyncGenerator[None]:
    """The page does not get its list of assistants meanwhile."""
    over = asyncio.Event()

    async def late(route: Route) -> None:
        await over.wait()
        await route.continue_()

    await page.route("**/assistants/search", late)
    yield
    over.set()
    await page.unroute_all(behavior="wait")


async def test_a_thread_keeps_its_assistant(user: Visitor) -> None:
    page = user.page
    await user.choose_assistant("Poet", system_prompt="You write verse.")
    await user.say("[[say One.]]")
    await expect(answers_of(page)).to_contain_text("One.")
    await expect(page).to_have_title(re.compile("say One"))
    async with without_assistants(page):
        await page.reload()
        await user.say("[[say Two.]]")
        await expect(answers_of(page).last).to_contain_text("Two.")
    async with user.api() as api:
        runs = (await api.get(f"/threads/{page.url.rsplit('/', 1)[1]}/runs")).json()
    first, second = (run["assistant_id"] for run in runs)
    assert first == second != "agent"


async def test_a_message_to_a_thread_that_cannot_be_asked_about_waits(user: Visitor) -> None:
    page = user.page
    user.forgiven = re.compile("503")
    await user.choose_assistant("Poet", system_prompt="You write verse.")
    await user.say("[[say One.]]")
    await expect(page).to_have_title(re.compile("say One"))
    thread_id = page.url.rsplit("/", 1)[1]
    await page.route(f"**/threads/{thread_id}", lambda route: route.fulfill(status=503))
    async with without_assistants(page):
        await page.reload()
        await user.say("[[say Two.]]")
        await expect(page.get_by_role("alert").filter(has_text="Not sent")).to_be_visible()
    # Neither sent to somebody else, nor lost.
    async with user.api() as api:
        assert len((await api.get(f"/threads/{thread_id}/runs")).json()) == 1


async def approving(user: Visitor) -> Page:
    """A thread in which the agent asks to launch."""
    await user.choose_assistant("Launcher", tools=["probe"])
    await user.say('[[tool launch {"target": "the moon"}]] [[say So be it.]]')
    await expect(user.page.get_by_role("region", name="Approval needed")).to_contain_text("the moon")
    return user.page


async def test_approve(probed: RunningStack, user: Visitor) -> None:
    page = await approving(user)
    # What waits is told by the database as well as by the events. Who asked goes on, whoever is chosen in the page.
    async with without_assistants(page):
        await page.reload()
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator("details.call")).to_have_attribute("data-status", "done")

    call = page.locator("details.call")
    await call.locator("summary").click()
    await expect(call).to_contain_text("launched at the moon")
    await expect(answers_of(page).last).to_contain_text("So be it.")
    await expect(page.get_by_role("region", name="Approval needed")).to_have_count(0)


async def test_decline(probed: RunningStack, user: Visitor) -> None:
    page = await approving(user)
    await page.get_by_role("button", name="Decline").click()

    await expect(page.locator("details.call")).to_have_attribute("data-status", "failed")
    await expect(answers_of(page).last).to_contain_text("So be it.")


async def test_a_question_is_asked_and_answered(user: Visitor) -> None:
    page = user.page
    await user.say('[[tool ask {"text": "Which **colour**?"}]] [[say Thank you.]]')

    question = page.get_by_role("region", name="Question to you")
    await expect(question.locator("strong")).to_have_text("colour")
    await expect(field_of(page)).to_have_attribute("placeholder", "Write your answer")
    await user.say("[[say Blue it is.]]")
    await expect(answers_of(page).last).to_have_text(re.compile("Blue it is."))


async def test_a_reload_in_mid_stream_shows_the_rest(user: Visitor) -> None:
    page = user.page
    await user.say("[[tokens 80 rate 20]]")
    await shows_beginning(page)
    await page.reload()

    await expect(page.locator("article[data-phase='streaming']")).to_have_count(1)
    await expect(page.locator(".run-foot")).to_be_visible()
    await expect(answers_of(page)).to_have_text(answer(80))


async def test_two_tabs_show_the_same(user: Visitor) -> None:
    first = user.page
    await user.say("[[tokens 60 rate 20]]")
    await shows_beginning(first)
    await expect(first).to_have_url(re.compile("#/t/"))
    second = await user.second_tab()
    await second.goto(first.url)

    for page in (first, second):
        await expect(page.locator(".run-foot")).to_be_visible()
        await expect(answers_of(page)).to_have_text(answer(60))
    await field_of(second).fill("[[say From the other tab.]]")
    await second.keyboard.press("Enter")
    await expect(first.locator("article.user").last).to_contain_text("From the other tab.")
    await expect(answers_of(first).last).to_have_text(re.compile("From the other tab."))


async def test_a_restarted_gateway_is_reconnected_to(user: Visitor) -> None:
    page = user.page
    # Chromium itself logs every connection that is refused or cut.
    user.forgiven = re.compile(r"ERR_CONNECTION_|ERR_EMPTY_RESPONSE|WebSocket connection to|ERR_SOCKET")
    await user.say("[[tokens 160 rate 20]]")
    await shows_beginning(page)
    said = asyncio.create_task(page.wait_for_selector(STATE.format("waiting"), timeout=20_000, state="attached"))
    async with httpx.AsyncClient(base_url=user.stack.fields["aws_endpoint_url"], timeout=30) as aws:
        assert (await aws.post(GATEWAY_RESTART)).status_code == 204

    await said
    await page.wait_for_selector(STATE.format("live"))
    await expect(page.locator(".run-foot")).to_be_visible()
    await expect(answers_of(page)).to_have_text(answer(160))
    await expect(page.locator(".connection")).to_be_empty()


async def test_an_image_goes_with_a_message(user: Visitor) -> None:
    page = user.page
    await page.get_by_label("Images", exact=True).set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": PICTURE}
    )
    await expect(page.get_by_role("list", name="Attached images").get_by_role("img")).to_have_count(1)
    await user.say("[[say I see it.]]")

    await expect(answers_of(page)).to_have_text(re.compile("I see it."))
    await page.reload()
    await expect(page.locator("article.user").get_by_role("img")).to_have_attribute(
        "src", re.compile("^data:image/png;")
    )


async def test_threads_are_found_and_deleted(user: Visitor) -> None:
    page = user.page
    threads = page.get_by_role("navigation").get_by_role("link")
    for text in ("Apples", "Pears"):
        await user.say(text)
        await expect(page.locator(".run-foot")).to_be_visible()
        await page.get_by_role("button", name="New thread").click()
        await expect(page.get_by_role("heading", name="What shall we work on?")).to_be_visible()
    await expect(threads).to_have_text(["Pears", "Apples"])
    await page.get_by_label("Search threads").fill("apple")
    await expect(threads).to_have_text(["Apples"])
    await threads.first.click()
    await expect(page.locator("article.user")).to_contain_text("Apples")
    await page.get_by_role("button", name="Delete this thread").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    await expect(page.locator("article")).to_have_count(0)
    await expect(field_of(page)).to_be_focused()
    await page.get_by_label("Search threads").fill("")
    await expect(threads).to_have_text(["Pears"])


async def test_a_thread_is_deleted_when_nothing_is_asked_of_it_any_longer(user: Visitor) -> None:
    page = user.page
    await user.say("Apples")
    await expect(page.locator(".run-foot")).to_be_visible()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        asked.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(go_on.wait(), 1)
        await route.continue_()

    await page.route("**/messages?*", held)
    await page.reload()
    await asyncio.wait_for(asked.wait(), 10)
    page.on("response", lambda response: go_on.set() if response.request.method == "DELETE" else None)
    await page.get_by_role("navigation").get_by_role("button", name="Delete “Apples”").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    await expect(page.get_by_role("navigation").get_by_role("link")).to_have_count(0)
    # The console has no 404.
    await page.unroute_all(behavior="wait")


async def test_a_list_of_threads_that_comes_late_is_asked_for_again(user: Visitor) -> None:
    page = user.page
    ended = asyncio.Event()

    async def late(route: Route) -> None:
        response = await route.fetch()
        await ended.wait()
        await route.fulfill(response=response)

    await page.route("**/threads/search", late)
    await user.say("[[tokens 20 rate 20]]")
    await expect(page.locator(".run-foot")).to_be_visible()
    ended.set()
    # What was asked for while the run went on says that it does.
    await expect(page.locator(".thread-mark")).to_have_text("")
    await page.unroute_all(behavior="wait")


async def test_a_failed_run_says_why(user: Visitor) -> None:
    await user.say("[[refuse filter]]")

    await expect(user.page.locator(".run-failed")).to_contain_text("Failed:")


async def test_a_thread_that_is_not_there_is_told(user: Visitor) -> None:
    user.forgiven = re.compile("404")
    await user.page.goto(user.stack.fields["page_url"] + "#/t/00000000-0000-4000-8000-00000000dead")

    await expect(user.page.get_by_role("alert")).to_contain_text("does not exist")
