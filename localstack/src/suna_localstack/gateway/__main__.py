"""The data plane in a process of its own: `python -m suna_localstack.gateway --endpoint-url URL --port PORT`."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from dataclasses import replace

from suna_localstack.gateway.backend_http import HttpBackend
from suna_localstack.gateway.remote_apis import RemoteApis
from suna_localstack.gateway.server import Gateway
from suna_localstack.gateway.settings import GatewaySettings


async def serve(endpoint_url: str, settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT; prints one line with the address when it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    apis = RemoteApis(endpoint_url)
    following = asyncio.create_task(apis.follow())
    backend = HttpBackend(endpoint_url, concurrency=settings.concurrency)
    try:
        async with Gateway(apis=lambda: apis.current, backend=backend, settings=settings).running() as gateway:
            sys.stdout.write(f"gateway listens on http://127.0.0.1:{gateway.port}\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def main() -> int:
    """Run the command line; exit code 1 with one line on stderr if the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m suna_localstack.gateway", description=__doc__)
    parser.add_argument("--endpoint-url", required=True, help="LocalStack, e.g. http://127.0.0.1:4566")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1; 0 takes a free one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = GatewaySettings.from_environment()
    if arguments.port is not None:
        settings = replace(settings, port=arguments.port)
    try:
        asyncio.run(serve(arguments.endpoint_url, settings))
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {settings.port}: {error.strerror}; choose another with --port\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
