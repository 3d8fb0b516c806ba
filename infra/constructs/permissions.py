"""Which actions each `Use` stands for. A role gets these and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.apis import WebSocketEndpoint
from infra.constructs.functions import FUNCTIONS, Functions, Use
from infra.constructs.queues import Queues
from infra.constructs.storage import Storage

SUBSCRIPTION_ACTIONS = (
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""No scan, and no access to the table itself."""

CONNECTION_ACTIONS = (
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""What gives out tickets, and finds and silences the connections of an API key that is revoked."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What is granted."""

    database_secret: secretsmanager.ISecret
    auth_secret: secretsmanager.ISecret
    provider_secret: secretsmanager.ISecret
    webhook_secret: secretsmanager.ISecret
    queues: Queues
    storage: Storage
    websocket: WebSocketEndpoint
    workflow_arn: str
    sender_arn: str


def grant(functions: Functions, resources: Resources) -> None:
    """Give every function's role what `FUNCTIONS` says that it uses."""
    grants: Mapping[Use, Callable[[iam.Role], object]] = {
        Use.DATABASE: lambda role: _read(resources.database_secret, role),
        Use.AUTH: lambda role: _read(resources.auth_secret, role),
        Use.PROVIDER: lambda role: _read(resources.provider_secret, role),
        Use.WEBHOOKS: lambda role: _read(resources.webhook_secret, role),
        Use.SEND_RUNS: lambda role: _send(resources.queues.runs, role),
        Use.SEND_RETRY: lambda role: _send(resources.queues.retry, role),
        Use.SEND_WATCH: lambda role: _send(resources.queues.watch, role),
        Use.SUBSCRIPTIONS: lambda role: resources.storage.subscriptions.grant(role, *SUBSCRIPTION_ACTIONS),
        Use.CONNECTIONS: lambda role: resources.storage.subscriptions.grant(role, *CONNECTION_ACTIONS),
        Use.PUSH: lambda role: role.add_to_policy(
            iam.PolicyStatement(
                actions=["execute-api:ManageConnections"], resources=[resources.websocket.connections_arn]
            )
        ),
        Use.START_WORKFLOW: lambda role: role.add_to_policy(
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[resources.workflow_arn])
        ),
        Use.WAKE_SENDER: lambda role: role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[resources.sender_arn])
        ),
        # Whoever gives out a URL has to be allowed what it allows.
        Use.FILES: lambda role: _files(resources.storage, role, "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
        Use.REMOVE_FILES: lambda role: _files(resources.storage, role, "s3:DeleteObject"),
        Use.READ_FILES: lambda role: _files(resources.storage, role, "s3:GetObject"),
    }
    for function_id, spec in FUNCTIONS.items():
        for use in sorted(spec.uses):
            grants[use](functions[function_id].role)


def workflow_arn(scope: Construct, name: str) -> str:
    """ARN of a state machine by its name: its executors' roles name it, so it cannot be asked for it."""
    return Stack.of(scope).format_arn(
        service="states",
        resource="stateMachine",
        resource_name=name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def function_arn(scope: Construct, name: str) -> str:
    """ARN of a function by its name: its own role names it."""
    return Stack.of(scope).format_arn(
        service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def _read(secret: secretsmanager.ISecret, role: iam.Role) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[secret.secret_arn]))


def _send(queue: sqs.Queue, role: iam.Role) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]))


def _files(storage: Storage, role: iam.Role, *actions: str) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=[storage.file_objects]))
