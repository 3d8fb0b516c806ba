"""Having the gateway end connections, bounded: whoever does it holds an environment and has nobody's place."""

import asyncio
from contextlib import suppress

import aiohttp

from shared.stream import connections, subscriptions
from shared.stream.connections import GoneError, ThrottledError, UndeliverableError

# Whoever takes nothing is not waited for.
_TOLD_WITHIN_S = 1.0
_CLOSED_WITHIN_S = 3.0


async def hang_up(connection_id: str, *, last_frame: str | None = None) -> None:
    """Have the gateway close the connection, behind a last frame if it takes one within a second, and forget it.

    In this order: one that is forgotten and open would be nobody's, whatever it does. To be called again is no harm:
    the frame is posted again if the connection is open still.

    Raises:
        SubscriptionsUnavailableError: it is not forgotten.
        ThrottledError: it is not closed, and not forgotten.
        aiohttp.ClientError: likewise.
        TimeoutError: likewise; the gateway has not answered within three seconds.
    """
    if last_frame is not None:
        with suppress(GoneError, UndeliverableError, ThrottledError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(_TOLD_WITHIN_S):
                await connections.post(connection_id, last_frame)
    with suppress(GoneError, UndeliverableError):
        async with asyncio.timeout(_CLOSED_WITHIN_S):
            await connections.close(connection_id)
    await subscriptions.delete_connection(connection_id)
