"""What surrounds every request: its id on log lines and in the answer, the rate's headers, and the limit on bodies."""

import time
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api.errors import appearance
from functions.api.request_log import request_fields
from functions.api.wire import ErrorBody
from shared.errors import BodyTooLargeError
from shared.telemetry import bound, logger

# Where a request's state holds what the answer says of the account's rate, whatever the answer is.
RATE_HEADERS = "rate_headers"
LARGEST_BODY_BYTES = 4 * 1024 * 1024
# An answer is data for a program: no browser is to guess that it is a page, frame it, or keep it for somebody else.
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class RequestMiddleware:
    """Binds ids and who asks for what, refuses large bodies, adds what browsers heed, logs one line a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id: str | None = _event(scope).get("requestContext", {}).get("requestId")
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 0
        begun = time.perf_counter()

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                if request_id is not None:
                    headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.update(state.get(RATE_HEADERS, {}))
            await send(message)

        # Mangum has the whole body in one message.
        first = await receive()

        async def receive_again() -> Message:
            return first

        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        with bound(request_id=request_id, **request_fields(_event(scope), query)):
            if len(first.get("body", b"")) > LARGEST_BODY_BYTES:
                await _too_large()(scope, receive_again, send_noting)
            else:
                await self._app(scope, receive_again, send_noting)
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "duration_ms": round((time.perf_counter() - begun) * 1000, 1),
                },
            )


def _event(scope: Scope) -> dict[str, Any]:
    return scope.get("aws.event") or {}


def _too_large() -> JSONResponse:
    error = BodyTooLargeError()
    look = appearance(error)
    return JSONResponse(ErrorBody(code=look.code, message=error.message).model_dump(), status_code=look.status)
