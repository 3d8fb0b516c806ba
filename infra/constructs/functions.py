"""The Lambda functions: what each is, what it may use, and what triggers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import cast

from aws_cdk import Annotations, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.code import CodeSource
from infra.constructs.network import Network
from infra.constructs.queues import Queues
from infra.constructs.retention import retention
from infra.stages import FunctionSettings, Stage

RUNTIME = lambda_.Runtime.PYTHON_3_13
ALIAS = "live"


class Use(StrEnum):
    """Something a function's role may do; `infra.constructs.permissions` says with which actions."""

    DATABASE = auto()
    AUTH = auto()
    PROVIDER = auto()
    SEND_RUNS = auto()
    SEND_RETRY = auto()
    SEND_WATCH = auto()
    SUBSCRIPTIONS = auto()
    CONNECTIONS = auto()
    PUSH = auto()
    START_WORKFLOW = auto()
    WAKE_SENDER = auto()
    WEBHOOKS = auto()
    FILES = auto()
    READ_FILES = auto()
    REMOVE_FILES = auto()


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What a function is in every stage.

    group: dependency group and bundle. service: name in logs and metrics.
    loops: it is part of the loop function -> queue -> function, or invokes itself; Lambda cuts such loops after about
        16 turns unless it is told that they are meant. Chains of runs are bounded by the limits of our own.
    max_event_age_s: an asynchronous call that is older is given up; without it Lambda tries for six hours.
    """

    group: str
    handler: str
    service: str
    uses: frozenset[Use]
    loops: bool = False
    max_event_age_s: int | None = None


_EXECUTOR = frozenset(
    {
        *(Use.DATABASE, Use.PROVIDER, Use.SEND_RUNS, Use.SEND_RETRY, Use.SEND_WATCH),
        *(Use.SUBSCRIPTIONS, Use.PUSH, Use.WAKE_SENDER),
    }
)

FUNCTIONS: Mapping[str, FunctionSpec] = {
    "Http": FunctionSpec(
        group="api",
        handler="functions.api.http.main.handler",
        service="http",
        uses=frozenset(
            {
                *(Use.DATABASE, Use.AUTH, Use.SEND_RUNS, Use.SEND_WATCH, Use.CONNECTIONS, Use.WAKE_SENDER),
                *(Use.WEBHOOKS, Use.FILES),
            }
        ),
    ),
    "WebSocket": FunctionSpec(
        group="api",
        handler="functions.api.websocket.main.handler",
        service="websocket",
        uses=frozenset(
            {
                *(Use.DATABASE, Use.AUTH, Use.SEND_RUNS, Use.SEND_WATCH),
                *(Use.SUBSCRIPTIONS, Use.WAKE_SENDER, Use.READ_FILES),
            }
        ),
    ),
    "Watch": FunctionSpec(
        group="api",
        handler="functions.api.watch.main.handler",
        service="watch",
        uses=frozenset(
            {
                *(Use.DATABASE, Use.SEND_RUNS, Use.SEND_RETRY, Use.SEND_WATCH, Use.WAKE_SENDER),
                *(Use.WEBHOOKS, Use.SUBSCRIPTIONS, Use.REMOVE_FILES),
            }
        ),
        loops=True,
    ),
    "Sender": FunctionSpec(
        group="api",
        handler="functions.api.sender.main.handler",
        service="sender",
        uses=frozenset({Use.DATABASE, Use.SUBSCRIPTIONS, Use.PUSH, Use.WAKE_SENDER}),
        loops=True,
        # Whom it is called for has connected again by then; what is left of a connection expires after two hours.
        max_event_age_s=3600,
    ),
    "Migrate": FunctionSpec(
        group="api",
        handler="functions.api.migrate.main.handler",
        service="migrate",
        uses=frozenset({Use.DATABASE}),
    ),
    "QueueRunner": FunctionSpec(
        group="runner",
        handler="functions.runner.main.queue_handler",
        service="queue-runner",
        uses=_EXECUTOR | {Use.START_WORKFLOW, Use.READ_FILES},
        loops=True,
    ),
    "WorkflowRunner": FunctionSpec(
        group="runner",
        handler="functions.runner.main.workflow_handler",
        service="workflow-runner",
        uses=_EXECUTOR | {Use.READ_FILES},
        loops=True,
    ),
    "Summarizer": FunctionSpec(
        group="summarizer",
        handler="functions.summarizer.main.handler",
        service="summarizer",
        uses=frozenset({Use.DATABASE, Use.PROVIDER, Use.SUBSCRIPTIONS, Use.PUSH, Use.WAKE_SENDER}),
    ),
}
"""The functions by construct id; sizes by stage are in `infra.stages`."""


class Function(Construct):
    """One function with a role and a log group of its own.

    The role may write to that log group and, in a VPC, attach the network interface; everything else is granted by
    name in `infra.constructs.permissions`. `target` is what triggers invoke: the alias of the newest published version
    where SnapStart is on (snapshots exist of published versions only), the function itself elsewhere.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: FunctionSpec,
        settings: FunctionSettings,
        code: lambda_.Code,
        environment: Mapping[str, str],
        retention: logs.RetentionDays,
        network: Network | None,
        name: str | None = None,
    ) -> None:
        """environment: what every function is told; the service name is added here. name: unless CloudFormation's."""
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(self, "Logs", retention=retention, removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(
            self, "Role", assumed_by=cast("iam.IPrincipal", iam.ServicePrincipal("lambda.amazonaws.com"))
        )
        log_group.grant(self.role, "logs:CreateLogStream", "logs:PutLogEvents")
        if network is not None:
            self.role.add_to_policy(_network_interface_statement())
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            handler=spec.handler,
            code=code,
            memory_size=settings.memory_mb,
            timeout=Duration.seconds(settings.timeout_s),
            reserved_concurrent_executions=settings.concurrency,
            recursive_loop=lambda_.RecursiveLoop.ALLOW if spec.loops else None,
            max_event_age=Duration.seconds(spec.max_event_age_s) if spec.max_event_age_s else None,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if settings.snap_start else None,
            environment={**environment, "POWERTOOLS_SERVICE_NAME": spec.service},
            role=cast("iam.IRole", self.role),
            log_group=log_group,
            vpc=network.vpc if network else None,
            security_groups=[network.functions] if network else None,
        )
        self.target = cast("lambda_.IFunction", self.function)
        if settings.snap_start:
            Annotations.of(self.function).acknowledge_warning(
                "@aws-cdk/aws-lambda:snapStartRequirePublish", "the alias below publishes each version"
            )
            version = cast("lambda_.IVersion", self.function.current_version)
            self.target = cast("lambda_.IFunction", lambda_.Alias(self, "Live", alias_name=ALIAS, version=version))


class Functions(Construct):
    """All functions; index by the construct id of `FUNCTIONS`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        code: CodeSource,
        environment: Mapping[Use | None, Mapping[str, str]],
        network: Network | None,
        names: Mapping[str, str],
    ) -> None:
        """environment: variables by what they are for; those under None go to every function.

        names: of functions that others, and they themselves, are told before they exist.
        """
        super().__init__(scope, construct_id)
        code_by_group = {group: code.of(group) for group in {spec.group for spec in FUNCTIONS.values()}}
        self._by_id = {
            function_id: Function(
                self,
                function_id,
                spec=spec,
                settings=stage.functions[function_id],
                code=code_by_group[spec.group],
                environment={
                    name: value
                    for use, variables in environment.items()
                    if use is None or use in spec.uses
                    for name, value in variables.items()
                }
                | {"POSTGRES_POOL_SIZE": str(stage.pool_size_of(function_id))},
                retention=retention(stage.log_retention_days),
                network=network,
                name=names.get(function_id),
            )
            for function_id, spec in FUNCTIONS.items()
        }

    def __getitem__(self, function_id: str) -> Function:
        """The function of that construct id."""
        return self._by_id[function_id]

    def connect_queues(self, queues: Queues, *, stage: Stage) -> None:
        """Feed the queues to their functions, with partial batch responses and bounded concurrency."""
        limits = stage.queues
        runner, watch = self["QueueRunner"], self["Watch"]
        sources = [
            (runner, queues.runs, limits.runs_batch, limits.runs_concurrency),
            (runner, queues.retry, 1, limits.retry_concurrency),
            (watch, queues.watch, 10, limits.watch_concurrency),
            *((watch, queue, 10, limits.dead_letter_concurrency) for queue in queues.dead_letters),
        ]
        for function, queue, batch_size, concurrency in sources:
            function.target.add_event_source(
                event_sources.SqsEventSource(
                    queue,
                    batch_size=batch_size,
                    max_concurrency=concurrency,
                    report_batch_item_failures=True,
                )
            )


def _network_interface_statement() -> iam.PolicyStatement:
    """What Lambda needs to attach a function to a VPC; these actions know no resources (cdk-nag table: IAM5)."""
    return iam.PolicyStatement(
        actions=[
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
        resources=["*"],
    )
