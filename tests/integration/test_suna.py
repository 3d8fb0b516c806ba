"""Suna's own routes through the HTTP function."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.conftest import StartFunction
from tests.integration.deployed import Answer, Deployed, HttpApi

HANDLER = "functions.api.http.main.handler"


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function(HANDLER))


def _multipart(
    http: HttpApi, account_id: str, *parts: tuple[str, str, str | None], boundary: str = "b", **headers: str
) -> Answer:
    """``POST /api/agent/initiate`` with (name, value, file name) as browsers send them."""
    lines: list[str] = []
    for name, value, file_name in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        lines += [f"--{boundary}", f'content-disposition: form-data; name="{name}"{file}', "", value]
    body = "\r\n".join([*lines, f"--{boundary}--", ""])
    return http.request(
        "POST",
        "/api/agent/initiate",
        body,
        account_id=account_id,
        headers={"content-type": f"multipart/form-data; boundary={boundary}", **headers},
        binary=True,
    )


async def test_an_agent_is_initiated_with_a_prompt(http: HttpApi, deployed: Deployed, account_id: str) -> None:
    answer = _multipart(
        http,
        account_id,
        ("prompt", "Grüße", None),
        ("model_name", "openai/gpt-4o", None),
        ("stream", "true", None),
        ("enable_context_manager", "false", None),
    )
    assert answer.status == 200, answer.body
    assert answer.body.keys() == {"thread_id", "agent_run_id"}
    state = http.request("GET", f"/threads/{answer.body['thread_id']}/state", account_id=account_id).body
    assert [message["content"] for message in state["values"]["messages"]] == ["Grüße"]
    agent = json.loads((await deployed.database.run(UUID(answer.body["agent_run_id"])))["config"])["agent"]
    assert (agent["model"], agent["enable_context_manager"]) == ("openai/gpt-4o", False)


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([], 422, "invalid_argument"),
        ([("prompt", "", None)], 422, "invalid_argument"),
        ([("prompt", "a\0b", None)], 422, "invalid_argument"),
        ([("prompt", "hi", None), ("agent_id", "nobody", None)], 404, "not_found"),
        ([("prompt", "hi", None), ("files", "text", "a.exe")], 422, "invalid_argument"),
        ([("prompt", "hi", None), ("files", "text", "../a.txt")], 422, "invalid_argument"),
    ],
    ids=["no prompt", "an empty prompt", "a prompt with NUL", "an unknown agent", "a program", "a path"],
)
def test_what_cannot_be_initiated_leaves_nothing(
    http: HttpApi, account_id: str, parts: Any, status: int, code: str
) -> None:
    answer = _multipart(http, account_id, *parts)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert http.request("POST", "/threads/count", {}, account_id=account_id).body == 0


def test_initiating_with_a_key_is_done_once(http: HttpApi, account_id: str) -> None:
    first = _multipart(http, account_id, ("prompt", "hi", None), **{"idempotency-key": "k"})
    again = _multipart(http, account_id, ("prompt", "hi", None), boundary="other", **{"idempotency-key": "k"})
    assert (again.status, again.body) == (200, first.body)
    other = _multipart(http, account_id, ("prompt", "bye", None), **{"idempotency-key": "k"})
    assert (other.status, other.body["code"]) == (422, "invalid_argument")
    assert http.request("POST", "/threads/count", {}, account_id=account_id).body == 1


@pytest.fixture
def thread_id(http: HttpApi, account_id: str) -> str:
    thread_id = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    http.request("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "hi"}, account_id=account_id)
    return thread_id


async def test_an_agent_is_started_shown_listed_and_stopped(
    http: HttpApi, deployed: Deployed, account_id: str, thread_id: str
) -> None:
    def ask(method: str, path: str, body: object = None) -> Any:
        answer = http.request(method, f"/api{path}", body, account_id=account_id)
        assert answer.status == 200, answer.body
        return answer.body

    started = ask("POST", f"/thread/{thread_id}/agent/start", {"stream": True})
    assert started["status"] == "queued"
    run_id = started["agent_run_id"]
    shown = ask("GET", f"/agent-run/{run_id}")
    assert shown == {
        "id": run_id,
        "threadId": thread_id,
        "status": "queued",
        "startedAt": None,
        "completedAt": None,
        "error": None,
    }
    second = ask("POST", f"/thread/{thread_id}/agent/start")["agent_run_id"]
    listed = ask("GET", f"/thread/{thread_id}/agent-runs")["agent_runs"]
    assert [run["id"] for run in listed] == [second, run_id]
    assert ask("POST", f"/agent-run/{run_id}/stop") == {"status": "stopped"}
    assert ask("POST", f"/agent-run/{run_id}/stop") == {"status": "stopped"}
    assert ask("GET", f"/agent-run/{run_id}")["error"] == "stop: the run was stopped"
    await deployed.database.set_run(UUID(second), status="'timed_out'")
    assert ask("GET", f"/agent-run/{second}")["status"] == "failed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/thread/{thread}/agent/start"),
        ("GET", "/thread/{thread}/agent-runs"),
        ("GET", "/agent-run/{run}"),
        ("GET", "/agent-run/{run}/stream"),
        ("POST", "/agent-run/{run}/stop"),
    ],
)
def test_what_is_not_yours_is_not_there(http: HttpApi, account_id: str, thread_id: str, method: str, path: str) -> None:
    run_id = http.request("POST", f"/api/thread/{thread_id}/agent/start", {}, account_id=account_id).body[
        "agent_run_id"
    ]
    for thread, run in ((thread_id, run_id), (uuid4(), uuid4())):
        body = {} if method == "POST" else None
        answer = http.request(method, "/api" + path.format(thread=thread, run=run), body, account_id="a stranger")
        assert (answer.status, answer.body["code"]) == (404, "not_found")
