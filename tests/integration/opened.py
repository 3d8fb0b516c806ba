"""What the code under test opens once a process, closed and forgotten between tests."""

from shared import settings
from shared.aws import clients, secrets
from shared.database import pool
from shared.stream import connections, redis_client


def forget_settings() -> None:
    """Have the environment read anew."""
    for read in (
        settings.settings,
        settings.queue_settings,
        settings.stream_settings,
        settings.auth_settings,
        settings.webhook_settings,
        settings.file_settings,
    ):
        read.cache_clear()


async def close_database() -> None:
    """Close the pool, and forget where the database was."""
    await pool.close_pool()
    secrets._fetched.clear()
    forget_settings()


async def close_redis() -> None:
    """Close the client of Redis, and forget where Redis was."""
    await redis_client.close_redis()


async def close_everything() -> None:
    """Close the rest, at the end of the session."""
    await close_database()
    await clients._clients()._stack.aclose()
    clients._clients.cache_clear()
    await close_redis()
    if connections._http.cache_info().currsize:
        await connections._http().close()
        connections._http.cache_clear()
