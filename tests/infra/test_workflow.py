"""The state machine: what it repeats, what it catches, and that only ids travel."""

import ast
import json

import pytest

from infra.constructs.workflow import CRASHED, DEFECTS, IDS, LEASE_HELD, UNAVAILABLE
from infra.stages import STAGES
from tests.infra.conftest import PROJECT
from tests.infra.template import Json, Template

STEPS = ("Advance", "Summarize")


def retries(state: Json) -> dict[str, Json]:
    """Retry rules by error name."""
    return {error: rule for rule in state["Retry"] for error in rule["ErrorEquals"]}


def test_the_choice_goes_round_until_a_step_says_end(template: Template) -> None:
    workflow = template.workflow()
    choice = workflow["States"][workflow["StartAt"]]

    assert choice["Type"] == "Choice"
    assert {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]} == {
        "advance": "Advance",
        "summarize": "Summarize",
        "end": "Ended",
    }
    assert workflow["States"][choice["Default"]]["Type"] == "Fail"
    for step in STEPS:
        assert workflow["States"][step]["Next"] == workflow["StartAt"]


@pytest.mark.parametrize("step", [*STEPS, "Fail run"])
def test_payloads_hold_ids_only(template: Template, step: str) -> None:
    payload = dict(template.workflow()["States"][step]["Parameters"]["Payload"])

    assert payload.pop("action") == {"Advance": "advance", "Summarize": "summarize", "Fail run": "fail"}[step]
    if step == "Fail run":
        assert payload.pop("error.$") == "$.error.Error"
    assert payload == {f"{name}.$": f"$.{name}" for name in IDS}


@pytest.mark.parametrize("step", [*STEPS, "Fail run"])
def test_only_what_can_be_repeated_is_repeated(template: Template, step: str) -> None:
    rules = retries(template.workflow()["States"][step])

    assert set(rules) == {*LEASE_HELD, *UNAVAILABLE, *CRASHED}
    assert "States.ALL" not in rules
    assert "States.TaskFailed" not in rules


def test_a_held_lease_is_tried_again_after_one_lease_and_past_wake_by(template: Template) -> None:
    stage = STAGES[template.function("QueueRunner")["Environment"]["Variables"]["STAGE"]]

    for step in STEPS:
        rule = retries(template.workflow()["States"][step])["LeaseHeldError"]
        assert rule["IntervalSeconds"] == stage.lease_s
        assert rule["BackoffRate"] == 1
        assert rule["MaxAttempts"] * rule["IntervalSeconds"] >= stage.wake_by_s


# AWS Lambda's API reference, "Invoke": what passes by itself.
PASSING = (
    *("EC2ThrottledException", "EC2UnexpectedException", "ENILimitReachedException", "ResourceConflictException"),
    *("ResourceNotReadyException", "ServiceException", "SnapStartException", "SnapStartNotReadyException"),
    *("SnapStartTimeoutException", "SubnetIPAddressLimitReachedException", "TooManyRequestsException"),
)


def after(states: Json, step: str, error: str) -> str:
    """Where a step's error leads when it is not repeated any more."""
    caught = (rule for rule in states[step]["Catch"] if {error, "States.ALL"} & set(rule["ErrorEquals"]))
    return next(caught)["Next"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [f"Lambda.{name}" for name in PASSING])
def test_what_passes_by_itself_is_waited_for(template: Template, step: str, error: str) -> None:
    assert retries(template.workflow()["States"][step])[error]["BackoffRate"] == 2


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "error",
    [*LEASE_HELD, *UNAVAILABLE, *CRASHED, "QueueUnavailableError", "ConnectionRefusedError", "Lambda.NobodyKnowsYet"],
)
def test_an_outage_ends_the_execution_and_not_the_run(template: Template, step: str, error: str) -> None:
    states = template.workflow()["States"]

    assert states[after(states, step, error)]["Type"] == "Fail"


def test_only_an_error_that_would_come_again_ends_the_run_as_failed(template: Template) -> None:
    states = template.workflow()["States"]

    for step in STEPS:
        assert [after(states, step, error) for error in DEFECTS] == ["Fail run"]
    assert states["Fail run"]["Parameters"]["FunctionName"] == states["Advance"]["Parameters"]["FunctionName"]
    assert states[states["Fail run"]["Next"]]["Type"] == "Fail"


def test_a_step_outlives_its_function_and_never_hangs(template: Template) -> None:
    states = template.workflow()["States"]

    assert states["Advance"]["TimeoutSeconds"] > template.function("WorkflowRunner")["Timeout"]
    assert states["Summarize"]["TimeoutSeconds"] > template.function("Summarizer")["Timeout"]


def test_our_own_errors_exist_under_the_names_that_are_retried() -> None:
    module = ast.parse((PROJECT / "shared" / "errors.py").read_text())
    classes = {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    ours = {name for name in (*LEASE_HELD, *UNAVAILABLE, *CRASHED, *DEFECTS) if "." not in name}

    assert ours
    assert ours <= classes


def test_it_is_a_standard_workflow_that_is_logged(template: Template) -> None:
    machine = template.one("AWS::StepFunctions::StateMachine")

    assert machine["StateMachineType"] == "STANDARD"
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    name = machine["StateMachineName"]
    assert json.dumps(template.function("QueueRunner")["Environment"]["Variables"]["WORKFLOW_ARN"]).endswith(
        f':stateMachine:{name}"]]}}'
    )
