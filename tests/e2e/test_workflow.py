"""A run that its function has no time for goes on in the workflow, as if nothing had happened."""

import json
from typing import Any

import httpx

from tests.e2e.conftest import RunningStack
from tests.e2e.following import events_of_run, eventually, subscribed, text_of
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run, stored_messages


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

    passed = await finished_execution(stack, run["run_id"])
    assert passed["outcome"] == "completed"
    # Ids only: what was said is in the database, never in a payload.
    assert set(passed) <= {"action", "agent_run_id", "thread_id", "account_id", "request_id", "handover_no"} | {
        "outcome",
        "next",
    }


async def test_a_run_lives_through_the_time_limits_of_its_functions(
    probed: RunningStack, http: httpx.AsyncClient
) -> None:
    functions = probed.aws("lambda")
    names = [probed.fields["outputs"][f"{name}FunctionName"] for name in ("QueueRunner", "WorkflowRunner")]
    limits = {name: functions.get_function_configuration(FunctionName=name)["Timeout"] for name in names}
    for name in names:
        set_time_limit(functions, name, 6)
    try:
        assistant = await new_assistant(
            http, tools=["probe"], processor={"native_tool_calling": True, "xml_tool_calling": False}
        )
        thread_id = await new_thread(http)
        script = " ".join(f'[[first 0.5]] [[tool note {{"text": "{number}"}}]]' for number in range(30))
        run = await start_run(http, thread_id, f"{script} [[say survived]]", assistant_id=assistant)
        ended = await ended_run(http, run)
    finally:
        for name, limit_s in limits.items():
            set_time_limit(functions, name, limit_s)

    assert ended["status"] == "success", ended
    messages = await stored_messages(http, thread_id)
    assert [message["type"] for message in messages] == ["user", *["assistant", "tool"] * 30, "assistant"]
    assert messages[-1]["content"]["content"] == "survived"
    assert (await finished_execution(probed, run["run_id"]))["handover_no"] >= 3


def set_time_limit(functions: Any, name: str, seconds: int) -> None:
    functions.update_function_configuration(FunctionName=name, Timeout=seconds)
    functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


async def finished_execution(stack: RunningStack, run_id: str) -> dict[str, Any]:
    """The output of the run's last execution, which succeeded. One that nobody woke up for is followed by another."""
    workflows = stack.aws("stepfunctions")
    arn = workflows.list_state_machines()["stateMachines"][0]["stateMachineArn"]

    async def ask() -> list[dict[str, Any]]:
        found = workflows.list_executions(stateMachineArn=arn)["executions"]
        return [execution for execution in found if execution["name"].startswith(f"{run_id}-")]

    found = await eventually(ask, lambda found: bool(found) and all(one["status"] != "RUNNING" for one in found))
    execution = max(found, key=lambda one: int(one["name"].removeprefix(f"{run_id}-")))
    assert execution["status"] == "SUCCEEDED"
    return json.loads(workflows.describe_execution(executionArn=execution["executionArn"])["output"])
