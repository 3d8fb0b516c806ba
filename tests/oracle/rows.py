"""Calls of assistants and threads."""

from typing import Any
from uuid import uuid4

from tests.oracle.seen import Recorder

AGENT = "agent"
NOBODY = "00000000-0000-4000-8000-000000000000"
ASKING = {"configurable": {"tools": ["ask"], "processor": {"native_tool_calling": True}}}
ASK = '[[tool ask {"text": "Which?"}]] [[say So be it.]]'


def said(text: str) -> dict[str, Any]:
    """A run's input: one message of the user."""
    return {"messages": [{"role": "user", "content": text}]}


async def new_thread(seen: Recorder) -> str:
    """A thread without anything."""
    return (await seen.sdk.threads.create())["thread_id"]


async def assistants(seen: Recorder) -> None:
    """Assistants, from their making to their end."""
    api: Any = seen.sdk.assistants
    call = seen.call
    kind = {"kind": str(uuid4())}
    made = await call(
        "assistants.create", "", api.create(AGENT, {"configurable": {}}, name="first", metadata=kind, description="d")
    )
    some = made["assistant_id"]
    await call("assistants.create", "duplicate", api.create(AGENT, assistant_id=some))
    await call("assistants.create", "do_nothing", api.create(AGENT, assistant_id=some, if_exists="do_nothing"))
    await call("assistants.create", "unknown graph", api.create("nothing"))
    await call("assistants.create", "no UUID", api.create(AGENT, assistant_id="x"))
    await call("assistants.create", "context", api.create(AGENT, context={"a": 1}))
    await call("assistants.get", "", api.get(some))
    await call("assistants.get", "unknown", api.get(NOBODY))
    await call("assistants.get", "no UUID", api.get("nothing"))
    await call("assistants.get", "by the graph's name", api.get(AGENT))
    await call("assistants.search", "", api.search(metadata=kind))
    await call("assistants.search", "by name", api.search(name="first", metadata=kind))
    await call("assistants.search", "another graph", api.search(graph_id="nothing"))
    await call("assistants.search", "limit 0", api.search(limit=0))
    await call("assistants.search", "offset -1", api.search(offset=-1))
    await call("assistants.search", "sorted", api.search(metadata=kind, sort_by="name", sort_order="asc"))
    await call("assistants.search", "unknown order", api.search(sort_by="nothing"))
    await call("assistants.search", "selected", api.search(metadata=kind, select=["assistant_id", "name"]))
    await api.create(AGENT, name="another", metadata=kind)
    await call("assistants.search", "as an object", api.search(metadata=kind, limit=1, response_format="object"))
    await call("assistants.count", "", api.count(metadata=kind))
    await call("assistants.count", "by name", api.count(name="first", metadata=kind))
    await call("assistants.update", "", api.update(some, name="second", metadata={"more": 1}))
    await call("assistants.update", "unknown", api.update(NOBODY, name="second"))
    await call("assistants.update", "unknown graph", api.update(some, graph_id="nothing"))
    await call("assistants.get_versions", "", api.get_versions(some))
    await call("assistants.get_versions", "by metadata", api.get_versions(some, metadata={"more": 1}))
    await call("assistants.get_versions", "unknown", api.get_versions(NOBODY))
    await call("assistants.get_versions", "limit 1", api.get_versions(some, limit=1))
    await call("assistants.set_latest", "", api.set_latest(some, 1))
    await call("assistants.set_latest", "unknown", api.set_latest(NOBODY, 1))
    await call("assistants.set_latest", "unknown version", api.set_latest(some, 99))
    await call("assistants.delete", "", api.delete(some))
    await call("assistants.delete", "unknown", api.delete(NOBODY))


async def threads(seen: Recorder) -> None:
    """Threads, from their making to their end."""
    api: Any = seen.sdk.threads
    call = seen.call
    some, kind = str(uuid4()), {"kind": str(uuid4())}
    await call("threads.create", "", api.create(thread_id=some, metadata=kind, graph_id=AGENT))
    await call("threads.create", "duplicate", api.create(thread_id=some))
    await call("threads.create", "do_nothing", api.create(thread_id=some, if_exists="do_nothing"))
    await call("threads.create", "no UUID", api.create(thread_id="x"))
    await call("threads.create", "unknown word", api.create(if_exists="x"))
    await call("threads.get", "", api.get(some))
    await call("threads.get", "unknown", api.get(NOBODY))
    await call("threads.get", "no UUID", api.get("x"))
    await call("threads.update", "", api.update(some, metadata={"b": 2}))
    await call("threads.update", "minimal", api.update(some, metadata={"b": 3}, return_minimal=True))
    await call("threads.update", "unknown", api.update(NOBODY, metadata={"b": 2}))
    await call("threads.search", "", api.search(metadata=kind))
    await call("threads.search", "by status", api.search(metadata=kind, status="idle"))
    await call("threads.search", "by ids", api.search(ids=[some]))
    await call("threads.search", "unknown status", api.search(status="x"))
    await call("threads.search", "limit 0", api.search(limit=0))
    await call("threads.search", "offset -1", api.search(offset=-1))
    await call("threads.search", "sorted", api.search(metadata=kind, sort_by="updated_at", sort_order="asc"))
    await call("threads.search", "unknown order", api.search(sort_by="x"))
    await api.create(metadata=kind)
    await call("threads.search", "first page", api.search(metadata=kind, limit=1))
    await call("threads.search", "selected", api.search(metadata=kind, select=["thread_id", "status"]))
    await call("threads.search", "selected unknown", api.search(metadata=kind, select=["nothing"]))
    await call("threads.count", "", api.count(metadata=kind))
    await call("threads.count", "by status", api.count(metadata=kind, status="busy"))
    await call("threads.delete", "", api.delete(some))
    await call("threads.delete", "unknown", api.delete(NOBODY))
    await call("threads.delete", "no UUID", api.delete("x"))


async def states(seen: Recorder) -> None:
    """Threads' states: empty, written, after a run, while somebody is asked, after an error."""
    api: Any = seen.sdk.threads
    runs: Any = seen.sdk.runs
    call = seen.call
    some = await new_thread(seen)
    await call("threads.get_state", "empty", api.get_state(some))
    await call("threads.get_state", "unknown", api.get_state(NOBODY))
    await call("threads.get_history", "empty", api.get_history(some))
    await call("threads.get_history", "unknown", api.get_history(NOBODY))
    await call("threads.update_state", "unknown", api.update_state(NOBODY, said("x")))
    await runs.wait(some, AGENT, input=said("[[say One.]]"))
    await call("threads.get", "after a run", api.get(some))
    state = await call("threads.get_state", "after a run", api.get_state(some))
    at = state["checkpoint"]
    await call("threads.get_state", "at a checkpoint", api.get_state(some, checkpoint=at))
    await call("threads.get_state", "at its id", api.get_state(some, checkpoint_id=at["checkpoint_id"]))
    await call("threads.get_state", "at an unknown id", api.get_state(some, checkpoint_id=NOBODY))
    await call("threads.get_state", "selected", api.get_state(some, select=["values"]))
    await call("threads.update_state", "", api.update_state(some, said("Remember."), as_node=AGENT))
    await call("threads.update_state", "nothing", api.update_state(some, None, as_node=AGENT))
    await call("threads.update_state", "no messages", api.update_state(some, "x", as_node=AGENT))
    await call("threads.get_history", "", api.get_history(some))
    await call("threads.get_history", "limit 1", api.get_history(some, limit=1))
    await call("threads.get_history", "limit 0", api.get_history(some, limit=0))
    await call("threads.get_history", "before", api.get_history(some, before=at, limit=1))
    asked = await new_thread(seen)
    await runs.wait(asked, AGENT, input=said(ASK), config=ASKING)
    await call("threads.get", "asked", api.get(asked))
    await call("threads.get_state", "asked", api.get_state(asked))
    failed = await new_thread(seen)
    await runs.join(failed, (await runs.create(failed, AGENT, input=said("[[status 400]]")))["run_id"])
    await call("threads.get", "failed", api.get(failed))
    await call("threads.get_state", "failed", api.get_state(failed))
