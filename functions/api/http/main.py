"""The HTTP function: API Gateway's HTTP API, payload format 2.0."""

import asyncio
from typing import Any

from mangum import Mangum

from functions.api.auth import authenticator
from functions.api.http.app import build_app
from shared.aws import clients
from shared.database.pool import close_pool, open_pool
from shared.process import at_end, at_init, event_loop, thaw

# Before Mangum asks for the current loop, and for the life of the process.
_loop = event_loop()
# Lifespan would start and stop with every request; pools are opened when first needed.
_mangum = Mangum(build_app(), lifespan="off")


async def _connect() -> None:
    """What the first request would otherwise wait for."""
    await asyncio.gather(open_pool(), clients.sqs(), authenticator().prepare())


at_init(_connect)
at_end(close_pool)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One HTTP request. ``event``: payload 2.0; the answer likewise."""
    _loop.run_until_complete(thaw())
    return _mangum(event, context)
