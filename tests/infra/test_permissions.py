"""Least privilege: every role lists what it uses, by action and by resource."""

import json

import pytest

from infra.constructs.functions import FUNCTIONS
from tests.infra.template import Template, as_list

WITHOUT_RESOURCES = {
    "Functions/": {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    },
    "Workflow/StateMachine/": {
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    },
}
"""Actions that AWS defines without resources (Service Authorization Reference), by whose role has them."""

SENDERS = {
    "Runs": {"Http", "WebSocket", "Watch", "QueueRunner", "WorkflowRunner"},
    "Retry": {"Watch", "QueueRunner", "WorkflowRunner"},
    "Watch": {"Http", "WebSocket", "Watch", "QueueRunner", "WorkflowRunner"},
}
EXECUTORS = {"QueueRunner", "WorkflowRunner", "Summarizer"}


def holders(template: Template, action: str, target: str | None = None) -> set[str]:
    """Functions whose roles may do an action (to the resource of that logical id)."""
    return {
        path.split("/")[1]
        for path, statement in template.statements()
        if path.startswith("Functions/")
        and action in as_list(statement["Action"])
        and (target is None or target in str(statement["Resource"]))
    }


def test_no_action_is_a_wildcard(template: Template) -> None:
    actions = {action for _, statement in template.statements() for action in as_list(statement["Action"])}

    assert actions
    assert [action for action in actions if "*" in action] == []


def test_any_resource_is_only_given_with_actions_that_know_none(template: Template) -> None:
    for path, statement in template.statements():
        if "*" in as_list(statement["Resource"]):
            owner = next((prefix for prefix in WITHOUT_RESOURCES if path.startswith(prefix)), "")
            assert set(as_list(statement["Action"])) <= WITHOUT_RESOURCES.get(owner, set()), path


def test_roles_have_no_managed_policies(template: Template) -> None:
    for key, role in template.of_type("AWS::IAM::Role").items():
        assert not role.get("ManagedPolicyArns"), key


def test_every_function_has_a_role_of_its_own(template: Template) -> None:
    functions = template.of_type("AWS::Lambda::Function")
    roles = {function["Role"]["Fn::GetAtt"][0] for function in functions.values()}

    assert len(roles) == len(functions)


@pytest.mark.parametrize(("queue", "senders"), SENDERS.items())
def test_queues_are_written_by_those_who_need_to(template: Template, queue: str, senders: set[str]) -> None:
    target = template.logical_id("AWS::SQS::Queue", f"Queues/{queue}/")

    assert holders(template, "sqs:SendMessage", target) == senders


def test_only_the_queue_runner_starts_workflows(template: Template) -> None:
    assert holders(template, "states:StartExecution") == {"QueueRunner"}


def test_only_executors_read_the_providers_keys(template: Template) -> None:
    secret = template.logical_id("AWS::SecretsManager::Secret", "Secrets/Provider/")

    assert holders(template, "secretsmanager:GetSecretValue", secret) == EXECUTORS


def test_only_the_edge_reads_the_signing_key(template: Template) -> None:
    secret = template.logical_id("AWS::SecretsManager::Secret", "Secrets/Auth/")

    assert holders(template, "secretsmanager:GetSecretValue", secret) == {"Http", "WebSocket"}


def test_webhooks_are_signed_by_the_watch_and_their_secret_is_shown_by_the_api(template: Template) -> None:
    secret = template.logical_id("AWS::SecretsManager::Secret", "Secrets/Webhooks/")

    assert holders(template, "secretsmanager:GetSecretValue", secret) == {"Http", "Watch"}


def test_events_are_pushed_by_executors_and_the_sender(template: Template) -> None:
    assert holders(template, "execute-api:ManageConnections") == {"Sender", *EXECUTORS}


def test_whoever_leaves_events_to_the_sender_may_wake_it_and_nothing_else(template: Template) -> None:
    waking = {"Http", "WebSocket", "Watch", "Sender", *EXECUTORS}
    assert {one for one in holders(template, "lambda:InvokeFunction") if one in FUNCTIONS} == waking
    name = template.function("Sender")["FunctionName"]
    invoked = [
        statement["Resource"]
        for path, statement in template.statements()
        if "lambda:InvokeFunction" in as_list(statement["Action"]) and path.startswith("Functions/")
    ]
    assert all(json.dumps(resource).endswith(f':function:{name}"]]}}') for resource in invoked)


def test_nobody_scans_or_changes_the_table(template: Template) -> None:
    actions = {action for _, statement in template.statements() for action in as_list(statement["Action"])}
    dynamodb = {action for action in actions if action.startswith("dynamodb:")}

    assert dynamodb == {
        f"dynamodb:{name}" for name in ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
    }
    # To issue a ticket is a put; to revoke a key is to find, read and delete its connections.
    for name in ("PutItem", "Query", "GetItem", "DeleteItem"):
        assert holders(template, f"dynamodb:{name}") == {"Http", "WebSocket", "Watch", "Sender", *EXECUTORS}
    assert holders(template, "dynamodb:UpdateItem") == {"Http", "WebSocket", "Watch", "Sender", *EXECUTORS}


def test_files_are_read_by_those_who_show_them_and_removed_by_the_sweep_too(template: Template) -> None:
    bucket = template.logical_id("AWS::S3::Bucket", "Storage/Files/")

    assert holders(template, "s3:GetObject", bucket) == {"Http", "WebSocket", "QueueRunner", "WorkflowRunner"}
    assert holders(template, "s3:PutObject", bucket) == {"Http"}
    assert holders(template, "s3:DeleteObject", bucket) == {"Http", "Watch"}
    for path, statement in template.statements():
        if path.startswith("Functions/") and bucket in str(statement["Resource"]):
            assert all(action.startswith("s3:") for action in as_list(statement["Action"]))
            assert str(statement["Resource"]).endswith("'/accounts/*']]}")
