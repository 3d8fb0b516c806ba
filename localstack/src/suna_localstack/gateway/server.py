"""The data plane's server: takes requests and upgrades on one port and hands them to the APIs.

aiohttp's low-level server is used (no routing, no middleware): it bounds headers, survives malformed requests and
leaves the transport of an upgraded connection to us.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from suna_localstack.gateway.addressing import Address, resolve, with_thread
from suna_localstack.gateway.apis import Api, Apis, Stage
from suna_localstack.gateway.backend import Backend
from suna_localstack.gateway.connections import Connections
from suna_localstack.gateway.handshake import UpgradedResponse, accept_upgrade, handshake_problem
from suna_localstack.gateway.http_api import select_stage, serve_http
from suna_localstack.gateway.http_responses import HttpResponse, error_response
from suna_localstack.gateway.management import ManagementApi
from suna_localstack.gateway.page import Page
from suna_localstack.gateway.requests import GatewayRequest
from suna_localstack.gateway.session import ABNORMAL, Session
from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.gateway.throttle import TokenBucket
from suna_localstack.gateway.websocket_api import UpgradeRefusedError, WebSocketApis

_HOST = "127.0.0.1"
_PARSER_LINE_BYTES = 64 * 1024
"""What aiohttp may read of a request line or header before it answers 400 by itself; our own limits answer first."""


class Gateway:
    """The data plane on one event loop. `apis` is called for each request and returns the current view."""

    def __init__(self, *, apis: Callable[[], Apis], backend: Backend, settings: GatewaySettings) -> None:
        self._apis = apis
        self._backend = backend
        self._settings = settings
        self._requests = TokenBucket(rate=settings.request_rate, burst=settings.request_burst, clock=time.monotonic)
        self._connects = TokenBucket(
            rate=settings.websocket_connect_rate, burst=settings.websocket_connect_burst, clock=time.monotonic
        )
        self._stage_requests: dict[tuple[str, str, float, int], TokenBucket] = {}
        self._connections = Connections(settings)
        self._websockets = WebSocketApis(backend=backend, settings=settings, requests=self._requests)
        self._management = ManagementApi(connections=self._connections, settings=settings, requests=self._requests)
        self._page = Page(Path(settings.page_folder), Path(settings.page_config)) if settings.page_folder else None
        self._port = 0
        self._stopping = False

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Gateway"]:
        """Listen on 127.0.0.1 while the context is open; then close every connection with 1001 and invoke
        `$disconnect` for each.

        Raises
        ------
        OSError
            The port is taken.
        """
        server = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,
            max_line_size=_PARSER_LINE_BYTES,
            max_field_size=_PARSER_LINE_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, _HOST, self._settings.port, backlog=1024)
        sweeper = asyncio.create_task(self._connections.sweep())
        try:
            await site.start()
            self._port = runner.addresses[0][1]
            yield self
        finally:
            self._stopping = True
            sweeper.cancel()
            with contextlib.suppress(RuntimeError):  # it never started
                await site.stop()
            await self._connections.close_all(timeout_s=self._settings.shutdown_s)
            await self._websockets.close(timeout_s=self._settings.shutdown_s)
            await runner.cleanup()
            await self._backend.close()

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = raw.raw_path.partition("?")
        address = resolve(raw_path, is_upgrade="websocket" in raw.headers.get("Upgrade", "").lower())
        peer = raw.transport.get_extra_info("peername") if raw.transport else None
        request = GatewayRequest(
            method=raw.method,
            path="/",
            raw_query=raw_query,
            headers=tuple(raw.headers.items()),
            protocol=f"HTTP/{raw.version.major}.{raw.version.minor}",
            source_ip=peer[0] if peer else _HOST,
            port=self._port,
        )
        if address is None:
            return _respond(error_response(403, "Forbidden"), request)
        if address.kind == "websocket":
            try:
                return await self._serve_websocket(raw, request, address)
            except UpgradeRefusedError as refused:
                return _respond(error_response(refused.status, refused.message), request)
        if self._page and self._page.has(raw_path):
            return _respond(self._page.serve(raw.method, raw_path, request.header("if-none-match")), request)
        return await self._serve_request(raw, request, address)

    async def _serve_request(
        self, raw: web.BaseRequest, request: GatewayRequest, address: Address
    ) -> web.StreamResponse:
        size = len(raw.raw_path) + sum(len(name) + len(value) for name, value in request.headers)
        if size > self._settings.request_line_and_headers_bytes:
            return _respond(error_response(431, "Request Header Fields Too Large"), request)
        body = await self._read_body(raw)
        if body is None:
            response = _respond(error_response(413, "Request Entity Too Large"), request)
            response.force_close()
            return response
        return _respond(await self._answer(request, address, body), request)

    async def _answer(self, request: GatewayRequest, address: Address, body: bytes) -> HttpResponse:
        if address.kind == "management":
            return self._management.serve(
                request=request,
                connection_id=address.connection_id,
                body=body,
                api_id=address.api_id,
                stage=address.stage,
            )
        return await self._serve_http(request, address, body)

    async def _serve_http(self, request: GatewayRequest, address: Address, body: bytes) -> HttpResponse:
        apis = self._apis()
        api = apis.by_id.get(address.api_id) if address.api_id else apis.default("HTTP", self._settings.stack)
        selected = select_stage(api, unquote(address.path)) if api and api.protocol == "HTTP" else None
        if api is None or selected is None:
            return error_response(404, "Not Found")
        stage, path = selected
        if not self._requests.admit() or not self._admit_to_stage(api, stage):
            return error_response(429, "Too Many Requests")
        return await serve_http(
            backend=self._backend,
            settings=self._settings,
            request=replace(request, path=path),
            api=api,
            stage=stage,
            body=body,
        )

    async def _serve_websocket(
        self, raw: web.BaseRequest, request: GatewayRequest, address: Address
    ) -> web.StreamResponse:
        api, stage = self._select_websocket(raw, address)
        if address.thread_id is not None:
            request = replace(request, raw_query=with_thread(request.raw_query, address.thread_id))
        context, headers = await self._websockets.connect(request=request, api=api, stage=stage)
        transport = raw.transport
        if transport is None or transport.is_closing():  # the client gave up during `$connect`
            self._websockets.disconnect(context, *ABNORMAL)
            return UpgradedResponse()
        session = Session(
            context=context, transport=transport, settings=self._settings, on_text=self._websockets.accept_message
        )
        self._connections.add(session)
        accept_upgrade(raw, transport, headers)
        raw.protocol.keep_alive(False)
        raw.protocol.set_parser(session)
        code, reason = await session.ended
        self._connections.remove(session)
        self._websockets.disconnect(context, code, reason)
        return UpgradedResponse()

    def _select_websocket(self, raw: web.BaseRequest, address: Address) -> tuple[Api, Stage]:
        if problem := handshake_problem(raw.headers, raw.method):
            raise UpgradeRefusedError(400, f"Bad Request: {problem}")
        if len(raw.raw_path) > self._settings.websocket_url_chars:
            raise UpgradeRefusedError(414, "URI Too Long")
        if self._stopping:
            raise UpgradeRefusedError(503, "Service Unavailable")
        apis = self._apis()
        api = apis.by_id.get(address.api_id) if address.api_id else apis.default("WEBSOCKET", self._settings.stack)
        stage = (api.stages.get(address.stage) if address.stage else api.sole_stage) if api else None
        if api is None or stage is None or api.protocol != "WEBSOCKET" or not stage.routes:
            raise UpgradeRefusedError(403, "Forbidden")
        if not self._connects.admit() or not self._requests.admit() or not self._admit_to_stage(api, stage):
            raise UpgradeRefusedError(429, "Too Many Requests")
        return api, stage

    async def _read_body(self, raw: web.BaseRequest) -> bytes | None:
        """Read the body; None if it is over the limit."""
        limit = self._settings.request_body_bytes
        if (raw.content_length or 0) > limit:
            return None
        if raw.headers.get("Expect", "").lower() == "100-continue" and raw.transport:
            raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunks: list[bytes] = []
        size = 0
        while chunk := await raw.content.readany():
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _admit_to_stage(self, api: Api, stage: Stage) -> bool:
        if stage.rate is None or stage.burst is None:
            return True
        key = (api.api_id, stage.name, stage.rate, stage.burst)
        bucket = self._stage_requests.get(key)
        if bucket is None:
            bucket = TokenBucket(rate=stage.rate, burst=stage.burst, clock=time.monotonic)
            self._stage_requests[key] = bucket
        return bucket.admit()


def _respond(answer: HttpResponse, request: GatewayRequest) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None)
    response.headers.extend(answer.headers)
    response.headers["apigw-requestid"] = request.request_id
    return response
