"""Assistants: made, changed in versions, used by runs, deleted; and nobody else's business."""

import uuid

import httpx

from tests.e2e.conftest import RunningStack
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages


async def test_an_assistant_has_versions_and_runs_get_the_one_that_is_set(
    stack: RunningStack, http: httpx.AsyncClient
) -> None:
    made = await http.post(
        "/assistants",
        json={
            "graph_id": "agent",
            "name": "Poet",
            "metadata": {"team": "verse"},
            "config": {"configurable": {"system_prompt": "You are a poet.", "temperature": 0.5}},
        },
    )
    assert made.status_code == 200, made.text
    poet = made.json()
    assert (poet["version"], poet["name"], poet["metadata"]) == (1, "Poet", {"team": "verse"})
    assert poet["config"]["configurable"] == {"system_prompt": "You are a poet.", "temperature": 0.5}

    changed = await http.patch(
        f"/assistants/{poet['assistant_id']}", json={"config": {"configurable": {"system_prompt": "You are a critic."}}}
    )
    assert (changed.json()["version"], changed.json()["name"]) == (2, "Poet")
    found = (await http.post("/assistants/search", json={"metadata": {"team": "verse"}})).json()
    assert [(assistant["assistant_id"], assistant["version"]) for assistant in found] == [(poet["assistant_id"], 2)]
    versions = (await http.post(f"/assistants/{poet['assistant_id']}/versions")).json()
    assert [version["version"] for version in versions] == [2, 1]

    assert await system_prompt_of_a_run(stack, http, poet["assistant_id"]) == "You are a critic."
    await http.post(f"/assistants/{poet['assistant_id']}/latest", json={"version": 1})
    assert await system_prompt_of_a_run(stack, http, poet["assistant_id"]) == "You are a poet."

    assert (await http.delete(f"/assistants/{poet['assistant_id']}")).status_code == 204
    assert (await http.get(f"/assistants/{poet['assistant_id']}")).status_code == 404


async def system_prompt_of_a_run(stack: RunningStack, http: httpx.AsyncClient, assistant_id: str) -> str:
    """The system prompt that the model was given in a run of the assistant."""
    mark = uuid.uuid4().hex
    thread_id = await new_thread(http)
    await ended_run(http, await start_run(http, thread_id, f"[[say ok]] {mark}", assistant_id=assistant_id))
    async with httpx.AsyncClient(base_url=stack.fields["model_url"]) as model:
        calls = (await model.get("/calls", params={"contains": mark})).json()["calls"]
    return calls[-1]["body"]["messages"][0]["content"]


async def test_a_run_overrides_its_assistant(stack: RunningStack, http: httpx.AsyncClient) -> None:
    made = await http.post("/assistants", json={"config": {"configurable": {"model": "openai/one"}}})
    thread_id = await new_thread(http)
    run = await start_run(
        http,
        thread_id,
        "[[say ok]]",
        assistant_id=made.json()["assistant_id"],
        config={"configurable": {"model": "openai/other", "user_id": "a client's own field"}},
    )
    await ended_run(http, run)
    assert (await stored_messages(http, thread_id))[-1]["metadata"]["model"] == "openai/other"


async def test_the_default_assistant_is_there_and_cannot_be_changed(http: httpx.AsyncClient) -> None:
    default = await http.get("/assistants/agent")
    assert default.json()["config"]["configurable"]["tools"] == ["ask", "expand_message", "http_fetch"]
    assert (await http.get(f"/assistants/{default.json()['assistant_id']}")).json() == default.json()
    assert (await http.patch("/assistants/agent", json={"name": "mine"})).status_code == 409
    taken = await http.post("/assistants", json={"assistant_id": default.json()["assistant_id"]})
    assert taken.status_code == 409


async def test_what_is_wrong_with_an_assistant_is_named(http: httpx.AsyncClient) -> None:
    for configurable, named in [
        ({"tools": ["hammer"]}, "hammer"),
        ({"model": "gpt-17"}, "gpt-17"),
        ({"temprature": 1}, "temprature"),
        ({"processor": {"xml_adding_strategy": "inline_edit"}}, "xml_adding_strategy"),
        ({"mcp_servers": [{"name": "x", "url": "ftp://example.org"}]}, "mcp_servers.0.url"),
    ]:
        answer = await http.post("/assistants", json={"config": {"configurable": configurable}})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")
        assert named in answer.json()["message"], answer.text
    assert (await http.post("/assistants", json={"graph_id": "other"})).status_code == 404


async def test_headers_of_mcp_servers_are_never_shown(http: httpx.AsyncClient) -> None:
    server = {"name": "x", "url": "https://example.org/mcp", "headers": {"authorization": "Bearer secret"}}
    made = await http.post("/assistants", json={"config": {"configurable": {"mcp_servers": [server]}}})
    assert made.status_code == 200
    assert "secret" not in made.text
    assert made.json()["config"]["configurable"]["mcp_servers"][0]["headers"] == {"authorization": "***"}


async def test_a_strangers_assistant_does_not_exist(stack: RunningStack, http: httpx.AsyncClient) -> None:
    made = (await http.post("/assistants", json={"name": "mine"})).json()
    path = f"/assistants/{made['assistant_id']}"
    headers = {"authorization": f"Bearer {stack.token(str(uuid.uuid4()))}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers) as stranger:
        for method, suffix, body in [
            ("GET", "", None),
            ("PATCH", "", {"name": "theirs"}),
            ("DELETE", "", None),
            ("POST", "/versions", {}),
            ("POST", "/latest", {"version": 1}),
        ]:
            assert (await stranger.request(method, path + suffix, json=body)).status_code == 404
        assert (await stranger.post("/assistants/search", json={})).json() == []
        thread_id = await new_thread(stranger)
        refused = await stranger.post(
            f"/threads/{thread_id}/runs", json={"assistant_id": made["assistant_id"], "input": {"messages": ["hi"]}}
        )
        assert refused.status_code == 404
    assert (await http.get(path)).json()["name"] == "mine"
