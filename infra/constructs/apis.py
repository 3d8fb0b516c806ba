"""The two APIs: HTTP for requests, WebSocket for streams."""

from __future__ import annotations

from typing import cast

from aws_cdk import ArnFormat, CfnParameter, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.retention import retention
from infra.stages import Stage

WEBSOCKET_STAGE = "live"
ROUTE_SELECTION = "$request.body.method"
"""Commands carry `method`; there is one route for them all, so it only has to be a valid expression."""

ACCESS_LOG_FORMAT = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","time":"$context.requestTime",'
    '"method":"$context.httpMethod","path":"$context.path","status":"$context.status",'
    '"bytes":"$context.responseLength","ms":"$context.responseLatency",'
    '"integrationError":"$context.integrationErrorMessage"}'
)
"""No query string: WebSocket tickets travel in one, and it would be one habit less to keep them out of logs."""


class HttpEndpoint(Construct):
    """HTTP API whose `$default` route invokes one function with payload 2.0.

    CORS allows any header by name and no credentials: tokens travel in a header and never in a cookie, so a foreign
    page has nothing to ride on.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        function: lambda_.IFunction,
        cors_origins: CfnParameter,
        gateway_url: CfnParameter | None,
    ) -> None:
        """gateway_url: where the local gateway serves, or None for AWS's own address."""
        super().__init__(scope, construct_id)
        self.api = apigateway.HttpApi(
            self,
            "Api",
            api_name=f"suna-{stage.name}-http",
            create_default_stage=False,
            default_integration=integrations.HttpLambdaIntegration(
                "Function", function, payload_format_version=apigateway.PayloadFormatVersion.VERSION_2_0
            ),
            cors_preflight=apigateway.CorsPreflightOptions(
                allow_origins=cors_origins.value_as_list,
                allow_methods=[apigateway.CorsHttpMethod.ANY],
                allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id", "x-api-key"],
                expose_headers=["content-location", "location", "ratelimit", "ratelimit-policy", "retry-after"],
            ),
        )
        http_stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=stage.http_rate_per_s, burst_limit=stage.http_burst),
        )
        access_logs = logs.LogGroup(
            self, "AccessLogs", retention=retention(stage.log_retention_days), removal_policy=RemovalPolicy.DESTROY
        )
        cfn_stage = cast(apigateway.CfnStage, http_stage.node.default_child)
        cfn_stage.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=access_logs.log_group_arn, format=ACCESS_LOG_FORMAT
        )
        self.domain = f"{self.api.api_id}.execute-api.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
        self.url = (
            f"https://{self.domain}"
            if gateway_url is None
            else f"{gateway_url.value_as_string}/@http/{self.api.api_id}"
        )


class WebSocketEndpoint(Construct):
    """WebSocket API; `$default` has a route response, so that commands are answered on the same connection.

    There is no access log: for WebSocket APIs it needs a role set for the whole account. The function logs each route.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, gateway_url: CfnParameter | None) -> None:
        """gateway_url: where the local gateway serves, or None for AWS's own address."""
        super().__init__(scope, construct_id)
        self.api = apigateway.WebSocketApi(
            self, "Api", api_name=f"suna-{stage.name}-websocket", route_selection_expression=ROUTE_SELECTION
        )
        apigateway.WebSocketStage(
            self,
            "Stage",
            web_socket_api=self.api,
            stage_name=WEBSOCKET_STAGE,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=stage.websocket_rate_per_s, burst_limit=stage.websocket_burst
            ),
        )
        stack = Stack.of(self)
        self.domain = f"{self.api.api_id}.execute-api.{stack.region}.{stack.url_suffix}"
        if gateway_url is None:
            self.url = f"wss://{self.domain}/{WEBSOCKET_STAGE}"
            self.connections_url = f"https://{self.domain}/{WEBSOCKET_STAGE}"
        else:
            path = f"/@ws/{self.api.api_id}/{WEBSOCKET_STAGE}"
            address = Fn.select(1, Fn.split("://", gateway_url.value_as_string))
            self.url = f"ws://{address}{path}"
            self.connections_url = f"{gateway_url.value_as_string}{path}"
        self.connections_arn = stack.format_arn(
            service="execute-api",
            resource=self.api.api_id,
            resource_name=f"{WEBSOCKET_STAGE}/*/@connections/*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        """ARN of every connection of this API, for any method of `@connections`."""

    def connect(self, function: lambda_.IFunction) -> None:
        """Send all three routes to a function."""
        for route, answers in (("$connect", False), ("$disconnect", False), ("$default", True)):
            self.api.add_route(
                route,
                integration=integrations.WebSocketLambdaIntegration(f"{route[1:].capitalize()}Function", function),
                return_response=answers,
            )
