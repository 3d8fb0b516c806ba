"""WebSocket APIs: what happens at `$connect`, for each message, and at `$disconnect`."""

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from suna_localstack.gateway.apis import Api, Stage
from suna_localstack.gateway.authorizers import RefusedError, authorize
from suna_localstack.gateway.backend import (
    Backend,
    FunctionThrottledError,
    FunctionTimeoutError,
    InvocationError,
    invoke_within,
)
from suna_localstack.gateway.http_responses import MalformedAnswerError, interpret_answer
from suna_localstack.gateway.identifiers import new_id
from suna_localstack.gateway.matching import select_websocket_route
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.gateway.session import Session
from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.gateway.throttle import TokenBucket
from suna_localstack.gateway.websocket_events import (
    ConnectionContext,
    build_connect_event,
    build_disconnect_event,
    build_message_event,
)

LOG = logging.getLogger(__name__)


class UpgradeRefusedError(Exception):
    """The upgrade is answered with `status` and `message` instead of 101."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


class WebSocketApis:
    """Runs the routes of WebSocket APIs; used on one event loop."""

    def __init__(self, *, backend: Backend, settings: GatewaySettings, requests: TokenBucket) -> None:
        self._backend = backend
        self._settings = settings
        self._requests = requests
        self._disconnect_slots = asyncio.Semaphore(settings.disconnect_concurrency)
        self._messages: set[asyncio.Task[None]] = set()
        self._disconnects: set[asyncio.Task[None]] = set()

    async def connect(
        self, *, request: GatewayRequest, api: Api, stage: Stage
    ) -> tuple[ConnectionContext, dict[str, str]]:
        """Run `$connect` and return the connection's context and the headers for the 101.

        Raises
        ------
        UpgradeRefusedError
            The authorizer or the function refused (its 4xx), crashed or answered badly (502), or was throttled (429).
        """
        context = ConnectionContext(
            api=api,
            stage=stage,
            connection_id=new_id(),
            connected_at_ms=request.epoch_ms,
            source_ip=request.source_ip,
            user_agent=request.header("user-agent"),
        )
        route = stage.routes.get("$connect")
        if route is None:
            return context, {}
        event = build_connect_event(context=context, request=request)
        try:
            authorizer = await authorize(
                backend=self._backend, request=request, api=api, stage=stage, route=route, event=event
            )
            if authorizer:
                context = replace(context, authorizer=authorizer)
                event["requestContext"]["authorizer"] = authorizer
            answer = interpret_answer(await self._invoke(route.function_arn, event, route.timeout_s))
        except RefusedError as error:
            message = {401: "Unauthorized", 403: "Forbidden"}.get(error.status, "Internal server error")
            raise UpgradeRefusedError(error.status, message) from error
        except FunctionThrottledError as error:
            raise UpgradeRefusedError(429, "Too Many Requests") from error
        except (InvocationError, MalformedAnswerError) as error:
            LOG.warning("$connect of %s: %s", api.api_id, error)
            raise UpgradeRefusedError(502, "Internal server error") from error
        if 400 <= answer.status < 500:
            raise UpgradeRefusedError(answer.status, "Forbidden" if answer.status == 403 else "Refused")
        if not 200 <= answer.status < 300:
            raise UpgradeRefusedError(502, "Internal server error")
        subprotocol = next((value for name, value in answer.headers if name == "sec-websocket-protocol"), None)
        return context, {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else {}

    def accept_message(self, session: Session, text: str) -> None:
        """Start processing a message; several of one connection run concurrently, as on AWS."""
        _spawn(self._messages, self._run_message(session, text))

    def disconnect(self, context: ConnectionContext, code: int, reason: str) -> None:
        """Start invoking `$disconnect`, best effort."""
        _spawn(self._disconnects, self._run_disconnect(context, code, reason))

    async def close(self, *, timeout_s: float) -> None:
        """Wait for `$disconnect` of every ended connection, but not for messages still being processed."""
        if self._disconnects:
            await asyncio.wait(self._disconnects, timeout=timeout_s)
        abandoned = self._messages | self._disconnects
        for task in abandoned:
            task.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)

    async def _run_disconnect(self, context: ConnectionContext, code: int, reason: str) -> None:
        route = context.stage.routes.get("$disconnect")
        if route is None:
            return
        event = build_disconnect_event(context=context, code=code, reason=reason, epoch_ms=_now_ms())
        try:
            async with self._disconnect_slots:
                await self._invoke(route.function_arn, event, route.timeout_s)
        except InvocationError as error:
            LOG.warning("$disconnect of %s: %s", context.connection_id, error)

    async def _run_message(self, session: Session, text: str) -> None:
        try:
            reply = await self._process(session.context, text)
            if reply:
                await session.send_when_possible(reply)
        finally:
            session.message_done()

    async def _process(self, context: ConnectionContext, text: str) -> bytes | None:
        """Return what the client gets: the route response, an error, or None for a one-way route."""
        if not self._requests.admit():
            return _error("Too Many Requests", context, new_id())
        key = select_websocket_route(context.stage.routes, context.api.route_selection_expression, text)
        if key is None:
            return _error("Forbidden", context, new_id())
        route = context.stage.routes[key]
        event = build_message_event(context=context, route_key=key, body=text, epoch_ms=_now_ms())
        request_id = event["requestContext"]["requestId"]
        try:
            answer = await self._invoke(route.function_arn, event, route.timeout_s)
            return interpret_answer(answer).body if route.answers else None
        except FunctionTimeoutError:
            return _error("Endpoint request timed out", context, request_id)
        except (InvocationError, MalformedAnswerError) as error:
            LOG.warning("%s of %s: %s", key, context.connection_id, error)
            return _error("Internal server error", context, request_id)

    async def _invoke(self, function_arn: str | None, event: dict[str, Any], timeout_s: float) -> bytes:
        return await invoke_within(
            self._backend, function_arn, event, min(timeout_s, self._settings.websocket_timeout_s)
        )


def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _error(message: str, context: ConnectionContext, request_id: str) -> bytes:
    body = {"message": message, "connectionId": context.connection_id, "requestId": request_id}
    return json.dumps(body).encode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
