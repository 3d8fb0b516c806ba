"""What surrounds every request: its id on log lines and in the answer, the rate's headers, and the limits of sizes."""

import json
import time
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api.errors import appearance
from functions.api.request_log import path_of, request_fields
from functions.api.values import is_form, is_urlencoded, require_few_values
from functions.api.wire import ErrorBody
from shared.errors import BodyTooLargeError, InvalidRequestError, SunaError
from shared.telemetry import bound, logger

# Where a request's state holds what the answer says of the account's rate, whatever the answer is.
RATE_HEADERS = "rate_headers"
LARGEST_BODY_BYTES = 4 * 1024 * 1024
# As many as Starlette takes of a form in parts.
_MOST_FORM_FIELDS = 1000
# A function's answer is 6 MB of JSON at most, with the body as a string in it.
LARGEST_ANSWER_BYTES = 5_900_000
# An answer is data for a program: no browser is to guess that it is a page, frame it, or keep it for somebody else.
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


_ANSWER_TOO_LARGE = (
    "the answer would be larger than the 6 MB that a function may give: ask for fewer with 'limit' and 'offset', or for"
    " parts with 'select'; what the request has changed is changed"
)


class RequestMiddleware:
    """Binds ids and who asks for what, refuses what is too large, adds what browsers heed, logs one line a request."""

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

        start: Message | None = None

        async def send_noting(message: Message) -> None:
            nonlocal start, status
            if message["type"] == "http.response.start":
                # Not before its body is seen.
                start = message
                return
            if start is not None:
                if not _fits(message.get("body", b"")):
                    start, message = _messages(_refusal(InvalidRequestError(_ANSWER_TOO_LARGE)))
                status = start["status"]
                headers = MutableHeaders(scope=start)
                if request_id is not None:
                    headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.update(state.get(RATE_HEADERS, {}))
                await send(start)
                start = None
            await send(message)

        # Mangum has the whole body in one message.
        first = await receive()

        async def receive_again() -> Message:
            return first

        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        with bound(request_id=request_id, **request_fields(_event(scope), query)):
            try:
                _check(scope, first.get("body", b""))
            except SunaError as error:
                await _refusal(error)(scope, receive_again, send_noting)
            else:
                await self._app(scope, receive_again, send_noting)
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": path_of(scope),
                    "status": status,
                    "duration_ms": round((time.perf_counter() - begun) * 1000, 1),
                },
            )


def _check(scope: Scope, body: bytes) -> None:
    """Refuse a body that is too much before anybody reads it."""
    if len(body) > LARGEST_BODY_BYTES:
        raise BodyTooLargeError
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").decode("latin-1")
    if is_urlencoded(content_type):
        if body.count(b"&") + body.count(b";") > _MOST_FORM_FIELDS:
            raise InvalidRequestError(f"a form has at most {_MOST_FORM_FIELDS:,} fields")
    elif not is_form(content_type):
        # Starlette counts the parts of such a form; its files are any bytes.
        require_few_values(body)


def _event(scope: Scope) -> dict[str, Any]:
    return scope.get("aws.event") or {}


def _fits(body: bytes) -> bool:
    """Whether a function may answer so much."""
    # A character becomes two at most, or is one that JSON has escaped already.
    if len(body) <= (LARGEST_ANSWER_BYTES - 2) // 2:
        return True
    return len(json.dumps(body.decode(errors="replace"), ensure_ascii=False).encode()) <= LARGEST_ANSWER_BYTES


def _messages(response: JSONResponse) -> tuple[Message, Message]:
    return (
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers},
        {"type": "http.response.body", "body": response.body},
    )


def _refusal(error: SunaError) -> JSONResponse:
    look = appearance(error)
    return JSONResponse(ErrorBody(code=look.code, message=error.message).model_dump(), status_code=look.status)
