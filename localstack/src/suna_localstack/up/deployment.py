"""Deployment through the CloudFormation API, as the CDK's command line does it on AWS."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from suna_localstack.json_types import is_object
from suna_localstack.up.aws_client import client
from suna_localstack.up.errors import StackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

STACK_NAME = "suna-local"
_BUCKET = "suna-local-templates"
_POLL_S = 0.2
_CALL_MODELS = ("QueueRunner", "WorkflowRunner", "Summarizer")
_TIMEOUT_S = 300
_REASONS = 4


def template_hash(template: Path) -> str:
    """Identifies the template that was deployed."""
    return hashlib.sha256(template.read_bytes()).hexdigest()


def select_parameters(template: dict[str, Any], values: dict[str, str]) -> list[dict[str, str]]:
    """The values that the template declares, in CloudFormation's shape.

    Raises:
        StackError: the template needs a parameter that nobody gives.
    """
    declared = template.get("Parameters", {})
    missing = [name for name, entry in declared.items() if name not in values and "Default" not in entry]
    if missing:
        raise StackError(f"the template needs parameters that `up` does not know: {', '.join(sorted(missing))}")
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items() if name in declared]


def readable(reason: str) -> str:
    """A reason without the stack trace that a failed function's JSON brings along."""
    start = reason.find("{")
    if start < 0:
        return reason
    try:
        error, end = json.JSONDecoder().raw_decode(reason, start)
    except ValueError:
        return reason
    if not is_object(error) or "errorMessage" not in error:
        return reason
    return f"{reason[:start]}{error.get('errorType', 'Error')}: {error['errorMessage']}{reason[end:]}"


def replace_provider_secret(endpoint_url: str, outputs: dict[str, str], secret: str) -> None:
    """Store ``secret``, and let the next invocation of each function that calls models read it.

    LocalStack's CloudFormation does not update a secret's value, and a function keeps the keys that it has read for as
    long as they are accepted.

    Raises:
        StackError: Secrets Manager or Lambda refused.
    """
    functions = client("lambda", endpoint_url)
    try:
        client("secretsmanager", endpoint_url).put_secret_value(
            SecretId=outputs["ProviderSecretArn"], SecretString=secret
        )
        for key, name in outputs.items():
            if key.endswith("FunctionName") and key.startswith(_CALL_MODELS):
                # An update that changes nothing is an update: environments of before are not used again.
                timeout_s = functions.get_function_configuration(FunctionName=name)["Timeout"]
                functions.update_function_configuration(FunctionName=name, Timeout=timeout_s)
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"the provider's variables cannot be replaced: {error}") from error


@dataclass(frozen=True)
class Deployed:
    """Outputs of the stack by name, and whether anything was changed."""

    outputs: dict[str, str]
    action: str


class Deployment:
    """One stack at one endpoint. Blocking: run it in a thread."""

    def __init__(self, endpoint_url: str, *, stack_name: str = STACK_NAME) -> None:
        self._cloudformation = client("cloudformation", endpoint_url)
        self._s3 = client("s3", endpoint_url)
        self._endpoint_url = endpoint_url
        self._stack_name = stack_name

    def deploy(self, template_file: Path, values: dict[str, str]) -> Deployed:
        """Create the stack, or update it if it exists.

        Raises:
            StackError: CloudFormation refused or failed; the message has the reasons of the first failed resources.
        """
        template = json.loads(template_file.read_text())
        request = {
            "StackName": self._stack_name,
            "TemplateURL": self._upload(template_file),
            "Parameters": select_parameters(template, values),
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        }
        try:
            action = self._submit(request)
            stack = self._wait() if action != "unchanged" else self._describe()
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"CloudFormation refused the template: {error}") from error
        if stack is None:
            raise StackError(f"the stack {self._stack_name} has vanished while it was deployed")
        if action != "unchanged" and stack["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            raise StackError(f"deployment ended with {stack['StackStatus']}: {self._reasons(stack)}")
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for output in stack.get("Outputs", [])
            if "OutputKey" in output and "OutputValue" in output
        }
        return Deployed(outputs, action)

    def _upload(self, template_file: Path) -> str:
        """A template over 51,200 bytes is accepted only from S3."""
        try:
            self._s3.create_bucket(Bucket=_BUCKET)
            key = f"{template_hash(template_file)}.json"
            self._s3.put_object(Bucket=_BUCKET, Key=key, Body=template_file.read_bytes())
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"cannot store the template in S3: {error}") from error
        return f"{self._endpoint_url}/{_BUCKET}/{key}"

    def _describe(self) -> "StackTypeDef | None":
        try:
            return self._cloudformation.describe_stacks(StackName=self._stack_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def _submit(self, request: dict[str, Any]) -> str:
        stack = self._describe()
        if stack is not None and stack["StackStatus"] in {"CREATE_FAILED", "ROLLBACK_COMPLETE", "DELETE_FAILED"}:
            self._cloudformation.delete_stack(StackName=self._stack_name)
            self._wait()
            stack = None
        if stack is None:
            self._cloudformation.create_stack(**request, OnFailure="DO_NOTHING")
            return "created"
        try:
            self._cloudformation.update_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return "unchanged"
            raise
        return "updated"

    def _wait(self) -> "StackTypeDef | None":
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            stack = self._describe()
            if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            if time.monotonic() > deadline:
                raise StackError(f"the deployment is still {stack['StackStatus']} after {_TIMEOUT_S} s")
            time.sleep(_POLL_S)

    def _reasons(self, stack: "StackTypeDef") -> str:
        events = self._cloudformation.describe_stack_events(StackName=self._stack_name)["StackEvents"]
        reasons: list[str] = []
        for event in sorted(events, key=lambda event: event["Timestamp"]):
            reason = event.get("ResourceStatusReason") or ""
            resource = event.get("LogicalResourceId", "")
            own = resource == self._stack_name
            if event.get("ResourceStatus", "").endswith("_FAILED") and not own and "cancelled" not in reason.lower():
                line = " ".join(readable(reason).split()) or "no reason given"
                reasons.append(f"{resource} ({event.get('ResourceType')}): {line}")
        more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
        return "; ".join(reasons[:_REASONS]) + more or stack.get("StackStatusReason") or "no reason given"
