"""Stopping runs on the deployed stack: wherever a run is, its end is told once, and its thread goes on."""

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from clients.terminal.stack import Stack
from tests.e2e.following import command, events_of_run, eventually, next_frame, subscribed
from tests.e2e.threads import cancelled, ended_run, new_thread, start_run, stored_messages

# Thirty seconds of answer: long enough to be stopped in.
SLOW = "[[tokens 600 rate 20]]"


async def _speaks(socket: ClientConnection) -> None:
    """Wait until the model's answer is on its way."""
    while True:
        frame = await next_frame(socket)
        if frame["type"] == "event" and frame["params"]["data"].get("event") == "content-block-delta":
            return


def _ends(events: list[dict[str, Any]]) -> list[str]:
    words = [event["params"]["data"] for event in events if event["method"] == "lifecycle"]
    return [word.get("error", word["event"]) for word in words if word["event"] != "running"]


async def test_a_run_is_stopped_in_the_middle_of_an_answer(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, SLOW)
        await _speaks(socket)
        stopped = await cancelled(http, run, wait=1)
        assert (stopped["status"], stopped["error"]["code"]) == ("interrupted", "stop")
        assert _ends(await events_of_run(socket)) == ["stop: the run was stopped"]
    # What was said so far is kept; stopping again changes nothing, and says what there is.
    assert (await stored_messages(http, thread_id))[-1]["type"] == "assistant"
    assert await cancelled(http, run) == stopped


async def test_a_queued_run_ends_at_once_and_the_running_one_goes_on(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        running = await start_run(http, thread_id, SLOW)
        await _speaks(socket)
        queued = await start_run(http, thread_id, "later")
        stopped = await cancelled(http, queued)
        assert (stopped["status"], stopped["error"]["code"]) == ("interrupted", "stop")
        # Its end is told by whoever holds the thread's log: the running one's executor.
        told = await events_of_run(socket)
        assert told[-1]["params"]["run_id"] == queued["run_id"]
        assert (await cancelled(http, running, wait=1))["status"] == "interrupted"


async def test_an_interrupting_run_takes_the_place_of_the_running_one(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        first = await start_run(http, thread_id, SLOW)
        await _speaks(socket)
        second = await start_run(http, thread_id, "and now?", multitask_strategy="interrupt")
        assert (await ended_run(http, second))["status"] == "success"
        first = await ended_run(http, first)
        assert (first["status"], first["error"]["code"]) == ("interrupted", "interrupt")


async def test_a_rolled_back_run_leaves_no_message(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        first = await start_run(http, thread_id, SLOW)
        await _speaks(socket)
        second = await start_run(http, thread_id, "instead", multitask_strategy="rollback")
        assert (await ended_run(http, second))["status"] == "success"
        assert (await ended_run(http, first))["error"]["code"] == "rollback"
    kept = await stored_messages(http, thread_id)
    assert {message["agent_run_id"] for message in kept} == {second["run_id"]}


async def test_a_run_is_stopped_by_a_command(http: httpx.AsyncClient, client: Stack) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket:
        run = await start_run(http, thread_id, SLOW)
        await _speaks(socket)
        async with subscribed(client, thread_id, ["lifecycle"]) as second:
            answer = await command(second, "run.cancel", {"run_id": run["run_id"]})
            assert answer["type"] == "success", answer
        assert (await ended_run(http, run))["status"] == "interrupted"


async def test_many_are_stopped_at_once_and_only_what_has_ended_can_be_deleted(
    http: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    runs = [await start_run(http, thread_id, SLOW) for _ in range(2)]
    path = f"/threads/{thread_id}/runs/{runs[0]['run_id']}"

    async def status() -> str:
        return (await http.get(path)).json()["status"]

    await eventually(status, lambda word: word == "running")
    assert (await http.delete(path)).status_code == 409
    answer = await http.post("/runs/cancel", json={"thread_id": thread_id})
    assert answer.status_code == 200, answer.text
    assert {run["run_id"] for run in answer.json()} == {run["run_id"] for run in runs}
    for run in runs:
        assert (await ended_run(http, run))["status"] == "interrupted"
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_strangers_stop_nothing(stack: Any, http: httpx.AsyncClient, action: str) -> None:
    thread_id = await new_thread(http)
    run = await start_run(http, thread_id, "hello")
    stranger = {"authorization": f"Bearer {stack.token('a stranger')}"}
    path = f"/threads/{thread_id}/runs/{run['run_id']}/cancel"
    answer = await http.post(path, params={"action": action}, headers=stranger)
    assert answer.status_code == 404, answer.text
    assert (await ended_run(http, run))["status"] == "success"


async def test_a_stop_without_saying_which_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/runs/cancel", json={})
    assert answer.status_code == 422
    assert "run_ids" in answer.json()["message"]
