"""``state.get`` over the WebSocket: the answer of ``GET /threads/{thread_id}/state``, as far as a message holds it."""

from uuid import uuid4

import httpx
from langchain_protocol import protocol
from pydantic import TypeAdapter

from clients.terminal.stack import Stack
from tests.e2e.following import command, events_of_run, subscribed
from tests.e2e.threads import new_thread

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "[[say Hello.]]"}]}}


async def test_the_state_is_that_of_http_and_of_the_protocols_type(client: Stack, http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id, ["lifecycle"]) as socket:
        empty = await command(socket, "state.get", {"namespace": []})
        assert empty["type"] == "success"
        assert "checkpoint" not in empty["result"]
        assert empty["result"]["values"] == {"messages": []}
        assert (await command(socket, "run.start", RUN))["type"] == "success"
        await events_of_run(socket)
        answer = (await command(socket, "state.get", {"namespace": []}))["result"]
        chosen = (await command(socket, "state.get", {"namespace": [], "keys": ["nothing"]}))["result"]
        elsewhere = await command(socket, "state.get", {"namespace": ["agent"]})
    TypeAdapter(protocol.StateGetResult).validate_python(answer)
    over_http = (await http.get(f"/threads/{thread_id}/state")).json()
    newest = over_http["checkpoint"]["checkpoint_id"]
    assert answer == {**over_http, "checkpoint": {**over_http["checkpoint"], "id": newest, "ns": ""}}
    assert [message["type"] for message in answer["values"]["messages"]] == ["human", "ai"]
    assert chosen == {**answer, "values": {}}
    assert (elsewhere["type"], elsewhere["error"]) == ("error", "no_such_namespace")


async def test_a_state_that_no_message_holds_is_refused_with_the_route_that_has_it(
    client: Stack, http: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    said = {"values": {"messages": [{"role": "user", "content": "x" * 125_000}]}}
    (await http.post(f"/threads/{thread_id}/state", json=said)).raise_for_status()
    async with subscribed(client, thread_id, ["lifecycle"]) as socket:
        fitting = await command(socket, "state.get", {"namespace": []})
        (await http.post(f"/threads/{thread_id}/state", json=said)).raise_for_status()
        refused = await command(socket, "state.get", {"namespace": []})
    assert fitting["type"] == "success"
    assert (refused["type"], refused["error"]) == ("error", "invalid_argument")
    assert f"GET /threads/{thread_id}/state" in refused["message"]
    body = {"id": 3, "method": "state.get", "params": {"namespace": []}}
    over_http = (await http.post(f"/threads/{thread_id}/commands", json=body)).json()
    assert len(over_http["result"]["values"]["messages"]) == 2


async def test_nobody_else_gets_it(http: httpx.AsyncClient) -> None:
    body = {"id": 4, "method": "state.get", "params": {"namespace": []}}
    answer = (await http.post(f"/threads/{uuid4()}/commands", json=body)).json()
    assert (answer["type"], answer["error"]) == ("error", "invalid_argument")
