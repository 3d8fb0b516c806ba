"""Messages that nobody of ours has sent, or sent long ago: refused, logged, nothing changed."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

from tests.e2e.conftest import RunningStack
from tests.e2e.following import eventually
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages

LogLines = Callable[[], list[dict[str, Any]]]


async def _row(stack: RunningStack, run_id: str) -> dict[str, Any]:
    connection = await asyncpg.connect(stack.fields["database_url"])
    try:
        row = await connection.fetchrow("SELECT * FROM agent_runs WHERE agent_run_id = $1", uuid.UUID(run_id))
        assert row is not None
        return dict(row)
    finally:
        await connection.close()


def _send(stack: RunningStack, queue: str, body: str) -> None:
    stack.aws("sqs").send_message(QueueUrl=stack.fields["outputs"][queue], MessageBody=body)


async def _logged(log_lines: LogLines, message: str, **fields: str) -> None:
    async def found() -> bool:
        return any(
            line.get("message") == message and all(line.get(name) == value for name, value in fields.items())
            for line in log_lines()
        )

    await eventually(found, bool)


async def _paused_run(http: httpx.AsyncClient) -> dict[str, Any]:
    """A run that is due in an hour."""
    return await start_run(http, await new_thread(http), "[[say later]]", after_seconds=3600)


async def test_a_message_in_another_accounts_name_moves_nothing(
    stack: RunningStack, http: httpx.AsyncClient, log_lines: LogLines
) -> None:
    run = await _paused_run(http)
    before = await _row(stack, run["run_id"])
    forged = {"agent_run_id": run["run_id"], "thread_id": run["thread_id"], "account_id": "somebody else"}
    for queue in ("RunsQueueUrl", "RetryQueueUrl", "WatchQueueUrl"):
        _send(stack, queue, json.dumps(forged))
    await _logged(log_lines, "not ours to execute", agent_run_id=run["run_id"])
    # It is not due either: whoever asks for it in its own account's name is refused as well.
    _send(stack, "RunsQueueUrl", json.dumps(forged | {"account_id": before["account_id"], "request_id": "early"}))
    await _logged(log_lines, "not ours to execute", agent_run_id=run["run_id"], request_id="early")
    assert await _row(stack, run["run_id"]) == before


async def test_a_message_of_a_run_that_does_not_exist_or_that_is_none_is_dropped(
    stack: RunningStack, log_lines: LogLines
) -> None:
    unknown = str(uuid.uuid4())
    _send(stack, "RunsQueueUrl", json.dumps(dict.fromkeys(("agent_run_id", "thread_id", "account_id"), unknown)))
    await _logged(log_lines, "not ours to execute", agent_run_id=unknown)
    for body in ("garbage", "[]", '{"agent_run_id": "x"}', "[" * 10_000):
        _send(stack, "RunsQueueUrl", body)
        _send(stack, "WatchQueueUrl", body)
    await _logged(log_lines, "a message on the runs queue names no run")
    await _logged(log_lines, "a message on the watch queue is not a watch")


async def test_old_messages_of_an_ended_run_change_nothing(
    stack: RunningStack, http: httpx.AsyncClient, log_lines: LogLines
) -> None:
    run = await start_run(http, await new_thread(http), "[[say done]]")
    await ended_run(http, run)

    async def row() -> dict[str, Any]:
        return await _row(stack, run["run_id"])

    before = await eventually(row, lambda found: found["settled_at"] is not None)
    messages = await stored_messages(http, run["thread_id"])
    body = {"agent_run_id": run["run_id"], "thread_id": run["thread_id"], "account_id": before["account_id"]}
    for queue in ("RunsQueueUrl", "RetryQueueUrl", "WatchQueueUrl"):
        _send(stack, queue, json.dumps(body | {"request_id": f"replayed {queue}"}))
    for queue in ("RunsQueueUrl", "RetryQueueUrl"):
        await _logged(log_lines, "not ours to execute", request_id=f"replayed {queue}")
    assert await row() == before
    assert await stored_messages(http, run["thread_id"]) == messages


async def test_a_workflow_that_nobody_has_handed_over_to_ends_quietly(
    stack: RunningStack, http: httpx.AsyncClient, log_lines: LogLines
) -> None:
    run = await _paused_run(http)
    before = await _row(stack, run["run_id"])
    workflows = stack.aws("stepfunctions")
    arn = stack.fields["outputs"]["WorkflowArn"]
    given = {
        "agent_run_id": run["run_id"],
        "thread_id": run["thread_id"],
        "account_id": before["account_id"],
        "request_id": None,
        "handover_no": 7,
    }
    started = [
        workflows.start_execution(stateMachineArn=arn, input=json.dumps(given | {"next": step}))["executionArn"]
        for step in ("advance", "summarize")
    ]
    for execution in started:

        async def described(execution: str = execution) -> dict[str, Any]:
            return workflows.describe_execution(executionArn=execution)

        ended = await eventually(described, lambda found: found["status"] != "RUNNING")
        assert ended["status"] == "SUCCEEDED"
        assert json.loads(ended["output"])["outcome"] == "refused"
    await _logged(log_lines, "not ours to execute", agent_run_id=run["run_id"])
    assert await _row(stack, run["run_id"]) == before


async def test_transitions_that_contradict_each_other_are_refused(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    running = await start_run(http, thread_id, "[[tokens 200 rate 20]]")
    url = f"/threads/{thread_id}/runs/{running['run_id']}"
    assert (await http.delete(url)).status_code == 409
    assert (await http.delete(f"/threads/{thread_id}")).status_code == 409
    assert (await http.post(f"{url}/cancel", params={"wait": "1"})).status_code in {200, 204}
    ended = await ended_run(http, running)
    # Stopping what has ended changes nothing, and says how it has ended.
    assert (await http.post(f"{url}/cancel")).status_code in {200, 202, 204}
    assert (await ended_run(http, running))["status"] == ended["status"] == "interrupted"
    assert (await http.delete(f"/threads/{thread_id}")).status_code == 204
    body = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "too late"}]}}
    assert (await http.post(f"/threads/{thread_id}/runs", json=body)).status_code == 404
