"""The deployed APIs as the data plane sees them: immutable, and built in one go from the control plane's document."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

type Document = Mapping[str, Any]

STACK_NAME_TAG = "aws:cloudformation:stack-name"
_INVOCATION_URI = re.compile(r"functions/(?P<arn>arn:[^/]+)/invocations$")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda (REQUEST) authorizer."""

    function_arn: str
    identity_sources: tuple[str, ...]
    simple_responses: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route with its Lambda proxy integration resolved; `function_arn` is None for any other integration."""

    key: str
    function_arn: str | None
    timeout_s: float
    authorization_type: str
    authorizer: Authorizer | None
    answers: bool
    """WebSocket: it has a route response, so the function's answer is sent to the client."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage and the routes it serves: the API's own when it deploys automatically, else its deployment's."""

    name: str
    variables: Mapping[str, str]
    routes: Mapping[str, Route]
    rate: float | None
    burst: int | None


@dataclass(frozen=True, slots=True)
class Api:
    """One HTTP or WebSocket API."""

    api_id: str
    protocol: Literal["HTTP", "WEBSOCKET"]
    region: str
    account_id: str
    stack: str | None
    route_selection_expression: str
    cors: Document | None
    stages: Mapping[str, Stage]

    @property
    def domain_name(self) -> str:
        return f"{self.api_id}.execute-api.{self.region}.amazonaws.com"

    @property
    def sole_stage(self) -> Stage | None:
        """The stage that paths without a stage name mean: `$default`, else the oldest."""
        return self.stages.get("$default") or next(iter(self.stages.values()), None)


@dataclass(frozen=True, slots=True)
class Apis:
    """Everything deployed, oldest API first."""

    by_id: Mapping[str, Api] = field(default_factory=dict[str, Api])

    def default(self, protocol: Literal["HTTP", "WEBSOCKET"], stack: str) -> Api | None:
        """Return the API that un-prefixed paths mean: the oldest of `stack`, else the oldest of all."""
        candidates = [api for api in self.by_id.values() if api.protocol == protocol]
        return next((api for api in candidates if api.stack == stack), candidates[0] if candidates else None)


def parse_apis(document: Document) -> Apis:
    """Build the view from the control plane's document, `{"apis": [...]}` in API Gateway's own JSON spelling."""
    return Apis({api["apiId"]: _parse_api(api) for api in document["apis"]})


def _parse_api(document: Document) -> Api:
    stages: dict[str, Stage] = {}
    for stage in document["stages"]:
        deployed = document if stage.get("autoDeploy") else stage.get("deployment")
        settings: Document = stage.get("defaultRouteSettings") or {}
        stages[stage["stageName"]] = Stage(
            name=stage["stageName"],
            variables=stage.get("stageVariables") or {},
            routes=_parse_routes(deployed) if deployed else {},
            rate=settings.get("throttlingRateLimit"),
            burst=settings.get("throttlingBurstLimit"),
        )
    tags: Mapping[str, str] = document.get("tags") or {}
    return Api(
        api_id=document["apiId"],
        protocol=document["protocolType"],
        region=document["region"],
        account_id=document["accountId"],
        stack=tags.get(STACK_NAME_TAG),
        route_selection_expression=document.get("routeSelectionExpression") or "",
        cors=document.get("corsConfiguration"),
        stages=stages,
    )


def _parse_routes(document: Document) -> dict[str, Route]:
    integrations = {item["integrationId"]: item for item in document["integrations"]}
    authorizers = {item["authorizerId"]: _parse_authorizer(item) for item in document["authorizers"]}
    routes: dict[str, Route] = {}
    for route in document["routes"]:
        integration = integrations.get((route.get("target") or "").removeprefix("integrations/"), {})
        is_lambda = integration.get("integrationType") == "AWS_PROXY"
        routes[route["routeKey"]] = Route(
            key=route["routeKey"],
            function_arn=function_arn(integration.get("integrationUri") or "") if is_lambda else None,
            timeout_s=(integration.get("timeoutInMillis") or 30_000) / 1000,
            authorization_type=route.get("authorizationType") or "NONE",
            authorizer=authorizers.get(route.get("authorizerId") or ""),
            answers=bool(route.get("routeResponseSelectionExpression") and route.get("routeResponses")),
        )
    return routes


def _parse_authorizer(document: Document) -> Authorizer:
    sources: str | list[str] = document.get("identitySource") or []
    return Authorizer(
        function_arn=function_arn(document.get("authorizerUri") or "") or "",
        identity_sources=tuple([sources] if isinstance(sources, str) else sources),
        simple_responses=bool(document.get("enableSimpleResponses")),
    )


def function_arn(uri: str) -> str | None:
    """Extract the function's ARN from an integration URI: the ARN itself, or `.../functions/<arn>/invocations`."""
    if match := _INVOCATION_URI.search(uri):
        return match["arn"]
    return uri if uri.startswith("arn:") and ":lambda:" in uri else None
