"""CloudFormation custom resources."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.localstack.compute.conftest import Function
from tests.localstack.compute.stacks import Stack
from tests.localstack.server import LocalStack


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def template(deploy: Callable[..., Function], notes: Path) -> Callable[..., dict[str, Any]]:
    """A template with one custom resource."""
    function = deploy("functions.custom_resource.handler", Environment={"Variables": {"NOTES": str(notes)}})

    def build(**properties: Any) -> dict[str, Any]:
        properties = {"ServiceToken": function.arn, "Id": "one", "Count": 1, "Flag": True, **properties}
        return {
            "Resources": {"Resource": {"Type": "Custom::Migration", "Properties": properties}},
            "Outputs": {
                "Id": {"Value": {"Ref": "Resource"}},
                "Version": {"Value": {"Fn::GetAtt": ["Resource", "Version"]}},
                "Request": {"Value": {"Fn::GetAtt": ["Resource", "Request"]}},
            },
        }

    return build


def events(notes: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in notes.read_text().splitlines()]


def test_life_of_a_custom_resource(localstack: LocalStack, template: Callable[..., Any], notes: Path) -> None:
    stack = Stack(localstack)

    assert stack.create(template()) == "CREATE_COMPLETE"
    assert stack.outputs() == {"Id": "one", "Version": "7", "Request": "Create"}
    assert stack.update(template(Count=2)) == "UPDATE_COMPLETE"
    assert stack.outputs() == {"Id": "one", "Version": "7", "Request": "Update"}
    assert stack.update(template(Count=2, Id="two")) == "UPDATE_COMPLETE"
    assert stack.outputs()["Id"] == "two"
    stack.delete()

    seen = [
        (event["RequestType"], event.get("PhysicalResourceId"), event["ResourceProperties"]["Count"])
        for event in events(notes)
    ]
    assert seen == [
        ("Create", None, "1"),
        ("Update", "one", "2"),
        ("Update", "one", "2"),
        ("Delete", "one", "2"),  # replaced
        ("Delete", "two", "2"),
    ]
    created, updated = events(notes)[:2]
    assert created["ResourceType"] == "Custom::Migration"
    assert created["LogicalResourceId"] == "Resource"
    assert f":stack/{stack.name}/" in created["StackId"]
    assert created["ResourceProperties"]["Flag"] == "true"
    assert created["ResponseURL"].startswith(localstack.endpoint_url)
    assert "OldResourceProperties" not in created
    assert updated["OldResourceProperties"]["Count"] == "1"
    assert len({event["RequestId"] for event in events(notes)}) == 5


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"Fail": True}, "Message returned: asked to fail"),
        ({"Crash": True}, "crashed before the answer"),
        ({"Silent": True, "ServiceTimeout": 1}, "CloudFormation did not receive a response from your Custom Resource"),
        ({"ServiceToken": "arn:aws:sns:us-east-1:000000000000:topic"}, "Invalid ServiceToken"),
        ({"Id": ""}, "no PhysicalResourceId"),
    ],
)
def test_failure_fails_the_stack(
    localstack: LocalStack, template: Callable[..., Any], properties: dict[str, Any], reason: str
) -> None:
    stack = Stack(localstack)

    status = stack.create(template(**properties))

    assert status in {"CREATE_FAILED", "ROLLBACK_COMPLETE"}
    assert reason in stack.failures()["Resource"]
