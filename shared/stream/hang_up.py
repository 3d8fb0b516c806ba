"""Ending connections from here: their credential has ended, or was revoked."""

from contextlib import suppress

from shared.stream import connections, subscriptions
from shared.stream.connections import GoneError, UndeliverableError


async def hang_up(connection_id: str) -> None:
    """Have the gateway close the connection, and forget it, whether that is done or not. Idempotent.

    In this order: one that is half forgotten and open would be answered, and told nothing.

    Raises:
        SubscriptionsUnavailableError: it is not forgotten.
        ThrottledError: it is forgotten, but not closed yet.
        aiohttp.ClientError: likewise.
    """
    try:
        with suppress(GoneError, UndeliverableError):
            await connections.close(connection_id)
    finally:
        await subscriptions.delete_connection(connection_id)
