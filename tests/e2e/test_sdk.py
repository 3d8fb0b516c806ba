"""The unmodified ``langgraph-sdk`` against the deployed stack: what docs/sdk.md says, method by method."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, InternalServerError, NotFoundError
from langgraph_sdk.schema import RunCreate, StreamPart

from shared.domain import Json
from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually
from tests.unit.test_sdk_table import sdk_table

AGENT = "agent"

type Check = Callable[[LangGraphClient], Awaitable[None]]

WORKS: dict[str, Check] = {}


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


@pytest.fixture
async def sdk(stack: RunningStack, account_id: str) -> AsyncGenerator[LangGraphClient]:
    """The SDK as a user configures it."""
    headers = {"authorization": f"Bearer {stack.token(account_id)}"}
    async with get_client(url=stack.base_url, api_key=None, headers=headers) as client:
        yield client


async def _taken(parts: AsyncIterator[StreamPart]) -> list[StreamPart]:
    return [part async for part in parts]


async def _thread(sdk: LangGraphClient) -> str:
    return (await sdk.threads.create())["thread_id"]


async def _ended_run(sdk: LangGraphClient, text: str = "[[say done]]") -> tuple[str, str]:
    """A thread and its run, which has ended."""
    thread_id = await _thread(sdk)
    run = await sdk.runs.create(thread_id, AGENT, input=said(text))
    await sdk.runs.join(thread_id, run["run_id"])
    return thread_id, run["run_id"]


def _texts(values: Any) -> list[str]:
    return [message["content"] for message in values["messages"]]


def works(method: str) -> Callable[[Check], Check]:
    """Marks what a method of the client is checked by."""

    def mark(check: Check) -> Check:
        WORKS[method] = check
        return check

    return mark


@works("assistants.create")
@works("assistants.get")
@works("assistants.search")
@works("assistants.count")
@works("assistants.update")
@works("assistants.get_versions")
@works("assistants.set_latest")
@works("assistants.delete")
async def _assistants(sdk: LangGraphClient) -> None:
    made = await sdk.assistants.create(
        AGENT, {"configurable": {"system_prompt": "Be brief."}}, name="first", metadata={"kind": "x"}
    )
    assistant_id = made["assistant_id"]
    assert (await sdk.assistants.get(assistant_id))["name"] == "first"
    [found] = await sdk.assistants.search(metadata={"kind": "x"})
    assert found["assistant_id"] == assistant_id
    assert await sdk.assistants.count(metadata={"kind": "x"}) == 1
    await sdk.assistants.update(assistant_id, name="second")
    assert [version["version"] for version in await sdk.assistants.get_versions(assistant_id)] == [2, 1]
    assert (await sdk.assistants.set_latest(assistant_id, 1))["name"] == "first"
    await sdk.assistants.delete(assistant_id)
    with pytest.raises(NotFoundError):
        await sdk.assistants.get(assistant_id)


@works("threads.create")
@works("threads.get")
@works("threads.update")
@works("threads.search")
@works("threads.count")
@works("threads.delete")
async def _threads(sdk: LangGraphClient) -> None:
    thread_id = str(uuid4())
    made = await sdk.threads.create(thread_id=thread_id, metadata={"a": 1}, graph_id=AGENT)
    assert (made["thread_id"], made["status"], made["interrupts"]) == (thread_id, "idle", {})
    with pytest.raises(ConflictError):
        await sdk.threads.create(thread_id=thread_id)
    assert (await sdk.threads.create(thread_id=thread_id, if_exists="do_nothing"))["metadata"] == made["metadata"]
    assert await sdk.threads.update(thread_id, metadata={"b": 2}, return_minimal=True) is None
    assert (await sdk.threads.get(thread_id))["metadata"] == {"a": 1, "b": 2, "graph_id": AGENT}
    [found] = await sdk.threads.search(metadata={"b": 2}, status="idle", sort_by="updated_at", sort_order="asc")
    assert found["thread_id"] == thread_id
    assert await sdk.threads.search(metadata={"b": 2}, select=["status"]) == [{"status": "idle"}]
    assert await sdk.threads.count(metadata={"b": 2}, status="idle") == 1
    await sdk.threads.delete(thread_id)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(thread_id)


@works("threads.get_state")
@works("threads.update_state")
@works("threads.get_history")
async def _states(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    updated = await sdk.threads.update_state(thread_id, said("remember this"), as_node=AGENT)
    state = await sdk.threads.get_state(thread_id)
    assert (_texts(state["values"]), state["next"]) == (["remember this"], [])
    assert state["checkpoint"] == updated["checkpoint"]
    await sdk.runs.wait(thread_id, AGENT, input=said("[[say noted]]"))
    history = await sdk.threads.get_history(thread_id, limit=5)
    assert [len(cast("Json", past["values"])["messages"]) for past in history] == [3, 2, 1]
    [first] = await sdk.threads.get_history(thread_id, before=history[1]["checkpoint"])
    assert first["checkpoint"] == state["checkpoint"]
    named: list[Json] = [{"checkpoint": first["checkpoint"]}, {"checkpoint_id": first["checkpoint"]["checkpoint_id"]}]
    for arguments in named:
        assert _texts((await sdk.threads.get_state(thread_id, **arguments))["values"]) == ["remember this"]
    assert (await sdk.threads.get_state(thread_id, select=["values.messages"])).keys() == {"values"}


@works("threads.stream")
async def _thread_stream(sdk: LangGraphClient) -> None:
    # The handshake has only the headers that are given here.
    headers = {"authorization": sdk.http.client.headers["authorization"]}
    async with sdk.threads.stream(assistant_id=AGENT, transport="websocket", headers=headers) as thread:
        await thread.run.start(input=said("[[say Hello there.]]"))
        output = await thread.output
    assert _texts(output)[-1] == "Hello there."


@works("runs.create")
@works("runs.get")
@works("runs.list")
@works("runs.join")
@works("runs.delete")
async def _runs(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    created: list[Any] = []
    run = await sdk.runs.create(
        thread_id, AGENT, input=said("[[say Hi.]]"), metadata={"n": 1}, on_run_created=created.append
    )
    assert created[0]["run_id"] == run["run_id"]
    assert _texts(await sdk.runs.join(thread_id, run["run_id"])) == ["[[say Hi.]]", "Hi."]
    got = await sdk.runs.get(thread_id, run["run_id"])
    assert (got["status"], got["metadata"]) == ("success", {"n": 1})
    assert await sdk.runs.list(thread_id, status="success") == [got]
    assert await sdk.runs.list(thread_id, select=["run_id"]) == [{"run_id": run["run_id"]}]
    await sdk.runs.delete(thread_id, run["run_id"])
    assert await sdk.runs.list(thread_id) == []


@works("runs.wait")
async def _wait(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    created: list[Any] = []
    values = await sdk.runs.wait(thread_id, AGENT, input=said("[[say Hi.]]"), on_run_created=created.append)
    assert _texts(values) == ["[[say Hi.]]", "Hi."]
    assert (await sdk.runs.get(thread_id, created[0]["run_id"]))["status"] == "success"
    with pytest.raises(Exception, match="model"):
        await sdk.runs.wait(thread_id, AGENT, input=said("[[status 400]]"))
    asked: Any = await sdk.runs.wait(
        thread_id,
        AGENT,
        input=said('[[tool ask {"text": "Which?"}]]'),
        config={"configurable": {"tools": ["ask"], "processor": {"native_tool_calling": True}}},
    )
    [interrupt] = asked["__interrupt__"]
    assert interrupt["value"]["arguments"] == {"text": "Which?"}
    thread = await sdk.threads.get(thread_id)
    assert (thread["status"], [item["id"] for [item] in thread["interrupts"].values()]) == (
        "interrupted",
        [interrupt["id"]],
    )
    answered = await sdk.runs.wait(thread_id, AGENT, command={"resume": "[[say The second.]]"})
    assert _texts(answered)[-1] == "The second."
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


@works("runs.stream")
async def _stream(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    parts = await _taken(
        sdk.runs.stream(
            thread_id, AGENT, input=said("[[say One two.]]"), stream_mode=["values", "messages", "messages-tuple"]
        )
    )
    assert (parts[0].event, parts[-1].event) == ("metadata", "end")
    values = [part.data for part in parts if part.event == "values"]
    assert _texts(values[0]) == ["[[say One two.]]"]
    assert _texts(values[-1]) == ["[[say One two.]]", "One two."]
    chunks = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert "".join(chunks) == "One two."
    [complete] = [part.data for part in parts if part.event == "messages/complete"]
    assert complete[0]["content"] == "One two."
    typed = [part async for part in sdk.runs.stream(thread_id, AGENT, input=said("[[say Hi.]]"), version="v2")]
    assert [part["type"] for part in typed][-1] == "values"


@works("runs.join_stream")
async def _join_stream(sdk: LangGraphClient) -> None:
    thread_id, run_id = await _ended_run(sdk, "[[tokens 30 rate 0]]")
    modes: Any = ["values", "messages", "updates", "custom", "events"]
    whole = await _taken(sdk.runs.join_stream(thread_id, run_id, stream_mode=modes))
    assert (whole[0].event, whole[-1].event) == ("metadata", "end")
    for place in range(0, len(whole) - 1, 3):
        rest = sdk.runs.join_stream(thread_id, run_id, stream_mode=modes, last_event_id=whole[place].id)
        assert whole[: place + 1] + await _taken(rest) == whole


@works("runs.cancel")
@works("runs.cancel_many")
async def _cancel(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    run = await sdk.runs.create(thread_id, AGENT, input=said("[[endless rate 20]]"))

    async def status() -> str:
        return (await sdk.runs.get(thread_id, run["run_id"]))["status"]

    await eventually(status, lambda word: word == "running")
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True)
    assert await status() == "interrupted"
    run = await sdk.runs.create(thread_id, AGENT, input=said("[[endless rate 20]]"))
    await sdk.runs.cancel_many(thread_id=thread_id, run_ids=[run["run_id"]])
    await eventually(status, lambda word: word == "interrupted")


@pytest.mark.parametrize(
    "check", {check.__name__: check for check in WORKS.values()}.values(), ids=lambda f: f.__name__
)
async def test_what_works(sdk: LangGraphClient, check: Check) -> None:
    await check(sdk)


def _refused(sdk: LangGraphClient) -> dict[str, Awaitable[Any]]:
    """A call of each method that answers 501."""
    some = str(uuid4())
    return {
        "assistants.get_graph": sdk.assistants.get_graph(some),
        "assistants.get_schemas": sdk.assistants.get_schemas(some),
        "assistants.get_subgraphs": sdk.assistants.get_subgraphs(some),
        "threads.copy": sdk.threads.copy(some),
        "threads.join_stream": _joined(sdk, some),
        "threads.prune": sdk.threads.prune([some]),
        "runs.create_batch": sdk.runs.create_batch([cast("RunCreate", {"assistant_id": AGENT})]),
        "crons.count": sdk.crons.count(),
        "crons.create": sdk.crons.create(AGENT, schedule="* * * * *"),
        "crons.create_for_thread": sdk.crons.create_for_thread(some, AGENT, schedule="* * * * *"),
        "crons.delete": sdk.crons.delete(some),
        "crons.search": sdk.crons.search(),
        "crons.update": sdk.crons.update(some, schedule="* * * * *"),
        "store.delete_item": sdk.store.delete_item(["a"], "k"),
        "store.get_item": sdk.store.get_item(["a"], "k"),
        "store.list_namespaces": sdk.store.list_namespaces(["a"]),
        "store.put_item": sdk.store.put_item(["a"], "k", {}),
        "store.search_items": sdk.store.search_items(["a"]),
    }


async def _joined(sdk: LangGraphClient, thread_id: str) -> list[StreamPart]:
    stream: Any = await sdk.threads.join_stream(thread_id)
    return await _taken(stream)


async def test_what_does_not_answers_501_and_says_why(sdk: LangGraphClient) -> None:
    for method, call in _refused(sdk).items():
        with pytest.raises(InternalServerError) as refused:
            await call
        assert (refused.value.status_code, refused.value.code) == (501, "not_supported"), method
        assert len(refused.value.message) > 20, method


async def test_the_table_is_what_was_tried(sdk: LangGraphClient) -> None:
    calls = _refused(sdk)
    for call in calls.values():
        call.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert WORKS.keys() == {method for method, here in sdk_table().items() if here == "works"}
    assert calls.keys() == {method for method, here in sdk_table().items() if here == "501"}


async def test_runs_without_a_thread_are_refused(sdk: LangGraphClient) -> None:
    for call in (
        sdk.runs.create(None, AGENT, input=said("x")),
        _taken(sdk.runs.stream(None, AGENT, input=said("x"))),
    ):
        with pytest.raises(InternalServerError, match="without a thread"):
            await call
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await sdk.runs.wait(None, AGENT, input=said("x"))
    assert refused.value.response.status_code == 501


async def test_events_of_a_thread_over_sse_name_the_websocket(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread_id = await _thread(sdk)
    for path in ("stream", "stream/events"):
        answer = await http.post(f"/threads/{thread_id}/{path}", json={}, headers={"accept": "text/event-stream"})
        assert (answer.status_code, answer.json()["code"]) == (501, "not_supported")
        assert 'transport="websocket"' in answer.json()["message"]


async def test_a_stream_of_several_slices_is_whole(sdk: LangGraphClient) -> None:
    """25 s of answer: the client comes back to where the first body ended, by itself."""
    thread_id = await _thread(sdk)
    created: list[Any] = []
    parts = await _taken(
        sdk.runs.stream(
            thread_id,
            AGENT,
            input=said("[[tokens 250 rate 10]]"),
            stream_mode=["messages-tuple", "values"],
            on_run_created=created.append,
        )
    )
    text = "".join(part.data[0]["content"] for part in parts if part.event == "messages")
    assert text.split() == [f"token{n}" for n in range(1, 251)]
    assert parts[-1].event == "end"
    joined = await _taken(
        sdk.runs.join_stream(thread_id, created[0]["run_id"], stream_mode=["messages-tuple", "values"])
    )
    assert [part for part in parts if "+" not in str(part.id)][1:] == joined[2:]


@pytest.mark.parametrize("taken", [1, 4, 9])
async def test_a_dropped_stream_goes_on_where_it_was_dropped(sdk: LangGraphClient, taken: int) -> None:
    thread_id = await _thread(sdk)
    modes: Any = ["values", "messages"]
    created: list[Any] = []
    stream = sdk.runs.stream(
        thread_id,
        AGENT,
        input=said("[[tokens 60 rate 40]]"),
        stream_mode=modes,
        on_run_created=created.append,
    )
    parts: list[StreamPart] = []
    async for part in stream:
        parts.append(part)
        if len(parts) == taken:
            break
    await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    run_id = created[0]["run_id"]
    parts += await _taken(sdk.runs.join_stream(thread_id, run_id, stream_mode=modes, last_event_id=parts[-1].id))
    whole = await _taken(sdk.runs.join_stream(thread_id, run_id, stream_mode=modes))
    assert parts[2:] == whole[2:]
    assert [(part.event, part.data) for part in parts[:2]] == [(part.event, part.data) for part in whole[:2]]


async def test_a_wait_that_would_last_too_long_names_the_stream(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    run = await sdk.runs.create(thread_id, AGENT, input=said("[[endless rate 5]]"))
    with pytest.raises(httpx.HTTPStatusError) as late:
        await sdk.runs.join(thread_id, run["run_id"])
    assert late.value.response.status_code == 504
    assert "runs.stream" in "".join(late.value.__notes__)
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True)


async def test_a_stranger_follows_nobodys_run(sdk: LangGraphClient, stack: RunningStack) -> None:
    thread_id, run_id = await _ended_run(sdk)
    headers = {"authorization": f"Bearer {stack.token('a stranger')}"}
    async with get_client(url=stack.base_url, api_key=None, headers=headers) as stranger:
        with pytest.raises(NotFoundError):
            await _taken(stranger.runs.join_stream(thread_id, run_id))
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await stranger.runs.join(thread_id, run_id)
        assert refused.value.response.status_code == 404


async def test_what_a_run_cannot_do_is_said(sdk: LangGraphClient) -> None:
    thread_id = await _thread(sdk)
    unsupported_fields: list[Json] = [
        {"interrupt_before": ["agent"]},
        {"context": {"a": 1}},
    ]
    for unsupported in unsupported_fields:
        with pytest.raises(InternalServerError) as refused:
            await sdk.runs.create(thread_id, AGENT, input=said("x"), **unsupported)
        assert refused.value.code == "not_supported"
    with pytest.raises(ConflictError, match="threads do not branch"):
        await sdk.runs.create(thread_id, AGENT, input=said("x"), checkpoint_id=str(uuid4()))
    with pytest.raises(InternalServerError, match="stream_mode 'debug'"):
        await _taken(sdk.runs.stream(thread_id, AGENT, input=said("x"), stream_mode="debug"))
    assert await sdk.runs.list(thread_id) == []
