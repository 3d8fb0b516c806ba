"""Having more than the plan allows, or having it for nothing."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.abuse import Account, Attack, limited
from tests.e2e.conftest import RunningStack
from tests.e2e.following import ALL_CHANNELS, next_frame, subscribed
from tests.e2e.threads import cancelled, ended_run, new_thread, start_run, stored_messages
from tests.mutants import Mutant
from tests.mutants.security import MUTANTS

_ALL = {mutant.name: mutant for mutant in MUTANTS}
_LONG = " ".join(f"word{number}" for number in range(20_000))
_ENDLESS = "[[first 0]] [[endless rate 20]]"


async def hold_the_function(stack: RunningStack) -> bool:
    """Requests that wait for a run that does not end: each holds an environment of the HTTP function."""
    account = await limited(stack, max_waits=2)
    async with account.http() as http:
        run = await start_run(http, await new_thread(http), _ENDLESS)
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/join"
        waiting = [asyncio.create_task(http.get(path)) for _ in range(4)]
        # Those that are refused are so at once.
        await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await cancelled(http, run)
        answers = await asyncio.gather(*waiting)
        await ended_run(http, run)
    return all(answer.status_code != 429 for answer in answers)


@asynccontextmanager
async def _deaf(account: Account, thread_id: str) -> AsyncGenerator[ClientConnection]:
    """A connection that asks for everything again and again, and takes nothing of it."""
    taking = socket.socket()
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    server = urlsplit(account.stack.base_url)
    taking.connect((server.hostname, server.port))
    taking.setblocking(False)
    async with connect(
        account.client.websocket_url(thread_id),
        sock=taking,
        additional_headers=account.client.headers,
        max_queue=1,
        compression=None,
        ping_interval=None,
        close_timeout=0,
    ) as opened:
        for number in range(12):
            params = {"channels": [*ALL_CHANNELS, f"custom:{number}"], "since": 0}
            await opened.send(json.dumps({"id": number, "method": "subscription.subscribe", "params": params}))
            opened.transport.pause_reading()
            # Until all has been posted again: what the sockets hold is full in the end, and whoever posts waits.
            await asyncio.sleep(0.7)
        try:
            yield opened
        finally:
            opened.transport.abort()


async def deafen_the_senders(stack: RunningStack) -> bool:
    """Deaf readers of a public thread: whoever posts to them has no time for a private one of the same account."""
    owner, stranger = await limited(stack, max_senders=1), Account(stack)
    private = await owner.thread("something private")
    async with owner.http() as http:
        public = (await http.post("/threads", json={"is_public": True})).json()["thread_id"]
        for _ in range(2):
            await ended_run(http, await start_run(http, public, f"[[first 0]] [[rate 0]] [[say {_LONG}]]"))
    async with _deaf(stranger, public), subscribed(owner.client, private, since=0) as own:
        try:
            async with asyncio.timeout(15):
                await next_frame(own)
        except TimeoutError:
            return True
    return False


async def _creates(stack: RunningStack, path: str, body: dict[str, Any], limit: str) -> bool:
    """Whether an account makes four of what its plan allows two of."""
    account = await limited(stack, **{limit: 2})
    async with account.http() as http:
        path = path.format(thread_id=await new_thread(http) if "{" in path else "")
        answers = [await http.post(path, json=body) for _ in range(4)]
    return all(answer.is_success for answer in answers)


async def make_threads(stack: RunningStack) -> bool:
    return await _creates(stack, "/threads", {}, "max_threads")


async def make_assistants(stack: RunningStack) -> bool:
    return await _creates(stack, "/assistants", {"graph_id": "agent"}, "max_assistants")


async def make_keys(stack: RunningStack) -> bool:
    return await _creates(stack, "/api-keys", {"name": "one of many"}, "max_api_keys")


async def announce_files(stack: RunningStack) -> bool:
    body = {"name": "a.txt", "content_type": "text/plain", "size": 1}
    return await _creates(stack, "/threads/{thread_id}/files", body, "max_files")


async def call_many_tools(stack: RunningStack) -> bool:
    """Ten calls of one answer, where three are executed."""
    account = await limited(stack, max_answer_tool_calls=3)
    calls = "[[tools parallel" + ' http_fetch {"url": "ftp://no"}' * 10 + "]] [[say done]]"
    async with account.http() as http:
        thread_id = await new_thread(http)
        await ended_run(http, await start_run(http, thread_id, calls))
        results = [message for message in await stored_messages(http, thread_id) if message["type"] == "tool"]
    return sum("not executed" not in json.dumps(result) for result in results) > 3


async def use_a_model_of_another_plan(stack: RunningStack) -> bool:
    account = await limited(stack, models=["openai/second"], max_run_cost_usd=None, max_day_cost_usd=None)
    async with account.http() as http:
        thread_id = await new_thread(http)
        body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
        started = await http.post(f"/threads/{thread_id}/runs", json=body)
        if started.status_code == 403:
            return False
        return (await ended_run(http, started.raise_for_status().json()))["status"] == "success"


async def connect_on_and_on(stack: RunningStack) -> bool:
    account = await limited(stack, requests_per_minute=10, request_burst=5)
    url = account.client.websocket_url(await account.thread())
    async with AsyncExitStack() as opened:
        try:
            for _ in range(12):
                await opened.enter_async_context(connect(url, additional_headers=account.client.headers))
        except InvalidStatus:
            return False
    return True


async def _sends_on_and_on(stack: RunningStack, frame: str) -> bool:
    """Whether a connection may send fifteen frames where its plan allows five."""
    account = await limited(stack, requests_per_minute=10, request_burst=5)
    url = account.client.websocket_url(await account.thread())
    try:
        async with connect(url, additional_headers=account.client.headers) as socket:
            for _ in range(15):
                await socket.send(frame)
                if "requests a minute" in str(await socket.recv()):
                    return False
    except ConnectionClosed:
        return False
    return True


async def ping_on_and_on(stack: RunningStack) -> bool:
    return await _sends_on_and_on(stack, json.dumps({"id": 1, "method": "ping", "params": {}}))


async def ask_for_what_is_not_there(stack: RunningStack) -> bool:
    return await _sends_on_and_on(stack, json.dumps({"id": 1, "method": "no.such", "params": {}}))


async def send_what_is_no_frame(stack: RunningStack) -> bool:
    return await _sends_on_and_on(stack, "{")


async def _usage(http: httpx.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    return (await ended_run(http, run)).get("usage") or {}


async def stop_before_the_bill(stack: RunningStack) -> bool:
    """An answer that is stopped before its last chunk, which says what it cost."""
    account = Account(stack)
    async with account.http() as http:
        thread_id = await new_thread(http)
        async with subscribed(account.client, thread_id) as socket:
            run = await start_run(http, thread_id, _ENDLESS)
            while (await next_frame(socket))["params"]["data"].get("event") != "content-block-delta":
                pass
        await cancelled(http, run)
        return not (await _usage(http, run)).get("output_tokens")


async def use_a_model_without_a_price(stack: RunningStack) -> bool:
    account = await limited(stack, max_run_cost_usd=1)
    async with account.http() as http:
        config = {"configurable": {"model": "openai/second"}}
        run = await start_run(http, await new_thread(http), "[[say for nothing]]", config=config)
        return (await ended_run(http, run))["status"] == "success"


def _without(*names: str) -> tuple[Mutant, ...]:
    return tuple(_ALL[name] for name in names)


_MESSAGES = _without("websocket: messages are free")

ATTACKS = (
    Attack("holding the function that everybody asks", hold_the_function, _without("waits: no place is taken")),
    Attack(
        "a private stream that waits for deaf strangers",
        deafen_the_senders,
        _without(
            "sender: readers are served on the places of whose thread it is",
            "sender: readers are served for as long as whose thread it is",
        ),
    ),
    Attack("more threads than the plan allows", make_threads, _without("holdings: threads are not counted")),
    Attack("more assistants than the plan allows", make_assistants, _without("holdings: assistants are not counted")),
    Attack("more keys than the plan allows", make_keys, _without("holdings: keys are not counted")),
    Attack("more files than the plan allows", announce_files, _without("holdings: announced files are not counted")),
    Attack("hundreds of tool calls in one answer", call_many_tools, _without("tools: as many as the model likes")),
    Attack(
        "a model that the plan does not pay for",
        use_a_model_of_another_plan,
        _without("models: the API takes any", "models: the runner takes any"),
    ),
    Attack("connecting on and on", connect_on_and_on, _without("websocket: connecting is free")),
    Attack("pinging on and on", ping_on_and_on, _MESSAGES),
    Attack("commands that there are not, on and on", ask_for_what_is_not_there, _MESSAGES),
    Attack("frames that are none, on and on", send_what_is_no_frame, _MESSAGES),
    Attack(
        "an answer that is stopped before its bill",
        stop_before_the_bill,
        _without("what was asked for and given up is not charged"),
    ),
    Attack(
        "a model whose price nobody knows",
        use_a_model_without_a_price,
        _without("a model without a price is had for nothing"),
    ),
)
