"""Tools on the deployed stack: both forms, both strategies, everything that can go wrong."""

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack
from tests.e2e.following import command, events_of_run, next_frame, subscribed, text_of
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run, stored_messages

NATIVE = {"native_tool_calling": True, "xml_tool_calling": False}
XML = {"native_tool_calling": False, "xml_tool_calling": True}

pytestmark = pytest.mark.usefixtures("probed")


async def say(
    http: httpx.AsyncClient, text: str, processor: dict[str, Any], **config: Any
) -> tuple[str, dict[str, Any]]:
    """Say ``text`` to an assistant with the probe; the thread and the ended run."""
    assistant = await new_assistant(http, tools=["probe", "ask", "complete"], processor=processor, **config)
    thread_id = await new_thread(http)
    run = await start_run(http, thread_id, text, assistant_id=assistant)
    return thread_id, await ended_run(http, run)


def results(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"]["content"] for message in messages if message["type"] == "tool"]


@pytest.mark.parametrize("on_stream", [False, True])
@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
async def test_native_calls_are_executed_in_every_way(http: httpx.AsyncClient, strategy: str, on_stream: bool) -> None:
    processor = NATIVE | {"tool_execution_strategy": strategy, "execute_on_stream": on_stream}
    calls = '[[tools parallel wait {"seconds": 0.3, "text": "slow"} add {"first": 2, "second": 3} note {"text": "n"}]]'

    thread_id, run = await say(http, f"{calls} [[say all done]]", processor)

    assert run["status"] == "success", run
    messages = await stored_messages(http, thread_id)
    assert [message["type"] for message in messages] == ["user", "assistant", "tool", "tool", "tool", "assistant"]
    called = [call["id"] for call in messages[1]["content"]["tool_calls"]]
    assert [message["content"]["tool_call_id"] for message in messages[2:5]] == called
    assert results(messages) == ["slow", '{"sum": 5}', "noted: 'n'"]
    assert messages[-1]["content"]["content"] == "all done"


async def test_a_tools_life_is_streamed(http: httpx.AsyncClient, client: Stack) -> None:
    assistant = await new_assistant(http, tools=["probe"], processor=NATIVE)
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        await start_run(http, thread_id, '[[tool add {"first": 1, "second": 1}]] [[say two]]', assistant_id=assistant)
        events = await events_of_run(socket)

    tools = [event["params"]["data"] for event in events if event["method"] == "tools"]
    assert [data["event"] for data in tools] == ["tool-started", "tool-finished"]
    assert (tools[0]["tool_name"], tools[0]["input"]) == ("add", {"first": 1, "second": 1})
    assert tools[1]["output"] == {"sum": 2}
    blocks = [event["params"]["data"].get("content", {}) for event in events if event["method"] == "messages"]
    assert any(block.get("type") == "tool_call" and block["name"] == "add" for block in blocks)
    assert text_of(events) == "two"


@pytest.mark.parametrize("on_stream", [False, True])
@pytest.mark.parametrize(("adding", "role"), [("user_message", "user"), ("assistant_message", "assistant")])
async def test_every_xml_call_is_executed_and_values_keep_their_type(
    http: httpx.AsyncClient, client: Stack, adding: str, role: str, on_stream: bool
) -> None:
    processor = XML | {"xml_adding_strategy": adding, "execute_on_stream": on_stream}
    assistant = await new_assistant(http, tools=["probe"], processor=processor)
    thread_id = await new_thread(http)
    script = '[[xml note {"text": "123"}]] [[xml add {"first": 4, "second": 5}]] [[say all done]]'
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, script, assistant_id=assistant)
        events = await events_of_run(socket)

    assert (await ended_run(http, run))["status"] == "success"
    messages = await stored_messages(http, thread_id)
    kept = [message for message in messages if message["type"] == "tool"]
    assert {message["content"]["role"] for message in kept} == {role}
    assert "noted: '123'" in kept[0]["content"]["content"]
    assert '{"sum": 9}' in kept[1]["content"]["content"]
    assert "<function_calls>" in messages[1]["content"]["content"]
    # Clients see text and calls, never the markup.
    assert "<" not in text_of(events)


async def test_no_more_xml_calls_than_allowed(http: httpx.AsyncClient) -> None:
    markup = "".join(
        f'<function_calls><invoke name="note"><parameter name="text">{number}</parameter></invoke></function_calls>'
        for number in range(3)
    )
    thread_id, run = await say(http, f"[[say {markup}]] [[say done]]", XML | {"max_xml_tool_calls": 2})
    assert run["status"] == "success"
    assert len(results(await stored_messages(http, thread_id))) == 2


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("[[malformed add]]", "JSON"),
        ('[[tool dance {"x": 1}]]', "There is no tool 'dance'"),
        ('[[tool add {"first": "one", "second": 2}]]', "first"),
        ("[[tool explode {}]]", "the fuse was lit"),
        ("[[tool confuse {}]]", "cannot be shown"),
        ('[[tool wait {"seconds": 30, "text": "late"}]]', "did not end within 1 s"),
    ],
)
async def test_the_model_is_told_what_went_wrong_and_the_run_goes_on(
    http: httpx.AsyncClient, script: str, told: str
) -> None:
    thread_id, run = await say(http, f"{script} [[say I see]]", NATIVE, limits={"tool_call_s": 1})
    assert run["status"] == "success", run
    messages = await stored_messages(http, thread_id)
    assert told in results(messages)[0]
    assert messages[2]["metadata"]["success"] is False
    assert messages[-1]["content"]["content"] == "I see"


async def test_ten_megabytes_of_output_are_cut_and_the_run_goes_on(http: httpx.AsyncClient) -> None:
    thread_id, run = await say(http, "[[tool flood {}]] [[say I see]]", NATIVE)
    assert run["status"] == "success", run
    messages = await stored_messages(http, thread_id)
    assert len(results(messages)[0]) == 1_000_000
    assert "10,000,000 characters" in results(messages)[0]
    assert messages[-1]["content"]["content"] == "I see"


async def test_calls_are_the_clients_when_execution_is_off(http: httpx.AsyncClient) -> None:
    script = '[[tool note {"text": "x"}]] [[say never]]'
    thread_id, run = await say(http, script, NATIVE | {"execute_tools": False})
    assert run["status"] == "success"
    messages = await stored_messages(http, thread_id)
    assert [message["type"] for message in messages] == ["user", "assistant"]
    assert messages[1]["content"]["tool_calls"][0]["function"]["name"] == "note"


async def test_ask_interrupts_the_thread_and_the_answer_goes_on(http: httpx.AsyncClient, client: Stack) -> None:
    assistant = await new_assistant(http, tools=["ask"], processor=NATIVE)
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, '[[tool ask {"text": "Which colour?"}]]', assistant_id=assistant)
        asked: list[dict[str, Any]] = []
        while not asked or asked[-1]["params"]["data"].get("event") != "interrupted":
            frame = json.loads(await socket.recv())
            asked += [frame] if frame["type"] == "event" else []
        assert (await ended_run(http, run))["status"] == "interrupted"
        assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "interrupted"
        await start_run(http, thread_id, None, assistant_id=assistant, command={"resume": "[[say blue it is]]"})
        answered = await events_of_run(socket)

    (requested,) = [event["params"]["data"] for event in asked if event["method"] == "input.requested"]
    assert requested["payload"]["arguments"] == {"text": "Which colour?"}
    assert text_of(answered) == "blue it is"
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"


async def test_complete_ends_the_run(http: httpx.AsyncClient) -> None:
    thread_id, run = await say(http, '[[tool complete {"text": "done"}]] [[say never]]', NATIVE)
    assert run["status"] == "success"
    assert [message["type"] for message in await stored_messages(http, thread_id)] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("resume", "told"),
    [(True, "launched at mars"), (False, "declined"), ({"approved": True}, "launched at mars"), (None, "gone on")],
)
@pytest.mark.parametrize("on_stream", [False, True])
async def test_a_call_waits_for_approval(
    http: httpx.AsyncClient, resume: bool | dict[str, bool] | None, told: str, on_stream: bool
) -> None:
    assistant = await new_assistant(http, tools=["probe"], processor=NATIVE | {"execute_on_stream": on_stream})
    thread_id = await new_thread(http)
    script = '[[tools parallel launch {"target": "mars"} note {"text": "meanwhile"}]] [[say thanks]]'
    run = await start_run(http, thread_id, script, assistant_id=assistant)
    assert (await ended_run(http, run))["status"] == "interrupted"
    # What needs no approval has been executed, what does has not.
    assert results(await stored_messages(http, thread_id)) == ["noted: 'meanwhile'"]

    if resume is None:
        following = await start_run(http, thread_id, "[[say never mind]]", assistant_id=assistant)
    else:
        following = await start_run(http, thread_id, None, assistant_id=assistant, command={"resume": resume})

    assert (await ended_run(http, following))["status"] == "success"
    answered = results(await stored_messages(http, thread_id))
    assert len(answered) == 2
    assert told in answered[1]


async def test_an_answer_is_given_by_command(http: httpx.AsyncClient, client: Stack) -> None:
    assistant = await new_assistant(http, tools=["probe", "ask"], processor=NATIVE)
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        script = '[[tool launch {"target": "mars"}]] [[tool ask {"text": "sure?"}]] [[say thanks]]'
        run = await start_run(http, thread_id, script, assistant_id=assistant)
        asked = await _next_request(socket)
        assert (await ended_run(http, run))["status"] == "interrupted"
        wrong = await command(socket, "input.respond", {"interrupt_id": "another", "response": True})
        assert (wrong["type"], wrong["error"]) == ("error", "no_such_interrupt")
        approved = await command(socket, "input.respond", {"interrupt_id": asked["interrupt_id"], "response": True})
        assert approved["type"] == "success"

        # The next one is a question: its answer is said to the agent.
        asked = await _next_request(socket)
        second = {"thread_id": thread_id, "run_id": approved["result"]["run_id"]}
        assert (await ended_run(http, second))["status"] == "interrupted"
        answered = await command(
            socket, "input.respond", {"interrupt_id": asked["interrupt_id"], "response": "quite sure"}
        )
        third = {"thread_id": thread_id, "run_id": answered["result"]["run_id"]}
        assert (await ended_run(http, third))["status"] == "success"
        late = await command(socket, "input.respond", {"interrupt_id": asked["interrupt_id"], "response": "again"})
        assert late["error"] == "no_such_interrupt"
    said = [message["content"]["content"] for message in await stored_messages(http, thread_id)]
    assert "launched at mars" in str(said)
    assert "quite sure" in said


async def _next_request(socket: ClientConnection) -> dict[str, Any]:
    while (frame := await next_frame(socket)).get("method") != "input.requested":
        pass
    return frame["params"]["data"]


async def test_what_does_not_exist_is_refused_by_name(stack: RunningStack, http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    refused = {
        "wrench": {"config": {"configurable": {"tools": ["wrench"]}}},
        "nobody/knows-it": {"config": {"configurable": {"model": "nobody/knows-it"}}},
        "ollama/llama3": {"config": {"configurable": {"model": "ollama/llama3"}}},
        "github_copilot/gpt-4o": {"config": {"configurable": {"fallback_models": ["github_copilot/gpt-4o"]}}},
        "gpt-17": {"config": {"configurable": {"model": "gpt-17"}}},
        "max_turns": {"config": {"configurable": {"limits": {"max_turns": 0}}}},
        "inline_edit": {"config": {"configurable": {"processor": {"xml_adding_strategy": "inline_edit"}}}},
    }
    for name, body in refused.items():
        answer = await http.post(
            f"/threads/{thread_id}/runs",
            json={"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "x"}]}, **body},
        )
        assert answer.status_code == 422, (name, answer.text)
        if name != "inline_edit":
            assert name in answer.json()["message"]
    for name in ("11111111-1111-4111-8111-111111111111", "somebody"):
        answer = await http.post(f"/threads/{thread_id}/runs", json={"assistant_id": name, "input": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (name, answer.text)
        assert name in answer.json()["message"]
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []
