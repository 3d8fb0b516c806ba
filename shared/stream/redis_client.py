"""The process's Redis client. What Redis holds is fast, and it may be lost."""

from contextlib import suppress
from functools import cache
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from shared.errors import EventLogUnavailableError
from shared.settings import stream_settings

# Above the longest blocking read, see `shared.stream.control`.
_SOCKET_TIMEOUT_S = 8


class Translating:
    """A base of every client: all its commands go through this one method, and what they raise is ours."""

    async def execute_command(self, *arguments: Any, **named: Any) -> Any:
        """Raises EventLogUnavailableError: whether the command was carried out is not known."""
        real: Any = super()
        try:
            return await real.execute_command(*arguments, **named)
        except (RedisError, RedisClusterException, OSError) as error:
            raise EventLogUnavailableError from error


class Client(Translating, RedisCluster):
    """A client whose first contact fails as any other does: redis-py has an error for it that is no RedisError."""

    async def initialize(self, *arguments: Any, **named: Any) -> Any:
        """Find the cluster's nodes. Raises RedisError."""
        try:
            return await super().initialize(*arguments, **named)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error


@cache
def redis() -> Any:
    """The client: ElastiCache Serverless is cluster mode, and so is the embedded server.

    RESP2 and few retries: redis-py 8 would otherwise hang a minute on a Redis that is away.
    """
    client: Any = Client.from_url(
        stream_settings().redis_url,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=2,
        protocol=2,
        decode_responses=True,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
    )
    return client


async def open_redis() -> None:
    """Connect; a Redis that is away is found out again by the first who needs it."""
    with suppress(RedisError):
        await redis().initialize()
