"""``Custom::*`` and AWS::CloudFormation::CustomResource, which LocalStack's core accepts and never calls."""

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, cast

from localstack.services.cloudformation.resource_provider import (
    CloudFormationResourceProviderPlugin,
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)

from suna_localstack.compute import custom_resource
from suna_localstack.compute.custom_resource import Answer, InvalidAnswerError, RequestType
from suna_localstack.compute.response_urls import response_urls

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

LOG = logging.getLogger(__name__)

# Kept beside the answer's data, by names that no attribute of a template has.
_PHYSICAL_RESOURCE_ID = "@PhysicalResourceId"
_PROPERTIES = "@Properties"

_DEFAULT_TIMEOUT_S = 3600

type Model = dict[str, Any]


class CustomResourceProvider(ResourceProvider[Model]):
    """Calls the resource's function and waits for its answer."""

    TYPE = "AWS::CloudFormation::CustomResource"
    SCHEMA: Model = {"primaryIdentifier": [f"/properties/{_PHYSICAL_RESOURCE_ID}"]}  # noqa: RUF012 - LocalStack's interface

    def create(self, request: ResourceRequest[Model]) -> ProgressEvent[Model]:
        return _progress(request.desired_state, _call("Create", request, properties=request.desired_state))

    def update(self, request: ResourceRequest[Model]) -> ProgressEvent[Model]:
        """Update; another PhysicalResourceId means a replacement, whose old resource is deleted."""
        old = request.previous_state or {}
        old_id, old_properties = old.get(_PHYSICAL_RESOURCE_ID), old.get(_PROPERTIES, {})
        answer = _call(
            "Update",
            request,
            properties=request.desired_state,
            physical_resource_id=old_id,
            old_properties=old_properties,
        )
        if answer.status == "SUCCESS" and answer.physical_resource_id != old_id:
            cleanup = _call("Delete", request, properties=old_properties, physical_resource_id=old_id)
            if cleanup.status == "FAILED":
                # As in CloudFormation's clean-up phase, which a stack's update outlives.
                LOG.warning("Cannot delete replaced custom resource %r: %s", old_id, cleanup.reason)
        return _progress(request.desired_state, answer)

    def delete(self, request: ResourceRequest[Model]) -> ProgressEvent[Model]:
        state = request.desired_state
        if _PHYSICAL_RESOURCE_ID not in state:  # it was never created
            return ProgressEvent(status=OperationStatus.SUCCESS, resource_model={})
        properties = state[_PROPERTIES]
        answer = _call("Delete", request, properties=properties, physical_resource_id=state[_PHYSICAL_RESOURCE_ID])
        return _progress(properties, answer)


class CustomResourcePlugin(CloudFormationResourceProviderPlugin):
    """LocalStack looks up every ``Custom::Name`` under this name."""

    name = "AWS::CloudFormation::CustomResource"

    def __init__(self) -> None:
        self.factory: type[ResourceProvider[Model]] | None = None

    def load(self) -> None:
        self.factory = CustomResourceProvider


def _call(
    request_type: RequestType,
    request: ResourceRequest[Model],
    *,
    properties: Model,
    physical_resource_id: str | None = None,
    old_properties: Model | None = None,
) -> Answer:
    """Invoke the function behind ServiceToken and wait for what it PUTs to the ResponseURL.

    A function that fails without an answer is a failure at once; CloudFormation would wait for its time limit.
    """
    failed_id = physical_resource_id or f"{request.stack_name}-{request.logical_resource_id}-failed"
    token = properties.get("ServiceToken", "")
    if ":lambda:" not in token:
        return Answer(status="FAILED", reason=f"Invalid ServiceToken: {token!r}", physical_resource_id=failed_id)
    request_id = str(uuid.uuid4())
    timeout_s = int(properties.get("ServiceTimeout") or _DEFAULT_TIMEOUT_S)
    with response_urls().open() as (url, received):
        payload = custom_resource.event(
            request_type=request_type,
            request_id=request_id,
            response_url=url,
            stack_id=request.stack_id,
            logical_resource_id=request.logical_resource_id,
            resource_type=request.resource_type,
            properties=properties,
            physical_resource_id=physical_resource_id,
            old_properties=old_properties,
        )
        # What LocalStack's annotation says besides that adds to it.
        functions = cast("LambdaClient", request.aws_client_factory.lambda_)
        result = functions.invoke(FunctionName=token, Payload=json.dumps(payload))
        try:
            if "FunctionError" in result and not received.done():
                reason = f"The function failed without an answer: {result['Payload'].read().decode()}"
                return Answer(status="FAILED", reason=reason, physical_resource_id=failed_id)
            return custom_resource.parse_answer(received.result(timeout_s), request_id=request_id)
        except InvalidAnswerError as error:
            return Answer(status="FAILED", reason=str(error), physical_resource_id=failed_id)
        except TimeoutError:
            reason = "CloudFormation did not receive a response from your Custom Resource."
            return Answer(status="FAILED", reason=reason, physical_resource_id=failed_id)


def _progress(properties: Model, answer: Answer) -> ProgressEvent[Model]:
    model = {**answer.data, _PHYSICAL_RESOURCE_ID: answer.physical_resource_id, _PROPERTIES: properties}
    if answer.status == "SUCCESS":
        return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=model)
    message = f"Received response status [FAILED] from custom resource. Message returned: {answer.reason}"
    return ProgressEvent(status=OperationStatus.FAILED, resource_model=model, message=message)
