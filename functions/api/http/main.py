"""The HTTP function: API Gateway's HTTP API, payload format 2.0."""

from typing import Any

from mangum import Mangum

from functions.api.http.app import build_app
from shared.process import event_loop, thaw

# Before Mangum asks for the current loop, and for the life of the process.
_loop = event_loop()
# Lifespan would start and stop with every request; pools are opened when first needed.
_mangum = Mangum(build_app(), lifespan="off")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One HTTP request. ``event``: payload 2.0; the answer likewise."""
    _loop.run_until_complete(thaw())
    return _mangum(event, context)
