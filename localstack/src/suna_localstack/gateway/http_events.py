"""Events of HTTP APIs: Lambda proxy payload format 2.0.

Source: AWS, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".
"""

import base64
from typing import Any

from suna_localstack.gateway.apis import Api, Stage
from suna_localstack.gateway.identifiers import request_time
from suna_localstack.gateway.matching import RouteMatch
from suna_localstack.gateway.requests import FORWARDED_NAMES, GatewayRequest, joined_by_comma

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
) | {"upgrade", "expect"}
_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})

type Event = dict[str, Any]


def build_http_event(
    *, request: GatewayRequest, api: Api, stage: Stage, match: RouteMatch, body: bytes, authorizer: Event | None
) -> Event:
    """Build the event of payload format 2.0 for a request.

    `rawPath` is URL-decoded and starts with the stage's name unless it is `$default`; `rawQueryString` is as sent.
    Fields that have nothing to say (cookies, parameters, body, authorizer, stage variables) are absent, as on AWS.
    """
    path = request.path if stage.name == "$default" else f"/{stage.name}{request.path}"
    context: Event = {
        "accountId": api.account_id,
        "apiId": api.api_id,
        "domainName": api.domain_name,
        "domainPrefix": api.api_id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent"),
        },
        "requestId": request.request_id,
        "routeKey": match.key,
        "stage": stage.name,
        "time": request_time(request.epoch_ms),
        "timeEpoch": request.epoch_ms,
    }
    if authorizer:
        context["authorizer"] = authorizer
    event: Event = {
        "version": "2.0",
        "routeKey": match.key,
        "rawPath": path,
        "rawQueryString": request.raw_query,
        "headers": _headers(request, len(body)),
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies := [value for name, value in request.headers if name.lower() == "cookie"]:
        event["cookies"] = [cookie for header in cookies for cookie in header.split("; ")]
    if query := request.query():
        event["queryStringParameters"] = joined_by_comma(query)
    if match.path_parameters:
        event["pathParameters"] = match.path_parameters
    if stage.variables:
        event["stageVariables"] = dict(stage.variables)
    if body:
        event["body"], event["isBase64Encoded"] = encode_body(body, request.header("content-type"))
    return event


def encode_body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return the body as the event carries it: text for text, JSON, JavaScript and XML, else base64."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # mislabelled: base64 keeps every byte
    return base64.b64encode(body).decode(), True


def _headers(request: GatewayRequest, body_bytes: int) -> dict[str, str]:
    dropped = _HOP_BY_HOP | FORWARDED_NAMES | {"cookie", "content-length"}
    pairs = [(name.lower(), value) for name, value in request.headers if name.lower() not in dropped]
    pairs += [(name.lower(), value) for name, value in request.forwarded_headers()]
    return joined_by_comma([*pairs, ("content-length", str(body_bytes))])
