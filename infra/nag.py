"""cdk-nag (pack AWS Solutions): the findings that are accepted, each with its reason, in one table.

A wildcard in a role is accepted by its own id (`AwsSolutions-IAM5[Resource::...]`), so that another one is a new
finding. Synthesis of a cloud stage fails on any finding that is not in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

_CONNECTIONS = (
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:"
    "<WebSocketApi2C7AF84E>/live/*/@connections/*]"
)
_PAGE_FILES = "AwsSolutions-IAM5[Resource::<PageBucket8A4EC83F.Arn>/app/*]"
_FILES = "AwsSolutions-IAM5[Resource::<StorageFiles48C02C92.Arn>/accounts/*]"
_ANY_RESOURCE = "AwsSolutions-IAM5[Resource::*]"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One accepted finding.

    paths: constructs below the stack that it is accepted for, with all below them; "" is the whole stack.
    """

    rule: str
    paths: Sequence[str]
    reason: str


ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        rule="AwsSolutions-L1",
        paths=("Functions", "Page"),
        reason="Python 3.13 is what the locks are resolved for and the tests run on; 3.13 is supported until 2029",
    ),
    Accepted(
        rule=_ANY_RESOURCE,
        paths=("Functions",),
        reason="The EC2 actions that attach a function to a VPC know no resource (Lambda Developer Guide, VPC access)",
    ),
    Accepted(
        rule=_ANY_RESOURCE,
        paths=("Workflow/StateMachine/Role",),
        reason="Log delivery and X-Ray actions of a state machine know no resource (Step Functions Developer Guide)",
    ),
    *(
        Accepted(
            rule=f"AwsSolutions-IAM5[Resource::<{function}.Arn>:*]",
            paths=("Workflow/StateMachine/Role",),
            reason="Versions of the one function that a step invokes",
        )
        for function in ("FunctionsSummarizerFunction27673D8D", "FunctionsWorkflowRunnerFunction19DE7400")
    ),
    Accepted(
        rule=_CONNECTIONS,
        paths=tuple(f"Functions/{name}" for name in ("Sender", "QueueRunner", "WorkflowRunner", "Summarizer")),
        reason="Events go to any connection of this stage; connection ids are made by API Gateway as clients come",
    ),
    Accepted(
        rule=_FILES,
        paths=tuple(f"Functions/{name}" for name in ("Http", "WebSocket", "Watch", "QueueRunner", "WorkflowRunner")),
        reason="Files of any account: their names are made as clients announce them; no other prefix is meant",
    ),
    Accepted(
        rule="AwsSolutions-APIG4",
        paths=("HttpApi", "WebSocketApi"),
        reason="The functions authenticate: JWT, API keys and tickets, with errors in the protocol's own form",
    ),
    Accepted(
        rule="AwsSolutions-APIG1",
        paths=("WebSocketApi",),
        reason="Access logs of WebSocket APIs need a role set for the whole account; the function logs every route",
    ),
    Accepted(
        rule="AwsSolutions-SQS3",
        paths=("Queues/Watch",),
        reason="A watch comes back until it has nothing more to watch: a count of receives says nothing about it",
    ),
    Accepted(
        rule="AwsSolutions-S1",
        paths=("Storage/Files",),
        reason="Objects are reached only through presigned URLs that the API logs when it gives them out",
    ),
    Accepted(
        rule="AwsSolutions-S1",
        paths=("Page/Bucket",),
        reason="It holds the files of a public page, which only the edge reads; nothing in it is anybody's",
    ),
    Accepted(
        rule=_PAGE_FILES,
        paths=("Page/Publisher",),
        reason="The page's files: their names hold hashes, so that they are not known beforehand",
    ),
    Accepted(
        rule="AwsSolutions-COG2",
        paths=("Identity",),
        reason="A second factor is offered to every account; whether it is required is the operator's choice",
    ),
    Accepted(
        rule="AwsSolutions-COG8",
        paths=("Identity",),
        reason="The plus plan bills each user by the month; threat protection is its owner's choice",
    ),
    Accepted(
        rule="AwsSolutions-SMG4",
        paths=("Database/Cluster", "Secrets"),
        reason="Rotation of the provider's and the signing key is their owner's act; the database is in isolated "
        "subnets, and its rotation would add a function that is not ours (docs/deploy.md says how to turn it on)",
    ),
    Accepted(
        rule="AwsSolutions-RDS6",
        paths=("Database/Cluster",),
        reason="IAM tokens live 15 minutes and connections are pooled for longer; TLS and the secret guard them",
    ),
    Accepted(
        rule="AwsSolutions-RDS10",
        paths=("Database/Cluster",),
        reason="Stage small is meant to be torn down: it leaves a snapshot; stage large is protected",
    ),
    Accepted(
        rule="AwsSolutions-CFR1",
        paths=("Edge",),
        reason="The service is meant for every country",
    ),
    Accepted(
        rule="AwsSolutions-CFR2",
        paths=("Edge",),
        reason="A web ACL costs by the month and is its owner's choice; the API limits clients by account itself",
    ),
    Accepted(
        rule="AwsSolutions-CFR3",
        paths=("Edge",),
        reason="The APIs behind it log every request",
    ),
    Accepted(
        rule="AwsSolutions-CFR4",
        paths=("Edge",),
        reason="CloudFront's own domain name sets its own minimum; a custom domain brings a certificate and TLS 1.2",
    ),
)


@dataclass(frozen=True, order=True)
class Finding:
    """One finding: the rule with the finding's own id, and the construct's path."""

    rule: str
    path: str


def accept(stack: Stack) -> None:
    """Acknowledge on the stack's constructs what the table accepts; constructs a stage does not have are skipped."""
    for accepted in ACCEPTED:
        for path in accepted.paths:
            construct = _construct_at(stack, path)
            if construct is not None:
                Validations.of(construct).acknowledge(Acknowledgment(id=accepted.rule, reason=accepted.reason))


def enforce(app: App) -> None:
    """Make synthesis fail on findings that are not acknowledged."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def findings(stack: Stack) -> list[Finding]:
    """Findings on a stack that are not acknowledged on it."""
    report = AwsSolutionsChecks(stack).validate_scope(stack)
    return sorted(
        {
            Finding(violation.rule_name, resource.construct_path or "")
            for violation in report.violations
            for resource in violation.violating_resources
        }
    )


def _construct_at(stack: Stack, path: str) -> IConstruct | None:
    construct: IConstruct | None = stack
    for name in filter(None, path.split("/")):
        construct = construct.node.try_find_child(name) if construct else None
    return construct
