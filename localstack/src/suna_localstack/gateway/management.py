"""`@connections`: what a backend may do with a connection.

Source: AWS, "API Gateway Management API" (PostToConnection, GetConnection, DeleteConnection).
"""

import json

from suna_localstack.gateway.authorizers import is_signed
from suna_localstack.gateway.connections import Connections
from suna_localstack.gateway.http_responses import HttpResponse
from suna_localstack.gateway.identifiers import is_connection_id, iso_time
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.gateway.session import CLOSED_BY_BACKEND, ClientBufferFullError, Session
from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.gateway.throttle import TokenBucket


class ManagementApi:
    """Serves `@connections/{id}`; answers within the event loop's turn, so posts keep their order."""

    def __init__(self, *, connections: Connections, settings: GatewaySettings, requests: TokenBucket) -> None:
        self._connections = connections
        self._settings = settings
        self._requests = requests

    def serve(
        self, *, request: GatewayRequest, connection_id: str, body: bytes, api_id: str | None, stage: str | None
    ) -> HttpResponse:
        """Answer POST (200), GET (200) or DELETE (204); errors as AWS: 400, 403, 410, 413, 429.

        `connection_id` is URL-decoded; `api_id` and `stage` are None on paths that name none, else the connection
        must belong to them.
        """
        if not is_signed(request):
            return _error(403, "ForbiddenException", "Missing Authentication Token")
        if request.method not in ("POST", "GET", "DELETE"):
            return _error(403, "ForbiddenException", "Missing Authentication Token")
        if not self._requests.admit():
            return _error(429, "LimitExceededException", "Too Many Requests")
        if not is_connection_id(connection_id):
            return _error(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
        session = self._connections.find(connection_id)
        if session is None or not _belongs(session, api_id, stage):
            return _error(410, "GoneException", None)
        match request.method:
            case "POST":
                return self._post(session, body)
            case "GET":
                return _describe(session)
            case _:
                session.close(*CLOSED_BY_BACKEND)
                return HttpResponse(204)

    def _post(self, session: Session, body: bytes) -> HttpResponse:
        if len(body) > self._settings.websocket_message_bytes:
            return _error(413, "PayloadTooLargeException", "Message too long")
        try:
            body.decode()
        except UnicodeDecodeError:
            return _error(400, "BadRequestException", "Data must be UTF-8 text")
        try:
            session.send(body)
        except ClientBufferFullError:
            return _error(429, "LimitExceededException", "The WebSocket client side buffer is full")
        return HttpResponse(200)


def _belongs(session: Session, api_id: str | None, stage: str | None) -> bool:
    context = session.context
    return api_id in (None, context.api.api_id) and stage in (None, context.stage.name)


def _describe(session: Session) -> HttpResponse:
    context = session.context
    active_ms = context.connected_at_ms + int((session.last_active_s - session.opened_s) * 1000)
    description = {
        "connectedAt": iso_time(context.connected_at_ms),
        "identity": {"sourceIp": context.source_ip, "userAgent": context.user_agent},
        "lastActiveAt": iso_time(active_ms),
    }
    return HttpResponse(200, [("content-type", "application/json")], json.dumps(description).encode())


def _error(status: int, kind: str, message: str | None) -> HttpResponse:
    headers = [("x-amzn-ErrorType", kind), ("content-type", "application/json")]
    return HttpResponse(status, headers, json.dumps({"message": message}).encode() if message else b"")
