"""Events of WebSocket APIs: CONNECT, MESSAGE and DISCONNECT.

Sources: AWS, "Manage connected users and client apps: $connect and $disconnect routes" and the events seen there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suna_localstack.gateway.apis import Api, Stage
from suna_localstack.gateway.identifiers import new_id, request_time
from suna_localstack.gateway.requests import FORWARDED_NAMES, GatewayRequest, grouped

type Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What every event of a connection repeats."""

    api: Api
    stage: Stage
    connection_id: str
    connected_at_ms: int
    source_ip: str
    user_agent: str
    authorizer: Mapping[str, Any] | None = None


def build_connect_event(*, context: ConnectionContext, request: GatewayRequest) -> Event:
    """Build the `$connect` event: the only one with the upgrade's query and all of its headers."""
    headers = [(name, value) for name, value in request.headers if name.lower() not in FORWARDED_NAMES]
    headers += request.forwarded_headers()
    event: Event = {
        "headers": {name: values[-1] for name, values in grouped(headers).items()},
        "multiValueHeaders": grouped(headers),
    }
    if query := grouped(request.query()):
        event["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
        event["multiValueQueryStringParameters"] = query
    event["requestContext"] = _request_context(
        context, route_key="$connect", event_type="CONNECT", epoch_ms=request.epoch_ms, request_id=request.request_id
    )
    return _finished(event, context)


def build_message_event(*, context: ConnectionContext, route_key: str, body: str, epoch_ms: int) -> Event:
    """Build a MESSAGE event: no headers, but `messageId` and `body`."""
    request_context = _request_context(context, route_key=route_key, event_type="MESSAGE", epoch_ms=epoch_ms)
    return _finished({"requestContext": request_context | {"messageId": new_id()}, "body": body}, context)


def build_disconnect_event(*, context: ConnectionContext, code: int, reason: str, epoch_ms: int) -> Event:
    """Build the `$disconnect` event with the close code and reason."""
    headers = [("Host", context.api.domain_name), ("x-api-key", ""), ("X-Forwarded-For", ""), ("x-restapi", "")]
    request_context = _request_context(context, route_key="$disconnect", event_type="DISCONNECT", epoch_ms=epoch_ms)
    event: Event = {
        "headers": dict(headers),
        "multiValueHeaders": grouped(headers),
        "requestContext": request_context | {"disconnectStatusCode": code, "disconnectReason": reason},
    }
    return _finished(event, context)


def _request_context(
    context: ConnectionContext, *, route_key: str, event_type: str, epoch_ms: int, request_id: str | None = None
) -> Event:
    request_id = request_id or new_id()
    fields: Event = {
        "routeKey": route_key,
        "eventType": event_type,
        "extendedRequestId": request_id,
        "requestTime": request_time(epoch_ms),
        "messageDirection": "IN",
        "stage": context.stage.name,
        "connectedAt": context.connected_at_ms,
        "requestTimeEpoch": epoch_ms,
        "identity": {"userAgent": context.user_agent, "sourceIp": context.source_ip},
        "requestId": request_id,
        "domainName": context.api.domain_name,
        "connectionId": context.connection_id,
        "apiId": context.api.api_id,
    }
    if context.authorizer:
        fields["authorizer"] = dict(context.authorizer)
    return fields


def _finished(event: Event, context: ConnectionContext) -> Event:
    if context.stage.variables:
        event["stageVariables"] = dict(context.stage.variables)
    event["isBase64Encoded"] = False
    return event
