"""The workflow that carries on a run which a function could not finish: Summarize and Advance in turns.

Input `{"agent_run_id", "thread_id", "account_id", "request_id", "handover_no", "next"}`, `next` being `advance` or
`summarize`; each step answers the same ids with `outcome` and `next` (`advance`, `summarize` or `end`). Ids only: a
payload may have 256 KB.
"""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.retention import retention
from infra.stages import Stage

IDS = ("agent_run_id", "thread_id", "account_id", "request_id", "handover_no")

LEASE_HELD = ("LeaseHeldError",)
"""Another executor holds the run: its lease ends, or it hands over; wait one lease."""

UNAVAILABLE = (
    "DatabaseUnavailableError",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENILimitReachedException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.SnapStartException",
    "Lambda.SnapStartNotReadyException",
    "Lambda.SnapStartTimeoutException",
    "Lambda.SubnetIPAddressLimitReachedException",
    "Lambda.TooManyRequestsException",
)
"""The step did not begin, or said that it can be repeated."""

CRASHED = ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout", "States.Timeout")
"""The function died in the step; whatever it held ends with its lease, and the claim counts the crash."""


DEFECTS = ("DefectError",)
"""The step has met an error that would come again (`functions.runner.defects`): the run ends with it.

Whatever else goes wrong, and for however long, says nothing about the run: the execution ends, and the run's watch has
it go on elsewhere once `wake_by` has passed, or the lease has ended."""


class Workflow(Construct):
    """Step Functions standard workflow; every step is guarded by the run's executor and `handover_no`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        stage: Stage,
        runner: lambda_.IFunction,
        summarizer: lambda_.IFunction,
    ) -> None:
        """name: of the state machine, unique in account and region."""
        super().__init__(scope, construct_id)
        lease = Duration.seconds(stage.lease_s)
        fail = tasks.LambdaInvoke(
            self,
            "Fail run",
            lambda_function=runner,
            payload=sfn.TaskInput.from_object(
                {"action": "fail", **_ids(), "error": sfn.JsonPath.string_at("$.error.Error")}
            ),
            result_path=sfn.JsonPath.DISCARD,
            retry_on_service_exceptions=False,
        )
        _retry(fail, lease=lease)
        fail.next(sfn.Fail(self, "Failed", error_path="$.error.Error", cause_path="$.error.Cause"))

        left = sfn.Fail(self, "Left to the watch", error_path="$.error.Error", cause_path="$.error.Cause")

        choice = sfn.Choice(self, "Next")
        for step_name, action, function, timeout_s in (
            ("Advance", "advance", runner, stage.functions["WorkflowRunner"].timeout_s),
            ("Summarize", "summarize", summarizer, stage.functions["Summarizer"].timeout_s),
        ):
            step = tasks.LambdaInvoke(
                self,
                step_name,
                lambda_function=function,
                payload=sfn.TaskInput.from_object({"action": action, **_ids()}),
                output_path="$.Payload",
                retry_on_service_exceptions=False,
                task_timeout=sfn.Timeout.duration(Duration.seconds(timeout_s + 30)),
            )
            _retry(step, lease=lease)
            step.add_catch(fail, errors=list(DEFECTS), result_path="$.error")
            step.add_catch(left, errors=["States.ALL"], result_path="$.error")
            choice.when(sfn.Condition.string_equals("$.next", action), step.next(choice))
        choice.when(sfn.Condition.string_equals("$.next", "end"), sfn.Succeed(self, "Ended"))
        choice.otherwise(sfn.Fail(self, "Unknown step", error="UnknownStep"))

        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_chainable(choice),
            timeout=Duration.days(1),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=logs.LogGroup(
                    self, "Logs", retention=retention(stage.log_retention_days), removal_policy=RemovalPolicy.DESTROY
                ),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
        )


def _ids() -> dict[str, str]:
    return {name: sfn.JsonPath.string_at(f"$.{name}") for name in IDS}


def _retry(step: tasks.LambdaInvoke, *, lease: Duration) -> None:
    step.add_retry(errors=list(LEASE_HELD), interval=lease, max_attempts=4, backoff_rate=1)
    step.add_retry(
        errors=list(UNAVAILABLE),
        interval=Duration.seconds(2),
        max_attempts=6,
        backoff_rate=2,
        max_delay=Duration.seconds(60),
        jitter_strategy=sfn.JitterType.FULL,
    )
    step.add_retry(errors=list(CRASHED), interval=lease, max_attempts=2, backoff_rate=1)
