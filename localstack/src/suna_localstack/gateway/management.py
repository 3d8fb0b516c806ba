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


class _RefusedError(Exception):
    def __init__(self, status: int, kind: str, message: str = "") -> None:
        super().__init__(f"{status} {kind}")
        self.status = status
        self.kind = kind
        self.message = message


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
        try:
            session = self._find(request, connection_id)
            if not _belongs(session, api_id, stage):
                raise _RefusedError(410, "GoneException")
            match request.method:
                case "POST":
                    self._post(session, body)
                    return HttpResponse(200)
                case "GET":
                    return _describe(session)
                case _:
                    session.close(*CLOSED_BY_BACKEND)
                    return HttpResponse(204)
        except _RefusedError as refused:
            content = json.dumps({"message": refused.message}).encode() if refused.message else b""
            headers = [("x-amzn-ErrorType", refused.kind), ("content-type", "application/json")]
            return HttpResponse(refused.status, headers, content)

    def _find(self, request: GatewayRequest, connection_id: str) -> Session:
        if not is_signed(request) or request.method not in ("POST", "GET", "DELETE"):
            raise _RefusedError(403, "ForbiddenException", "Missing Authentication Token")
        if not self._requests.admit():
            raise _RefusedError(429, "LimitExceededException", "Too Many Requests")
        if not is_connection_id(connection_id):
            raise _RefusedError(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
        session = self._connections.find(connection_id)
        if session is None:
            raise _RefusedError(410, "GoneException")
        return session

    def _post(self, session: Session, body: bytes) -> None:
        if len(body) > self._settings.websocket_message_bytes:
            raise _RefusedError(413, "PayloadTooLargeException", "Message too long")
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise _RefusedError(400, "BadRequestException", "Data must be UTF-8 text") from error
        try:
            session.send(body)
        except ClientBufferFullError as error:
            message = "The WebSocket client side buffer is full"
            raise _RefusedError(429, "LimitExceededException", message) from error


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
