"""Agent Protocol's agents: views of the assistants."""

import httpx
import jsonschema
import pytest

from tests.e2e.conftest import RunningStack
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run

# Of the protocol's specification (0.1.6): what an Agent and an AgentSchema must have.
AGENT = {
    "type": "object",
    "required": ["agent_id", "name", "capabilities"],
    "properties": {
        "agent_id": {"type": "string"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "metadata": {"type": "object"},
        "capabilities": {
            "type": "object",
            "properties": {"ap.io.messages": {"type": "boolean"}, "ap.io.streaming": {"type": "boolean"}},
        },
    },
}
SCHEMAS = ("input_schema", "output_schema", "state_schema", "config_schema")


async def test_agents_are_the_one_that_everybody_has_and_ones_own(http: httpx.AsyncClient) -> None:
    mine = [await new_assistant(http, system_prompt="Be brief.") for _ in range(3)]
    found = (await http.post("/agents/search", json={})).json()
    for agent in found:
        jsonschema.validate(agent, AGENT)
    ids = [agent["agent_id"] for agent in found]
    assert found[0]["name"] == "agent"
    assert ids[1:] == mine[::-1]
    pages = [(await http.post("/agents/search", json={"limit": 2, "offset": at})).json() for at in (0, 2, 4)]
    assert [agent["agent_id"] for page in pages for agent in page] == ids
    assert [len(page) for page in pages] == [2, 2, 0]
    assert (await http.post("/agents/search", json={"limit": 1, "offset": 0})).json() == found[:1]
    assert (await http.post("/agents/search", json={"name": "UNTITLED"})).json() == found[1:]
    assert (await http.post("/agents/search", json={"metadata": {"created_by": "system"}})).json() == found[:1]
    assert (await http.post("/agents/search", json={"metadata": {"no": 1}})).json() == []
    for agent in found:
        assert (await http.get(f"/agents/{agent['agent_id']}")).json() == agent
    assert (await http.get("/agents/agent")).json() == found[0]


async def test_an_agents_schemas_fit_what_it_takes_and_gives(http: httpx.AsyncClient) -> None:
    schemas = (await http.get("/agents/agent/schemas")).json()
    assert schemas["agent_id"] == (await http.get("/agents/agent")).json()["agent_id"]
    for name in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schemas[name])
    given = {"messages": [{"role": "user", "content": "[[say Hello.]]"}]}
    jsonschema.validate(given, schemas["input_schema"])
    jsonschema.validate({"tools": ["ask"], "queue_time_s": 5}, schemas["config_schema"])
    for wrong, name in (({"messages": [{"content": 7}]}, "input_schema"), ({"tools": "ask"}, "config_schema")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schemas[name])
    # By the id that is shown, which is a UUID.
    thread_id = await new_thread(http)
    await ended_run(http, await start_run(http, thread_id, "[[say Hello.]]", assistant_id=schemas["agent_id"]))
    values = (await http.get(f"/threads/{thread_id}/state")).json()["values"]
    assert [message["type"] for message in values["messages"]] == ["human", "ai"]
    jsonschema.validate(values, schemas["state_schema"])


async def test_what_is_not_there_or_not_yours_is_not_found(stack: RunningStack, http: httpx.AsyncClient) -> None:
    mine = await new_assistant(http)
    headers = {"authorization": f"Bearer {stack.token('a stranger to agents')}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers) as stranger:
        for path in (f"/agents/{mine}", f"/agents/{mine}/schemas", "/agents/nothing", "/agents/nothing/schemas"):
            assert (await stranger.get(path)).status_code == 404
        assert [agent["name"] for agent in (await stranger.post("/agents/search")).json()] == ["agent"]
    assert (await http.post("/agents/search", json={"limit": 0})).status_code == 422
