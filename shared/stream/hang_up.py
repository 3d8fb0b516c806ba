"""Ending connections from here: their credential has ended, or was revoked."""

from contextlib import suppress

from shared.stream import connections, subscriptions
from shared.stream.connections import GoneError, UndeliverableError


async def hang_up(connection_id: str) -> None:
    """Forget the connection, so that nothing is posted to it any more, and have the gateway close it. Idempotent.

    Raises:
        SubscriptionsUnavailableError: it is not forgotten.
        ThrottledError: it is forgotten, but not closed yet.
        aiohttp.ClientError: likewise.
    """
    await subscriptions.delete_connection(connection_id)
    with suppress(GoneError, UndeliverableError):
        await connections.close(connection_id)
