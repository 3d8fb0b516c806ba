"""The HTTP function: API Gateway's HTTP API, payload format 2.0."""

import asyncio
import json
import re
from typing import Any

from mangum import Mangum

from functions.api.auth import authenticator
from functions.api.http.app import build_app
from functions.api.http.middleware import SECURITY_HEADERS
from functions.api.wire import ErrorBody
from shared.aws import clients
from shared.database.pool import close_pool, open_pool
from shared.process import at_end, at_init, event_loop, thaw
from shared.telemetry import logger

# Before Mangum asks for the current loop, and for the life of the process.
_loop = event_loop()
# Lifespan would start and stop with every request; pools are opened when first needed.
_mangum = Mangum(build_app(), lifespan="off")


async def _connect() -> None:
    """What the first request would otherwise wait for."""
    await asyncio.gather(open_pool(), clients.sqs(), authenticator().prepare())


_UNREADABLE: dict[str, Any] = {
    "statusCode": 400,
    "headers": {"content-type": "application/json"} | SECURITY_HEADERS,
    "body": ErrorBody(
        code="invalid_argument", message="the request's headers, path and query have to be UTF-8, and 'host' a host"
    ).model_dump_json(),
}
_HOST = re.compile(r"[^:]*(:[0-9]{1,5})?")


def _is_readable(event: dict[str, Any]) -> bool:
    """Whether its texts can be bytes again, and its host is one: a client's bytes that are not UTF-8 come as halves of
    surrogate pairs.
    """
    headers: dict[str, str] = event.get("headers") or {}
    by_name = {name.lower(): value for name, value in headers.items()}
    if not _HOST.fullmatch(by_name.get("host", "")):
        return False
    try:
        json.dumps({**event, "body": None}, ensure_ascii=False, default=str).encode()
        if not event.get("isBase64Encoded"):
            (event.get("body") or "").encode()
    except UnicodeEncodeError:
        return False
    return True


at_init(_connect)
at_end(close_pool)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One HTTP request. ``event``: payload 2.0; the answer likewise."""
    _loop.run_until_complete(thaw())
    if not _is_readable(event):
        # Mangum would fail before the application has begun.
        logger.info("request", extra={"status": _UNREADABLE["statusCode"], "problem": "not UTF-8"})
        return _UNREADABLE
    return _mangum(event, context)
