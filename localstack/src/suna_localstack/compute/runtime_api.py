"""The Lambda Runtime API of one worker: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.

The worker asks for its next invocation and is left waiting until there is one; it posts the answer or the error.
"""

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import web

from suna_localstack.compute import outcome
from suna_localstack.compute.outcome import Invocation, Outcome

_VERSION = "/2018-06-01/runtime"


@dataclass(kw_only=True)
class _Current:
    """The invocation the worker has, its deadline, and where its answer goes."""

    invocation: Invocation
    deadline_ms: int
    answer: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RuntimeApi:
    """One worker's end of the Runtime API, on a port of its own of 127.0.0.1.

    Attributes
    ----------
    initialised
        Ends when the worker is ready (None), or with the error it reported instead.
    """

    def __init__(self) -> None:
        self.initialised: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._waiting: asyncio.Future[_Current] | None = None
        self._idle = asyncio.Event()
        self._current: _Current | None = None
        self._server: asyncio.Server | None = None
        self._http = web.Server(self._serve, access_log=None, handler_cancellation=True, keepalive_timeout=3600)

    async def listen(self) -> str:
        """Open the port; return ``host:port``, the value of AWS_LAMBDA_RUNTIME_API."""
        self._server = await asyncio.get_running_loop().create_server(self._http, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}"

    async def close(self) -> None:
        """Close the port and every connection; a worker that waits for an invocation ends by that."""
        if self._server is not None:
            self._server.close()
        await self._http.shutdown(timeout=0)

    async def wait_until_idle(self) -> None:
        """Wait until the worker asks for its next invocation."""
        await self._idle.wait()

    def hand_over(self, invocation: Invocation, *, deadline_ms: int) -> asyncio.Future[Outcome]:
        """Give the waiting worker its next invocation; the future ends with its answer."""
        if self._waiting is None:
            message = f"no worker waits for {invocation.request_id!r}"
            raise RuntimeError(message)
        self._current = _Current(invocation=invocation, deadline_ms=deadline_ms)
        self._waiting.set_result(self._current)
        self._waiting = None
        self._idle.clear()
        return self._current.answer

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path.removeprefix(_VERSION).strip("/").split("/"):
            case ["invocation", "next"] if request.method == "GET":
                return await self._next()
            case ["invocation", request_id, "response"] if request.method == "POST":
                return await self._response(request, request_id)
            case ["invocation", request_id, "error"] if request.method == "POST":
                return await self._answer(request_id, Outcome(payload=await request.content.read(), is_error=True))
            case ["init", "error"] if request.method == "POST":
                error = Outcome(payload=await request.content.read(), is_error=True)
                if not self.initialised.done():
                    self.initialised.set_result(error)
                return _accepted()
            case ["restore", "next"] if request.method == "GET":
                # SnapStart: there is no snapshot here, so the hooks before and after it run at once.
                return web.Response()
            case _:
                return _problem(404, "NotFound", f"no such path: {request.path!r}")

    async def _next(self) -> web.StreamResponse:
        self._waiting = asyncio.get_running_loop().create_future()
        if not self.initialised.done():
            self.initialised.set_result(None)
        self._idle.set()
        try:
            current = await self._waiting
        finally:
            # The worker may be killed while it waits.
            self._waiting = None
            self._idle.clear()
        invocation = current.invocation
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(current.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return web.Response(body=invocation.payload, headers=headers)

    async def _response(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        payload = await request.content.read()
        if len(payload) <= outcome.RESPONSE_LIMIT_BYTES:
            return await self._answer(request_id, Outcome(payload=payload, is_error=False))
        await self._answer(request_id, outcome.response_too_large())
        message = f"Exceeded maximum allowed payload size ({outcome.RESPONSE_LIMIT_BYTES} bytes)."
        return _problem(413, "RequestEntityTooLarge", message)

    async def _answer(self, request_id: str, result: Outcome) -> web.StreamResponse:
        current = self._current
        if current is None or current.invocation.request_id != request_id or current.answer.done():
            return _problem(400, "InvalidRequestID", "Invalid request ID")
        current.answer.set_result(result)
        return _accepted()


def _accepted() -> web.Response:
    return web.Response(status=202, body=b'{"status":"OK"}\n', content_type="application/json")


def _problem(status: int, error_type: str, message: str) -> web.Response:
    body = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return web.Response(status=status, body=body, content_type="application/json")
