"""Start and stop of the gateway with LocalStack."""

import asyncio
import json
import logging
import os
import threading
from dataclasses import replace

from localstack.http import Request, Response

from suna_localstack.gateway.backend_inprocess import InProcessBackend
from suna_localstack.gateway.control_plane import CONTROL_PLANE
from suna_localstack.gateway.remote_apis import APIS_PATH
from suna_localstack.gateway.server import Gateway
from suna_localstack.gateway.settings import GatewaySettings
from suna_localstack.lifecycle import on_infra_shutdown, on_infra_start
from suna_localstack.routes import serve

RESTART_PATH = "/_suna/gateway/restart"

LOG = logging.getLogger(__name__)

_MODE_VARIABLE = "SUNA_GATEWAY_MODE"
_LONGEST_POLL_S = 20.0


class GatewayThread:
    """The data plane on an event loop in a thread of LocalStack's process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self.port = 0

    def start(self) -> None:
        """Start listening.

        Raises
        ------
        OSError
            The port is taken; the message says what to do.
        """
        self._thread.start()
        self._started.wait()
        if isinstance(self._error, OSError):
            message = f"cannot listen on port {self._settings.port} for API Gateway; choose another SUNA_GATEWAY_PORT"
            raise OSError(self._error.errno, message) from None
        if self._error:
            raise self._error

    def stop(self) -> None:
        """Close every connection and stop; returns when it is done."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=3 * self._settings.shutdown_s)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        backend = InProcessBackend(concurrency=self._settings.concurrency)
        gateway = Gateway(apis=lambda: CONTROL_PLANE.apis, backend=backend, settings=self._settings)
        async with gateway.running():
            self.port = gateway.port
            self._started.set()
            await self._stop.wait()


_running: list[GatewayThread] = []


def _serve_apis(request: Request, **_: object) -> Response:
    """Answer a standalone gateway: what is deployed, at the latest when it changes (long poll)."""
    document = CONTROL_PLANE.wait_for_change(request.args.get("after", ""), timeout_s=_LONGEST_POLL_S)
    if document is None:
        return Response(status=503)
    return Response(json.dumps(document), content_type="application/json")


def _restart(_: Request, **__: object) -> Response:
    """End the data plane with all its connections, as a failing one would, and start it anew on the same port."""
    if not _running:
        return Response("the gateway does not run in this process", status=409)
    port = _running[-1].port
    _stop_threads()
    _start_thread(replace(GatewaySettings.from_environment(), port=port))
    return Response(status=204)


@on_infra_start()
def start_gateway() -> None:
    """Start the data plane, unless `SUNA_GATEWAY_MODE=standalone` leaves it to a process of its own."""
    serve("GET", APIS_PATH, _serve_apis)
    if os.environ.get(_MODE_VARIABLE, "in-process") == "standalone":
        return
    serve("POST", RESTART_PATH, _restart)
    _start_thread(GatewaySettings.from_environment())


def _start_thread(settings: GatewaySettings) -> None:
    thread = GatewayThread(settings)
    thread.start()
    _running.append(thread)
    os.environ["SUNA_GATEWAY_PORT"] = str(thread.port)
    LOG.info("API Gateway listens on http://127.0.0.1:%d", thread.port)


def _stop_threads() -> None:
    while _running:
        _running.pop().stop()


@on_infra_shutdown(priority=100)  # before the functions' workers are stopped: `$disconnect` needs them
def stop_gateway() -> None:
    """Close all WebSockets with 1001, attempt their `$disconnect`, stop listening."""
    CONTROL_PLANE.close()
    _stop_threads()
