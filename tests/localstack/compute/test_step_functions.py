"""Functions as steps of a state machine: the error names that Retry and Catch match on."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.localstack.compute.conftest import ROLE, Function
from tests.localstack.server import LocalStack, eventually

HANDLER = "functions.runtime.handler"


def run(localstack: LocalStack, step: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Run a state machine of one step; return the execution's description."""
    client = localstack.client("stepfunctions")
    definition = {"StartAt": "Step", "States": {"Step": step, "Caught": {"Type": "Pass", "End": True}}}
    machine = client.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=ROLE
    )
    execution = client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(event))

    def ended() -> dict[str, Any] | None:
        description = client.describe_execution(executionArn=execution["executionArn"])
        return None if description["status"] == "RUNNING" else description

    return eventually(ended, timeout_s=20)


def invoke_step(function: Function, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function.arn, "Payload.$": "$"},
        "End": True,
        **fields,
    }


def test_answer_is_the_step_s_payload(localstack: LocalStack, deploy: Callable[..., Function]) -> None:
    function = deploy(HANDLER)

    description = run(localstack, invoke_step(function, OutputPath="$.Payload"), {"do": "answer", "size": 3})

    assert description["status"] == "SUCCEEDED"
    assert description["output"] == '"xxx"'


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"do": "raise", "message": "no"}, "LookupError"),
        ({"do": "exit", "code": 1}, "Runtime.ExitError"),
        ({"do": "answer", "size": 6 * 1024 * 1024 + 200}, "Function.ResponseSizeTooLarge"),
    ],
)
@pytest.mark.parametrize("matched", ["name", "States.TaskFailed", "States.ALL"])
def test_error_is_caught_by_its_name(
    localstack: LocalStack, deploy: Callable[..., Function], event: dict[str, Any], error: str, matched: str
) -> None:
    names = [error if matched == "name" else matched]
    catch = [{"ErrorEquals": ["Another"], "Next": "Step"}, {"ErrorEquals": names, "Next": "Caught"}]

    description = run(localstack, invoke_step(deploy(HANDLER), Catch=catch), event)

    assert description["status"] == "SUCCEEDED"
    assert json.loads(description["output"])["Error"] == error


def test_function_s_timeout_is_an_error_of_its_own(
    localstack: LocalStack, deploy: Callable[..., Function], tmp_path: Path
) -> None:
    catch = [{"ErrorEquals": ["Sandbox.Timedout"], "Next": "Caught"}]
    event = {"do": "hang", "pids": str(tmp_path / "pids")}

    description = run(localstack, invoke_step(deploy(HANDLER, Timeout=1), Catch=catch), event)

    output = json.loads(description["output"])
    assert output["Error"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in json.loads(output["Cause"])["errorMessage"]


def test_step_s_timeout_is_states_timeout(
    localstack: LocalStack, deploy: Callable[..., Function], tmp_path: Path
) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}]
    event = {"do": "wait", "started": str(tmp_path / "started"), "until": str(tmp_path / "until")}

    description = run(localstack, invoke_step(deploy(HANDLER), Catch=catch, TimeoutSeconds=1), event)

    (tmp_path / "until").touch()
    assert json.loads(description["output"])["Error"] == "States.Timeout"


def test_throttling_is_retried(localstack: LocalStack, deploy: Callable[..., Function]) -> None:
    function = deploy(HANDLER)
    client = localstack.client("lambda")
    client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "Next": "Caught"}]

    description = run(localstack, invoke_step(function, Retry=retry, Catch=catch), {})

    assert json.loads(description["output"])["Error"] == "Lambda.TooManyRequestsException"
    history = localstack.client("stepfunctions").get_execution_history(executionArn=description["executionArn"])
    assert [event["type"] for event in history["events"]].count("TaskScheduled") == 2
