"""Threads and runs over REST, as tests need them."""

from typing import Any

import httpx

from tests.e2e.following import eventually


async def new_thread(http: httpx.AsyncClient) -> str:
    """A thread's id."""
    answer = await http.post("/threads", json={"metadata": {"made_by": "test"}})
    assert answer.status_code == 200, answer.text
    return answer.json()["thread_id"]


async def new_assistant(http: httpx.AsyncClient, **configurable: Any) -> str:
    """An assistant's id."""
    answer = await http.post("/assistants", json={"graph_id": "agent", "config": {"configurable": configurable}})
    assert answer.status_code == 200, answer.text
    return answer.json()["assistant_id"]


async def start_run(
    http: httpx.AsyncClient, thread_id: str, text: str | None, *, assistant_id: str = "agent", **body: Any
) -> dict[str, Any]:
    """A run that says ``text``."""
    if text is not None:
        body["input"] = {"messages": [{"role": "user", "content": text}]}
    answer = await http.post(f"/threads/{thread_id}/runs", json={"assistant_id": assistant_id, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ended_run(http: httpx.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    """The run, once it has ended."""

    async def ask() -> dict[str, Any]:
        return (await http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()

    return await eventually(ask, lambda answer: answer["status"] not in {"pending", "running"})


async def cancelled(http: httpx.AsyncClient, run: dict[str, Any], **params: Any) -> dict[str, Any]:
    """The run, which has been told to stop; with ``wait=1``, once it has ended."""
    answer = await http.post(f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored_messages(http: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    """The thread's messages as they are kept."""
    answer = await http.get(f"/threads/{thread_id}/messages", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return answer.json()
