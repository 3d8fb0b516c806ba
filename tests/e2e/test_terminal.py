"""The chat in a terminal: typed into, and read."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ROOT, RunningStack
from tests.e2e.following import eventually
from tests.e2e.threads import new_assistant, stored_messages
from tests.e2e.typing_at import CTRL_C, CTRL_D, Terminal

NATIVE = {"native_tool_calling": True, "xml_tool_calling": False}


@pytest.fixture
def terminal(stack: RunningStack, account_id: str, tmp_path: Path) -> Callable[..., Terminal]:
    """A terminal with the account's chat, by the chat's arguments."""
    fields = stack.fields | {"token": stack.token(account_id)}
    (tmp_path / "stack.json").write_text(json.dumps(fields), encoding="utf-8")
    return lambda *arguments: Terminal(ROOT, tmp_path, *arguments)


async def _only_thread(http: httpx.AsyncClient) -> str:
    [thread] = (await http.post("/threads/search", json={})).json()
    return thread["thread_id"]


async def test_an_answer_streams_and_an_old_thread_is_gone_on_with(
    terminal: Callable[..., Terminal], http: httpx.AsyncClient
) -> None:
    async with terminal() as chat:
        await chat.shows("Type a message")
        chat.type("[[say a **bold** word]] [[tokens 30 rate 30]]")
        await chat.shows("Ctrl-C stops the run")
        await chat.shows("first token after")
        chat.type("/threads")
        await chat.shows("idle")
        await chat.shows("[[say a **bold** word]]")
        chat.type("/nonsense")
        await chat.shows("/open N")
        chat.type(f"/open {'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}")
        await chat.shows("The service refused: 404")
        chat.press(CTRL_D)
        assert await chat.ended() == 0
    thread_id = await _only_thread(http)
    async with terminal("--thread", thread_id) as chat:
        assert "a bold word" in await chat.shows("token30")
        chat.type("[[say again]]")
        await chat.shows("first token after")
    assert [message["type"] for message in await stored_messages(http, thread_id)] == ["user", "assistant"] * 2


async def test_ctrl_c_stops_the_run_and_not_the_program(
    terminal: Callable[..., Terminal], http: httpx.AsyncClient
) -> None:
    async with terminal() as chat:
        await chat.shows("Type a message")
        chat.type("[[endless rate 20]]")
        await chat.shows("token5")
        chat.press(CTRL_C)
        await chat.shows("Stopped.")
        chat.type("[[say and on it goes]]")
        await chat.shows("first token after")
        chat.press(CTRL_D)
        assert await chat.ended() == 0
    runs = (await http.get(f"/threads/{await _only_thread(http)}/runs")).json()
    assert sorted(run["status"] for run in runs) == ["interrupted", "success"]


async def test_ctrl_d_that_is_pressed_too_early_ends_the_program_after_the_answer(
    terminal: Callable[..., Terminal], http: httpx.AsyncClient
) -> None:
    async with terminal() as chat:
        await chat.shows("Type a message")
        chat.type("[[tokens 40 rate 20]]")
        await chat.shows("token5")
        chat.press(CTRL_D)
        await chat.shows("first token after")
        assert await chat.ended() == 0
    [run] = (await http.get(f"/threads/{await _only_thread(http)}/runs")).json()
    assert run["status"] == "success"


async def test_a_restarted_gateway_is_connected_to_again(
    terminal: Callable[..., Terminal], stack: RunningStack
) -> None:
    async with terminal() as chat:
        await chat.shows("Type a message")
        chat.type("[[tokens 120 rate 20]]")
        await chat.shows("token10")
        async with httpx.AsyncClient(base_url=stack.fields["aws_endpoint_url"], timeout=30) as aws:
            assert (await aws.post("/_suna/gateway/restart")).status_code == 204
        assert "The run failed" not in await chat.shows("token120")
        await chat.shows("first token after")


@pytest.mark.parametrize(("typed", "told"), [("yes", "launched at mars"), ("no", "declined")])
async def test_a_call_is_approved_or_declined(
    terminal: Callable[..., Terminal], http: httpx.AsyncClient, probed: RunningStack, typed: str, told: str
) -> None:
    assistant = await new_assistant(http, tools=["probe", "ask"], processor=NATIVE)
    async with terminal("--assistant", assistant) as chat:
        await chat.shows("Type a message")
        chat.type('[[tool launch {"target": "mars"}]] [[tool ask {"text": "which colour?"}]] [[say thank you]]')
        await chat.shows("May it execute launch")
    # Whoever asked goes on, also for somebody who comes back and does not name it.
    async with terminal("--thread", await _only_thread(http)) as chat:
        await chat.shows("May it execute launch")
        chat.type("perhaps")
        await chat.shows("yes or no:")
        chat.type(typed)
        await chat.shows("answer:")
        chat.type("blue")
        await chat.shows("first token after")
    assert told in str(await stored_messages(http, await _only_thread(http)))


async def test_a_run_that_goes_on_is_joined_and_a_question_is_asked_again(
    terminal: Callable[..., Terminal], http: httpx.AsyncClient
) -> None:
    async with terminal() as chat:
        await chat.shows("Type a message")
        chat.type('[[tokens 100 rate 20]] [[tool ask {"text": "which colour?"}]] [[say thank you]]')
        await chat.shows("token5")
    thread_id = await _only_thread(http)
    async with terminal("--thread", thread_id) as chat:
        await chat.shows("token1 ")
        await chat.shows("answer:")

    async def status() -> str:
        return (await http.get(f"/threads/{thread_id}")).json()["status"]

    await eventually(status, lambda answer: answer == "interrupted")
    async with terminal("--thread", thread_id) as chat:
        await chat.shows("which colour?")
        chat.type("red")
        await chat.shows("thank you")
        await chat.shows("first token after")
