"""``Idempotency-Key`` on whatever creates something."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.e2e.threads import ended_run, new_thread

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
CREATING: list[tuple[str, dict[str, Any]]] = [
    ("/threads", {"metadata": {"made_by": "test"}}),
    ("/threads/{thread_id}/runs", RUN),
    ("/threads/{thread_id}/messages", {"role": "user", "content": "by the way"}),
    ("/threads/{thread_id}/commands", {"id": 1, "method": "run.start", "params": RUN}),
    ("/assistants", {"graph_id": "agent", "name": "mine"}),
]


@pytest.mark.parametrize(("path", "body"), CREATING, ids=[path for path, _ in CREATING])
async def test_the_same_request_gets_the_same_answer(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    url = path.format(thread_id=await new_thread(http))
    headers = {"idempotency-key": "once"}
    answers = await asyncio.gather(*(http.post(url, json=body, headers=headers) for _ in range(3)))
    answers.append(await http.post(url, json=dict(reversed(body.items())), headers=headers))
    assert {answer.status_code for answer in answers} <= {200, 201}, answers[0].text
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert (await http.post(url, json=body)).json() != answers[0].json()


async def test_another_body_is_refused_and_says_what_to_do(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    headers = {"idempotency-key": "once"}
    first = await http.post(f"/threads/{thread_id}/runs", json=RUN, headers=headers)
    again = await http.post(f"/threads/{thread_id}/runs", json=RUN, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["run_id"] == first.json()["run_id"]
    other = await http.post(f"/threads/{thread_id}/runs", json={**RUN, "metadata": {"a": 1}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "invalid_argument")
    assert "a new request needs a new key" in other.json()["message"]
    assert (await ended_run(http, first.json()))["status"] == "success"


async def test_a_key_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/threads", json={}, headers={"idempotency-key": "k" * 256})
    assert answer.status_code == 422
    assert "1 to 255" in answer.json()["message"]
