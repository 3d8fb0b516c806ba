"""The process's Redis client. What Redis holds is fast, and it may be lost."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError

from shared.errors import EventLogUnavailableError
from shared.settings import stream_settings

# Above the longest blocking read, see `shared.stream.control`.
_SOCKET_TIMEOUT_S = 8


@contextmanager
def _translated() -> Generator[None]:
    """What a call raises is ours. redis-py has an error for nodes that cannot be found that is no RedisError."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise EventLogUnavailableError from error


class Client:
    """Speaks to a cluster or to an ordinary Redis, whichever answers at the first contact.

    Every command raises EventLogUnavailableError where Redis is away; whether it was carried out is not known then.
    ElastiCache Serverless is a cluster, and so is the embedded server. A setting that says which could be wrong.
    """

    def __init__(self, url: str, **of_cluster: Any) -> None:
        """``of_cluster``: options of redis-py for a cluster only."""
        self._url = url
        self._of_cluster = of_cluster
        # RESP2 and few retries: redis-py 8 would otherwise hang a minute on a Redis that is away.
        self._options: dict[str, Any] = {
            "socket_timeout": _SOCKET_TIMEOUT_S,
            "socket_connect_timeout": 2,
            "protocol": 2,
            "decode_responses": True,
            "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        }
        self._chosen: Redis | RedisCluster | None = None
        self._choosing = asyncio.Lock()

    async def connect(self) -> Redis | RedisCluster:
        """The client for the server's kind. Raises EventLogUnavailableError."""
        if self._chosen is None:
            async with self._choosing:
                if self._chosen is None:
                    with _translated():
                        self._chosen = await self._choose()
        return self._chosen

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """redis-py's method of a command, which connects first."""

        async def call(*arguments: Any, **options: Any) -> Any:
            client = await self.connect()
            with _translated():
                return await getattr(client, name)(*arguments, **options)

        return call

    async def aclose(self) -> None:
        """Close its connections."""
        if self._chosen is not None:
            await self._chosen.aclose()
            self._chosen = None

    async def _choose(self) -> Redis | RedisCluster:
        plain: Any = Redis.from_url(self._url, **self._options)  # pyright: ignore[reportUnknownMemberType]
        is_plain = False
        try:
            # What a cluster's client asks first: whoever is refused that cannot use the server as a cluster.
            await plain.execute_command("CLUSTER SLOTS")
        except NoPermissionError:
            # It says nothing of what the server is: whoever took it for an ordinary one would be sent elsewhere later.
            raise
        except ResponseError:
            is_plain = True
        finally:
            if not is_plain:
                await plain.aclose()
        if is_plain:
            return plain
        cluster: Any = RedisCluster.from_url(self._url, **self._options, **self._of_cluster)
        try:
            await cluster.initialize()
        except BaseException:
            await cluster.aclose()
            raise
        return cluster


@cache
def redis() -> Any:
    """The client."""
    return Client(stream_settings().redis_url)


async def open_redis() -> None:
    """Connect; a Redis that is away is found out again by the first who needs it."""
    with suppress(EventLogUnavailableError):
        await redis().connect()


async def close_redis() -> None:
    """Close the client, if there is one; the next user makes another."""
    if redis.cache_info().currsize:
        await redis().aclose()
        redis.cache_clear()
