"""The CloudFormation template of the tests' APIs, as CDK's aws_apigatewayv2 constructs emit it."""

from typing import Any

type Json = dict[str, Any]

ROLE_ARN = "arn:aws:iam::000000000000:role/gateway-tests"


def template(*, code: str, environment: dict[str, str], stage_variable: str = "one") -> Json:
    """Return the template: an HTTP API and a WebSocket API in front of the functions in folder `code`."""
    resources: Json = {
        "HttpFunction": _function(code, "http_function.handler", {}),
        "AuthorizerFunction": _function(code, "http_function.authorizer", {}),
        "WebSocketFunction": _function(code, "websocket_function.handler", environment),
        "LimitedFunction": _function(code, "http_function.handler", {}),
        "Http": _resource(
            "Api",
            Name="http",
            ProtocolType="HTTP",
            Tags={"team": "suna"},
            CorsConfiguration={
                "AllowOrigins": ["https://app.example"],
                "AllowMethods": ["GET", "POST"],
                "AllowHeaders": ["authorization"],
                "ExposeHeaders": ["x-number"],
                "AllowCredentials": True,
                "MaxAge": 60,
            },
        ),
        "HttpIntegration": _resource(
            "Integration",
            ApiId={"Ref": "Http"},
            IntegrationType="AWS_PROXY",
            IntegrationUri={"Fn::GetAtt": ["HttpFunction", "Arn"]},
            PayloadFormatVersion="2.0",
        ),
        "SlowIntegration": _resource(
            "Integration",
            ApiId={"Ref": "Http"},
            IntegrationType="AWS_PROXY",
            IntegrationUri={"Fn::GetAtt": ["HttpFunction", "Arn"]},
            PayloadFormatVersion="2.0",
            TimeoutInMillis=300,
        ),
        "LimitedIntegration": _resource(
            "Integration",
            ApiId={"Ref": "Http"},
            IntegrationType="AWS_PROXY",
            IntegrationUri={"Fn::GetAtt": ["LimitedFunction", "Arn"]},
            PayloadFormatVersion="2.0",
        ),
        "HttpDefault": _route("Http", "$default", "HttpIntegration"),
        "HttpItem": _route("Http", "GET /items/{id}", "HttpIntegration"),
        "HttpAnyItem": _route("Http", "ANY /items/{proxy+}", "HttpIntegration"),
        "HttpLate": _route("Http", "GET /late/slow", "SlowIntegration"),
        "HttpLimited": _route("Http", "GET /limited/slow", "LimitedIntegration"),
        "HttpAuthorizer": _resource(
            "Authorizer",
            ApiId={"Ref": "Http"},
            AuthorizerPayloadFormatVersion="2.0",
            AuthorizerType="REQUEST",
            AuthorizerUri=_invocation_uri("AuthorizerFunction"),
            EnableSimpleResponses=True,
            IdentitySource=["$request.header.Authorization"],
            Name="authorizer",
        ),
        "HttpSecret": _route(
            "Http",
            "GET /secret/echo",
            "HttpIntegration",
            AuthorizationType="CUSTOM",
            AuthorizerId={"Ref": "HttpAuthorizer"},
        ),
        "HttpStage": _stage("Http", "$default", StageVariables={"name": stage_variable}),
        "DevStage": _stage(
            "Http", "throttled", DefaultRouteSettings={"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}
        ),
        "WebSocket": _resource(
            "Api", Name="websocket", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
        ),
        "WebSocketIntegration": _resource(
            "Integration",
            ApiId={"Ref": "WebSocket"},
            IntegrationType="AWS_PROXY",
            IntegrationUri=_invocation_uri("WebSocketFunction"),
        ),
        "ShortIntegration": _resource(
            "Integration",
            ApiId={"Ref": "WebSocket"},
            IntegrationType="AWS_PROXY",
            IntegrationUri=_invocation_uri("WebSocketFunction"),
            TimeoutInMillis=300,
        ),
        "Connect": _route("WebSocket", "$connect", "WebSocketIntegration"),
        "Disconnect": _route("WebSocket", "$disconnect", "WebSocketIntegration"),
        "Default": _route("WebSocket", "$default", "WebSocketIntegration", RouteResponseSelectionExpression="$default"),
        "DefaultResponse": _resource(
            "RouteResponse",
            ApiId={"Ref": "WebSocket"},
            RouteId={"Ref": "Default"},
            RouteResponseKey="$default",
        ),
        "OneWay": _route("WebSocket", "notify", "WebSocketIntegration"),
        "Short": _route("WebSocket", "short", "ShortIntegration"),
        "WebSocketStage": _stage("WebSocket", "test"),
    }
    return {
        "Resources": resources,
        "Outputs": {
            "LimitedFunction": {"Value": {"Ref": "LimitedFunction"}},
            "WebSocketFunction": {"Value": {"Ref": "WebSocketFunction"}},
            "HttpId": {"Value": {"Ref": "Http"}},
            "HttpEndpoint": {"Value": {"Fn::GetAtt": ["Http", "ApiEndpoint"]}},
            "HttpIdAttribute": {"Value": {"Fn::GetAtt": ["Http", "ApiId"]}},
            "WebSocketId": {"Value": {"Ref": "WebSocket"}},
            "WebSocketEndpoint": {"Value": {"Fn::GetAtt": ["WebSocket", "ApiEndpoint"]}},
            "StageName": {"Value": {"Ref": "WebSocketStage"}},
        },
    }


def _resource(kind: str, **properties: Any) -> Json:
    return {"Type": f"AWS::ApiGatewayV2::{kind}", "Properties": properties}


def _function(code: str, handler: str, environment: dict[str, str]) -> Json:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.13",
            "Handler": handler,
            "Role": ROLE_ARN,
            "Timeout": 20,
            "Code": {"S3Bucket": "hot-reload", "S3Key": code},
            "Environment": {"Variables": environment},
        },
    }


def _route(api: str, key: str, integration: str, **properties: Any) -> Json:
    target = {"Fn::Join": ["", ["integrations/", {"Ref": integration}]]}
    properties = {"AuthorizationType": "NONE", **properties}
    return _resource("Route", ApiId={"Ref": api}, RouteKey=key, Target=target, **properties)


def _stage(api: str, name: str, **properties: Any) -> Json:
    return _resource("Stage", ApiId={"Ref": api}, AutoDeploy=True, StageName=name, **properties)


def _invocation_uri(function: str) -> Json:
    parts = ["arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"]
    return {"Fn::Join": ["", [*parts, {"Fn::GetAtt": [function, "Arn"]}, "/invocations"]]}
