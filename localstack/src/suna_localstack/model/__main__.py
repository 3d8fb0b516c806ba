"""``python -m suna_localstack.model --port 0``: the scripted model and the token issuer on 127.0.0.1."""

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from suna_localstack.model.issuer import Issuer
from suna_localstack.model.server import ScriptedModel


async def serve(*, port: int, port_file: Path | None, key_file: Path, first_s: float) -> None:
    """Serve until SIGTERM or SIGINT; the chosen port is written to ``port_file`` once connections are accepted."""
    app = ScriptedModel(first_s=first_s).application()
    app.add_routes(Issuer(key_file).routes())
    # Without handler cancellation a stream whose client has gone would be produced to its end.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    bound = runner.addresses[0][1]
    if port_file:
        temporary = port_file.with_suffix(".new")
        temporary.write_text(str(bound))
        temporary.replace(port_file)
    print(f"model: http://127.0.0.1:{bound}/v1", flush=True)  # noqa: T201 - the command's output
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="suna_localstack.model", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--port-file", type=Path, help="file that receives the chosen port")
    parser.add_argument("--key-file", type=Path, default=Path(".local/state/issuer.pem"), help="the issuer's RSA key")
    parser.add_argument("--first", type=float, default=0.05, help="seconds before the first token")
    options = parser.parse_args()
    asyncio.run(serve(port=options.port, port_file=options.port_file, key_file=options.key_file, first_s=options.first))


if __name__ == "__main__":
    main()
