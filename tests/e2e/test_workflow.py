"""A run that its function has no time for goes on in the workflow, as if nothing had happened."""

import json
from typing import Any

import httpx

from tests.e2e.conftest import RunningStack
from tests.e2e.following import events_of_run, eventually, subscribed, text_of
from tests.e2e.threads import ended_run, new_thread, start_run


async def test_a_run_passes_through_step_functions(
    stack: RunningStack, http: httpx.AsyncClient, account_id: str
) -> None:
    thread_id = await new_thread(http)
    async with subscribed(stack.client_of(account_id), thread_id) as socket:
        run = await start_run(http, thread_id, "[[tokens 10]]", config={"configurable": {"queue_time_s": 0}})
        events = await events_of_run(socket)

    assert (await ended_run(http, run))["status"] == "success"
    assert len(text_of(events).split()) == 10
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))

    workflows = stack.aws("stepfunctions")
    arn = workflows.list_state_machines()["stateMachines"][0]["stateMachineArn"]

    async def ask() -> list[dict[str, Any]]:
        found = workflows.list_executions(stateMachineArn=arn)["executions"]
        return [execution for execution in found if execution["name"] == f"{run['run_id']}-1"]

    (execution,) = await eventually(ask, lambda found: bool(found) and found[0]["status"] != "RUNNING")
    assert execution["status"] == "SUCCEEDED"
    passed = json.loads(workflows.describe_execution(executionArn=execution["executionArn"])["output"])
    assert passed["outcome"] == "completed"
    # Ids only: what was said is in the database, never in a payload.
    assert set(passed) <= {"action", "agent_run_id", "thread_id", "account_id", "request_id", "handover_no"} | {
        "outcome",
        "next",
    }
