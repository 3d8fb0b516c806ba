"""CloudFormation stacks of tests."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

from tests.localstack.server import LocalStack, eventually


class Stack:
    """A stack under test."""

    def __init__(self, localstack: LocalStack) -> None:
        self._client = localstack.client("cloudformation")
        self.name = f"stack-{uuid.uuid4().hex[:8]}"

    def create(self, template: dict[str, Any]) -> str:
        """Create it; return the status it ends with."""
        self._client.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        return self._settled()

    def update(self, template: dict[str, Any]) -> str:
        """Update it; return the status it ends with."""
        self._client.update_stack(StackName=self.name, TemplateBody=json.dumps(template))
        return self._settled()

    def delete(self) -> None:
        """Delete it and wait until it is gone."""
        stack_id = self._client.describe_stacks(StackName=self.name)["Stacks"][0]["StackId"]
        self._client.delete_stack(StackName=self.name)

        def deleted() -> bool:
            return self._client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"

        eventually(deleted, timeout_s=30)

    def outputs(self) -> dict[str, str]:
        stack = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def failures(self) -> dict[str, str]:
        """Reasons of failed resources by logical id."""
        events = self._client.describe_stack_events(StackName=self.name)["StackEvents"]
        return {
            event["LogicalResourceId"]: event["ResourceStatusReason"]
            for event in events
            if event["ResourceStatus"].endswith("FAILED") and "ResourceStatusReason" in event
        }

    def _settled(self) -> str:
        def status() -> str | None:
            status = self._client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            return None if status.endswith("IN_PROGRESS") else status

        return eventually(status, timeout_s=30)


@contextlib.contextmanager
def deployed(localstack: LocalStack, template: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Deploy a template; the outputs of the stack."""
    stack = Stack(localstack)
    status = stack.create(template)
    assert status == "CREATE_COMPLETE", stack.failures()
    yield stack.outputs()
    stack.delete()
