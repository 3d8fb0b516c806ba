"""Ending connections from here: their credential has ended, or was revoked."""

from contextlib import suppress

from shared.stream import connections, subscriptions
from shared.stream.connections import GoneError, UndeliverableError


async def hang_up(connection_id: str, *, last_frame: str | None = None) -> None:
    """Have the gateway close the connection, behind a last frame, and forget it, whether that is done or not.

    In this order: one that is half forgotten and open would be answered, and told nothing. To be called again is no
    harm: the frame is posted again if the connection is open still.

    Raises:
        SubscriptionsUnavailableError: it is not forgotten.
        ThrottledError: it is forgotten, but not closed yet.
        aiohttp.ClientError: likewise.
    """
    try:
        if last_frame is not None:
            with suppress(GoneError, UndeliverableError):
                await connections.post(connection_id, last_frame)
        with suppress(GoneError, UndeliverableError):
            await connections.close(connection_id)
    finally:
        await subscriptions.delete_connection(connection_id)
