"""Two accounts do what they like, at random, and never see anything of each other."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import ALL_CHANNELS, eventually, subscribed
from tests.e2e.threads import ended_run, new_thread
from tests.e2e.threads import start_run as start_run_of
from tests.security.credentials import Secrets
from tests.webhook_receiver import Receiver, receiving

_QUIET_S = 0.3


@dataclass
class Account:
    """``mark``: a word in all that it says and names; ``told``: all that it was answered."""

    stack: RunningStack
    http: httpx.AsyncClient
    client: Stack
    mark: str
    hook_url: str
    secret: str = ""
    threads: list[str] = field(default_factory=list[str])
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    assistants: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])

    async def ask(self, method: str, path: str, **how: Any) -> Any:
        """A request; its answer, or None for a refusal."""
        answer = await self.http.request(method, path, **how)
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
        # What was asked with is no news.
        self.told.append(answer.text.replace(path, ""))
        return answer.json() if answer.is_success and answer.content else None


type Step = Callable[[Account, Account, int], Awaitable[None]]


def _one(things: list[Any], number: int) -> Any:
    return things[number % len(things)] if things else None


def _run(account: Account) -> dict[str, Any]:
    said = {"role": "user", "content": f"[[first 0]] [[rate 0]] [[say {account.mark}]]"}
    return {
        "assistant_id": "agent",
        "input": {"messages": [said]},
        "metadata": {"of": account.mark},
        "webhook": account.hook_url,
    }


async def make_thread(me: Account, _other: Account, _number: int) -> None:
    thread = await me.ask("POST", "/threads", json={"metadata": {"of": me.mark}})
    me.threads.append(thread["thread_id"])


async def make_assistant(me: Account, _other: Account, _number: int) -> None:
    body = {"graph_id": "agent", "name": me.mark, "metadata": {"of": me.mark}}
    if (assistant := await me.ask("POST", "/assistants", json=body)) is not None:
        me.assistants.append(assistant["assistant_id"])


async def start_run(me: Account, _other: Account, number: int) -> None:
    if thread := _one(me.threads, number):
        run = await me.ask("POST", f"/threads/{thread}/runs", json=_run(me))
        if run is not None:
            me.runs.append(run)
            await ended_run(me.http, run)


async def read_own(me: Account, _other: Account, number: int) -> None:
    if thread := _one(me.threads, number):
        for path in ("", "/state", "/messages", "/runs", "/history"):
            assert await me.ask("GET", f"/threads/{thread}{path}") is not None


async def list_everything(me: Account, _other: Account, _number: int) -> None:
    for path in ("/threads/search", "/assistants/search", "/threads/count"):
        await me.ask("POST", path, json={})
    await me.ask("GET", "/api-keys")


async def read_the_others(me: Account, other: Account, number: int) -> None:
    if thread := _one(other.threads, number):
        for path in ("", "/state", "/messages", "/runs", "/history"):
            assert await me.ask("GET", f"/threads/{thread}{path}") is None
    if run := _one(other.runs, number):
        for path in ("", "/join", "/stream"):
            assert await me.ask("GET", f"/threads/{run['thread_id']}/runs/{run['run_id']}{path}") is None
        assert await me.ask("GET", f"/api/agent-run/{run['run_id']}") is None
    if assistant := _one(other.assistants, number):
        assert await me.ask("GET", f"/assistants/{assistant}") is None


async def change_the_others(me: Account, other: Account, number: int) -> None:
    if thread := _one(other.threads, number):
        for path, body in (("/runs", _run(me)), ("/messages", {"role": "user", "content": me.mark})):
            assert await me.ask("POST", f"/threads/{thread}{path}", json=body) is None
        assert await me.ask("PATCH", f"/threads/{thread}", json={"metadata": {"of": me.mark}}) is None
        assert await me.ask("DELETE", f"/threads/{thread}") is None
        if own := _one(me.threads, number):
            # Its own thread under the other's run, and the other's assistant on its own.
            for run in other.runs[-1:]:
                assert await me.ask("POST", f"/threads/{own}/runs/{run['run_id']}/cancel") is None
            for assistant in other.assistants[-1:]:
                assert await me.ask("POST", f"/threads/{own}/runs", json=_run(me) | {"assistant_id": assistant}) is None


async def watch_own(me: Account, _other: Account, number: int) -> None:
    if thread := _one(me.threads, number):
        await _watch(me, thread)


async def watch_the_others(me: Account, other: Account, number: int) -> None:
    if thread := _one(other.threads, number):
        # While something happens there.
        await asyncio.gather(_watch(me, thread), start_run(other, me, number))


async def _watch(me: Account, thread: str) -> None:
    async with connect(me.client.websocket_url(thread), additional_headers=me.client.headers) as socket:
        params = {"channels": ALL_CHANNELS, "since": 0}
        await socket.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": params}))
        try:
            while True:
                async with asyncio.timeout(_QUIET_S):
                    me.told.append(str(await socket.recv()))
        except TimeoutError:
            pass


STEPS: list[Step] = [
    make_thread,
    make_assistant,
    start_run,
    read_own,
    list_everything,
    read_the_others,
    change_the_others,
    watch_own,
    watch_the_others,
]


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from(STEPS), st.integers(0, 9)), min_size=15, max_size=40),
)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_two_accounts_never_see_each_other(
    stack: RunningStack, secrets: Secrets, hook_port: int, steps: list[tuple[bool, Step, int]]
) -> None:
    async with receiving(hook_port) as receiver:
        pair = [_account(stack, secrets, hook_port) for _ in range(2)]
        try:
            for account in pair:
                other = pair[account is pair[0]]
                for step in (make_thread, start_run, make_assistant):
                    await step(account, other, 0)
                account.secret = (await account.ask("GET", "/webhooks/secret"))["secret"]
                secrets.add(account.secret)
            for is_first, step, number in steps:
                await step(pair[not is_first], pair[is_first], number)
            runs = sum(len(account.runs) for account in pair)
            await eventually(lambda: _delivered(receiver), lambda ids: len(ids) == runs)
        finally:
            for account in pair:
                await account.http.aclose()
    for me, other in (pair, pair[::-1]):
        seen = [told for told in me.told if other.mark in told or other.secret in told]
        assert not seen, seen[:3]
        # What its receiver was told is its own, and signed with its own secret.
        sent = [delivery for delivery in receiver.deliveries if delivery.path.endswith(me.mark)]
        assert {delivery.webhook_id for delivery in sent} == {run["run_id"] for run in me.runs}
        for delivery in sent:
            assert delivery.is_signed_with(me.secret)
            assert not delivery.is_signed_with(other.secret)
            assert other.mark not in delivery.body.decode()
        # It does see what is its own.
        assert any(me.mark in told for told in me.told)


async def _delivered(receiver: Receiver) -> set[str]:
    return {delivery.webhook_id for delivery in receiver.deliveries}


def _account(stack: RunningStack, secrets: Secrets, hook_port: int) -> Account:
    account_id = str(uuid.uuid4())
    token = stack.token(account_id)
    secrets.add(token)
    client = Stack(base_url=stack.base_url, token=token)
    own = httpx.AsyncClient(base_url=stack.base_url, headers=client.headers, timeout=60)
    mark = f"mark{uuid.uuid4().hex}"
    # What is said is nobody else's business, an operator's neither.
    secrets.add(mark)
    return Account(stack, own, client, mark, f"http://127.0.0.1:{hook_port}/{mark}")


async def test_a_stranger_who_knows_a_threads_id_and_pings_reads_nothing_of_it(stack: RunningStack) -> None:
    # GIVEN a private thread on which something was said
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=stack.client_of(str(uuid.uuid4())).headers, timeout=30
    ) as owner:
        thread_id = await new_thread(owner)
        await ended_run(owner, await start_run_of(owner, thread_id, "[[say a secret]]"))
    # WHEN somebody else, whose credential ends soon, watches its id from the beginning and pings until it is over
    credential = stack.token(str(uuid.uuid4()), exp=int(time.time()) + 6)
    heard: list[dict[str, Any]] = []
    async with subscribed(Stack(base_url=stack.base_url, token=credential), thread_id, since=0) as stranger:
        with suppress(ConnectionClosed):
            while True:
                await stranger.send(json.dumps({"id": 1, "method": "ping", "params": {}}))
                heard.append(json.loads(await stranger.recv()))
                await asyncio.sleep(0.1)
    # THEN nothing of it was heard but answers.
    assert heard
    assert [frame for frame in heard if frame.get("type") == "event"] == []
