"""The main job: a message goes in over HTTP, its answer comes out over WebSocket, and both are kept."""

import uuid
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx

from clients.terminal.stack import Stack
from tests.e2e.following import command, events_of_run, eventually, subscribed, text_of
from tests.e2e.threads import ended_run, new_thread, start_run


async def test_an_answer_streams_and_is_kept(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, "[[tokens 30 rate 100]]")
        events = await events_of_run(socket)

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["params"]["run_id"] for event in events} == {run["run_id"]}
    kinds = [event["params"]["data"]["event"] for event in events]
    assert kinds[:3] == ["running", "message-start", "content-block-start"]
    assert kinds[-3:] == ["content-block-finish", "message-finish", "completed"]
    streamed = text_of(events)
    assert streamed.split() == [f"token{number}" for number in range(1, 31)]

    assert (await ended_run(http, run))["status"] == "success"
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    assert [(message["type"], message["content"]) for message in state["values"]["messages"]] == [
        ("human", "[[tokens 30 rate 100]]"),
        ("ai", streamed),
    ]
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"


async def test_deltas_are_merged_and_the_first_leaves_at_once(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        await start_run(http, thread_id, "[[first 0]] [[tokens 100 rate 100]]")
        events = await events_of_run(socket)

    deltas = [event["params"] for event in events if event["params"]["data"]["event"] == "content-block-delta"]
    assert deltas[0]["data"]["delta"]["text"].split() == ["token1"]
    gaps_ms = [later["timestamp"] - earlier["timestamp"] for earlier, later in pairwise(deltas)]
    # The last delta is flushed by the end of its block, whenever that comes.
    assert min(gaps_ms[:-1]) >= 95


async def test_two_clients_of_one_thread_get_the_same_events(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as one, subscribed(client, thread_id) as other:
        await start_run(http, thread_id, "[[tokens 50 rate 200]]")
        first, second = await events_of_run(one), await events_of_run(other)
    assert len(first) > 5
    assert first == second


async def test_a_subscription_gets_only_the_channels_it_asked_for(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id, channels=["lifecycle"]) as socket:
        await start_run(http, thread_id, "hello")
        events = await events_of_run(socket)
    assert [event["params"]["data"]["event"] for event in events] == ["running", "completed"]


async def test_a_conversation_goes_on_over_several_runs(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        await start_run(http, thread_id, "[[remember colour blue]] hello")
        first = await events_of_run(socket)
        await start_run(http, thread_id, "[[recall colour]]")
        second = await events_of_run(socket)
    assert text_of(second) == "colour = blue"
    assert second[0]["seq"] == first[-1]["seq"] + 1


async def test_runs_of_one_thread_follow_each_other(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        runs = [await start_run(http, thread_id, f"[[say answer {number}]]") for number in range(3)]
        answers = [text_of(await events_of_run(socket)) for _ in runs]
    assert answers == ["answer 0", "answer 1", "answer 2"]
    assert {(await ended_run(http, run))["status"] for run in runs} == {"success"}


async def test_a_run_started_by_command_makes_its_thread(client: Stack) -> None:
    thread_id = str(uuid.uuid4())
    async with subscribed(client, thread_id) as socket:
        answer = await command(
            socket, "run.start", {"assistant_id": "agent", "input": {"messages": [{"type": "human", "content": "hi"}]}}
        )
        events = await events_of_run(socket)
    assert {event["params"]["run_id"] for event in events} == {answer["result"]["run_id"]}


async def test_a_failing_model_fails_the_run_and_the_thread_goes_on(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, "[[status 500]]")
        events = await events_of_run(socket)
        failed = await ended_run(http, run)
        thread = (await http.get(f"/threads/{thread_id}")).json()
        await start_run(http, thread_id, "[[say better now]]")
        again = await events_of_run(socket)

    assert events[-1]["params"]["data"]["event"] == "failed"
    assert events[-2]["params"]["data"]["event"] == "error"  # the open message was closed first
    assert (failed["status"], failed["error"]["code"]) == ("error", "model_unavailable")
    assert thread["status"] == "error"
    assert text_of(again) == "better now"


async def test_one_request_can_be_followed_through_the_logs(
    http: httpx.AsyncClient, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    thread_id = await new_thread(http)
    answer = await http.post(
        f"/threads/{thread_id}/runs",
        json={"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]}},
    )
    await ended_run(http, answer.json())
    request_id = answer.headers["x-request-id"]

    async def ask() -> list[dict[str, Any]]:
        return [line for line in log_lines() if line.get("request_id") == request_id]

    lines = await eventually(ask, lambda found: any(line["message"] == "ended" for line in found))
    ended = next(line for line in lines if line["message"] == "ended")
    assert (ended["thread_id"], ended["agent_run_id"]) == (thread_id, answer.json()["run_id"])
    assert len({line["file"] for line in lines}) == 2  # the API's log and the runner's
