"""Stopping, or reaching through, what everybody shares."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.abuse import Account, Attack, limited, without
from tests.e2e.conftest import RunningStack
from tests.e2e.threads import ended_run, new_thread
from tests.ports import free_port

_DEEP: dict[str, Any] = {}
for _ in range(300):
    _DEEP = {"a": _DEEP}
# Where litellm looks for an Ollama of its own machine.
_OLLAMA_PORT = 11434


@asynccontextmanager
async def _inside(port: int) -> AsyncGenerator[list[bytes]]:
    """A server within the functions' network; what it is asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            asked.append(await reader.read(100))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield asked


async def _run(account: Account, content: Any, **body: Any) -> dict[str, Any]:
    """A run of the account, once it has ended; empty if it is refused."""
    async with account.http() as http:
        said = {"messages": [{"role": "user", "content": content}]}
        answer = await http.post(
            f"/threads/{await new_thread(http)}/runs", json={"assistant_id": "agent", "input": said, **body}
        )
        return await ended_run(http, answer.json()) if answer.is_success else {}


async def reach_inside_by_a_model(stack: RunningStack) -> bool:
    async with _inside(_OLLAMA_PORT) as asked:
        await _run(Account(stack), "hello", config={"configurable": {"model": "ollama/x"}})
        return bool(asked)


async def reach_inside_by_an_image(stack: RunningStack) -> bool:
    port = free_port()
    async with _inside(port) as asked:
        image = {"type": "image_url", "image_url": {"url": f"http://127.0.0.1:{port}/x.png"}}
        await _run(Account(stack), [{"type": "text", "text": "[[say hi]]"}, image])
        return bool(asked)


async def reach_inside_by_a_tool(stack: RunningStack) -> bool:
    port = free_port()
    async with _inside(port) as asked:
        await _run(Account(stack), f'[[tool http_fetch {{"url": "http://127.0.0.1:{port}/"}}]] [[say done]]')
        return bool(asked)


async def reach_inside_by_a_webhook(stack: RunningStack) -> bool:
    port = free_port()
    async with _inside(port) as asked:
        ended = await _run(Account(stack), "[[say hi]]", webhook=f"https://localhost:{port}/")
        # It is delivered after the run.
        for _ in range(50 if ended else 0):
            if asked:
                break
            await asyncio.sleep(0.1)
        return bool(asked)


async def _breaks_lists(stack: RunningStack, path: str, body: dict[str, Any], listed: str) -> bool:
    """Whether a list of the account cannot be answered any more once this was sent."""
    account = Account(stack)
    await account.ask("POST", path, json=body)
    return (await account.ask("POST", listed, json={})).status_code >= 500


async def break_lists_of_threads(stack: RunningStack) -> bool:
    return await _breaks_lists(stack, "/threads", {"metadata": _DEEP}, "/threads/search")


async def break_lists_of_assistants(stack: RunningStack) -> bool:
    body = {"graph_id": "agent", "metadata": _DEEP}
    return await _breaks_lists(stack, "/assistants", body, "/assistants/search")


async def break_a_list_of_messages(stack: RunningStack) -> bool:
    account = Account(stack)
    path = f"/threads/{await account.thread()}/messages"
    await account.ask("POST", path, json={"role": "user", "content": [{"type": "text", "text": "x", "of": _DEEP}]})
    return (await account.ask("GET", path)).status_code >= 500


async def break_lists_by_size(stack: RunningStack) -> bool:
    account = Account(stack)
    for _ in range(2):
        await account.ask("POST", "/threads", json={"metadata": {"a": "x" * 3_500_000}})
    return (await account.ask("POST", "/threads/search", json={})).status_code >= 500


async def ask_too_often(stack: RunningStack) -> bool:
    account = await limited(stack, requests_per_minute=10, request_burst=5)
    async with account.http() as http:
        answers = [await http.post("/threads/count", json={}) for _ in range(15)]
    return all(answer.status_code == 200 for answer in answers)


async def run_too_many_at_once(stack: RunningStack) -> bool:
    account = await limited(stack, max_unfinished_runs=2)
    said = {"messages": [{"role": "user", "content": "[[tokens 30 rate 20]]"}]}
    async with account.http() as http:
        answers = [
            await http.post(f"/threads/{await new_thread(http)}/runs", json={"assistant_id": "agent", "input": said})
            for _ in range(4)
        ]
        for answer in answers:
            if answer.is_success:
                await ended_run(http, answer.json())
    return all(answer.is_success for answer in answers)


async def connect_too_often(stack: RunningStack) -> bool:
    account = await limited(stack, max_connections=2)
    thread_id = await account.thread()
    url = account.client.websocket_url(thread_id)
    async with AsyncExitStack() as opened:
        try:
            for _ in range(4):
                await opened.enter_async_context(connect(url, additional_headers=account.client.headers))
        except InvalidStatus:
            return False
    return True


async def name_a_tool_twice(stack: RunningStack) -> bool:
    """Every run of such an assistant would end in an error of the provider."""
    account = Account(stack)
    async with account.http() as http:
        body = {"graph_id": "agent", "config": {"configurable": {"tools": ["ask", "ask"]}}}
        return (await http.post("/assistants", json=body)).is_success


_PUBLIC = without("shared/network/addresses.py", "        if not is_public(address):", "        if False:")
_DEPTH = without("functions/api/body.py", "if depth > DEEPEST_JSON:", "if False:")

ATTACKS = (
    Attack(
        "reaching inside by a model's name",
        reach_inside_by_a_model,
        (
            without("shared/llm.py", '        await self.check_models([arguments["model"]])\n', ""),
            without("functions/api/assistants.py", "if self.models is None or self.providers is None:", "if True:"),
        ),
    ),
    Attack("reaching inside by an image's address", reach_inside_by_an_image, (_PUBLIC,)),
    Attack("reaching inside by a tool", reach_inside_by_a_tool, (_PUBLIC,)),
    Attack("reaching inside by a webhook", reach_inside_by_a_webhook, (_PUBLIC,)),
    Attack("a list of threads that cannot be answered", break_lists_of_threads, (_DEPTH,)),
    Attack("a list of assistants that cannot be answered", break_lists_of_assistants, (_DEPTH,)),
    Attack("a list of messages that cannot be answered", break_a_list_of_messages, (_DEPTH,)),
    Attack(
        "a list that is too large to be answered",
        break_lists_by_size,
        (
            without("functions/api/body.py", "if size > LARGEST_METADATA_BYTES:", "if False:"),
            without("functions/api/http/middleware.py", 'if not _fits(message.get("body", b"")):', "if False:"),
        ),
    ),
    Attack(
        "asking more often than the plan allows",
        ask_too_often,
        (without("functions/api/limits/limiter.py", "    if verdict.admitted:\n", "    if True:\n"),),
    ),
    Attack(
        "more runs at once than the plan allows",
        run_too_many_at_once,
        (without("shared/database/plans.py", "if self.unfinished_runs < self.max_unfinished_runs:", "if True:"),),
    ),
    Attack(
        "more connections than the plan allows",
        connect_too_often,
        (without("shared/stream/open_connections.py", "    if found > most:", "    if False:"),),
    ),
    Attack(
        "an assistant that ends every run",
        name_a_tool_twice,
        (without("shared/agent_config.py", "AfterValidator(_tools_once)", "AfterValidator(list)"),),
    ),
)
