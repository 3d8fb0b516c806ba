"""CloudFormation resource types AWS::ApiGatewayV2::*.

CloudFormation spells their properties as the API does, so one provider driven by a table serves them all: what the
API's operations take is taken from the resource's properties.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.client import BaseClient
from localstack.services.cloudformation.resource_provider import (
    CloudFormationResourceProviderPlugin,
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client

type Properties = dict[str, Any]

_PREFIX = "AWS::ApiGatewayV2::"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """How one resource type maps to operations `Create<name>`, `Update<name>`, `Delete<name>`."""

    name: str
    identifier: str
    """The property that Ref returns."""
    parents: tuple[str, ...] = ("ApiId",)
    """Properties that, with the identifier, address the resource; changing one replaces it."""
    create_only: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    """What GetAtt can read besides the identifier."""
    tagged: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "typeName": _PREFIX + self.name,
            "primaryIdentifier": [f"/properties/{self.identifier}"],
            "createOnlyProperties": [f"/properties/{name}" for name in (*self.parents, *self.create_only)],
            "readOnlyProperties": [f"/properties/{name}" for name in (self.identifier, *self.attributes)],
        }


TYPES = (
    ResourceType("Api", "ApiId", parents=(), create_only=("ProtocolType",), attributes=("ApiEndpoint",), tagged=True),
    ResourceType("Authorizer", "AuthorizerId"),
    ResourceType("Deployment", "DeploymentId", create_only=("StageName",)),
    ResourceType("Integration", "IntegrationId"),
    ResourceType("IntegrationResponse", "IntegrationResponseId", parents=("ApiId", "IntegrationId")),
    ResourceType("Model", "ModelId"),
    ResourceType("Route", "RouteId"),
    ResourceType("RouteResponse", "RouteResponseId", parents=("ApiId", "RouteId")),
    ResourceType("Stage", "StageName", tagged=True),
)


class ApiGatewayV2ResourceProvider(ResourceProvider[Properties]):
    """Creates, updates and deletes resources of one type."""

    TYPE: str
    SCHEMA: dict[str, Any]
    resource_type: ResourceType

    def create(self, request: ResourceRequest[Properties]) -> ProgressEvent[Properties]:
        """Create the resource and read what GetAtt needs from the answer."""
        kind, client = self.resource_type, _client(request)
        model = dict(request.desired_state)
        parameters = _accepted(client, f"Create{kind.name}", model)
        if kind.tagged:
            parameters["Tags"] = {**(model.get("Tags") or {}), **_system_tags(request)}
        answer = _operation(client, f"create_{_snake(kind.name)}")(**parameters)
        model |= {name: answer[name] for name in (kind.identifier, *kind.attributes) if name in answer}
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    def update(self, request: ResourceRequest[Properties]) -> ProgressEvent[Properties]:
        """Update in place; properties that address the resource never change here."""
        kind, client = self.resource_type, _client(request)
        previous = request.previous_state or {}
        model = {**request.desired_state, kind.identifier: previous[kind.identifier]}
        model |= {name: previous[name] for name in kind.attributes if name in previous}
        operation = _operation(client, f"update_{_snake(kind.name)}")
        operation(**_accepted(client, f"Update{kind.name}", model))
        if kind.tagged:
            self._update_tags(request, model, previous)
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    def delete(self, request: ResourceRequest[Properties]) -> ProgressEvent[Properties]:
        """Delete; a resource (or its API) that is gone is deleted already."""
        kind, client = self.resource_type, _client(request)
        address = {name: request.desired_state[name] for name in (*kind.parents, kind.identifier)}
        with contextlib.suppress(client.exceptions.NotFoundException):
            _operation(client, f"delete_{_snake(kind.name)}")(**address)
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=request.desired_state)

    def read(self, request: ResourceRequest[Properties]) -> ProgressEvent[Properties]:
        """Return the resource's current properties."""
        kind, client = self.resource_type, _client(request)
        address = {name: request.desired_state[name] for name in (*kind.parents, kind.identifier)}
        answer = _operation(client, f"get_{_snake(kind.name)}")(**address)
        answer.pop("ResponseMetadata", None)
        return ProgressEvent(OperationStatus.SUCCESS, resource_model={**answer, **address})

    def _update_tags(self, request: ResourceRequest[Properties], model: Properties, previous: Properties) -> None:
        if self.resource_type.name != "Api":
            return  # moto keeps a stage's tags on the stage, where UpdateStage cannot change them
        client = _client(request)
        arn = f"arn:aws:apigateway:{request.region_name}::/apis/{model['ApiId']}"
        wanted: dict[str, str] = model.get("Tags") or {}
        had: dict[str, str] = previous.get("Tags") or {}
        if removed := sorted(set(had) - set(wanted)):
            client.untag_resource(ResourceArn=arn, TagKeys=removed)
        if wanted:
            client.tag_resource(ResourceArn=arn, Tags=wanted)


def _client(request: ResourceRequest[Properties]) -> "ApiGatewayV2Client":
    """Return the boto3 client; what LocalStack's annotation says besides that adds to it."""
    return cast("ApiGatewayV2Client", request.aws_client_factory.apigatewayv2)


def _accepted(client: BaseClient, operation: str, model: Properties) -> Properties:
    """Return the properties that an operation takes."""
    shape = client.meta.service_model.operation_model(operation).input_shape
    members = shape.members if shape else {}
    return {name: value for name, value in model.items() if name in members and value is not None}


def _operation(client: BaseClient, name: str) -> Callable[..., Any]:
    return getattr(client, name)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _system_tags(request: ResourceRequest[Properties]) -> dict[str, str]:
    """CloudFormation's own tags; the data plane finds the stack's APIs by them."""
    return {
        "aws:cloudformation:stack-name": request.stack_name,
        "aws:cloudformation:stack-id": request.stack_id,
        "aws:cloudformation:logical-id": request.logical_resource_id,
    }


def _plugin(kind: ResourceType) -> type[CloudFormationResourceProviderPlugin]:
    provider = type(
        f"{kind.name}Provider",
        (ApiGatewayV2ResourceProvider,),
        {"TYPE": _PREFIX + kind.name, "SCHEMA": kind.schema, "resource_type": kind},
    )

    def load(self: Any, *_: Any) -> None:
        self.factory = provider

    return type(
        f"{kind.name}Plugin",
        (CloudFormationResourceProviderPlugin,),
        {"name": _PREFIX + kind.name, "load": load, "__module__": __name__},
    )


ApiPlugin, AuthorizerPlugin, DeploymentPlugin, IntegrationPlugin, IntegrationResponsePlugin = map(_plugin, TYPES[:5])
ModelPlugin, RoutePlugin, RouteResponsePlugin, StagePlugin = map(_plugin, TYPES[5:])
