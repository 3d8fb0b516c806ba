"""The process's Redis client. What Redis holds is fast, and it may be lost."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
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
# Within which a command is answered, and the first contact: a server that takes what it is sent and says nothing would
# otherwise be tried for three times as long as a socket may be silent.
_DEADLINE_S = 3.0


class _Batch:
    """What a batch knows of Redis: the error that found it away."""

    found: EventLogUnavailableError | None = None


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


@contextmanager
def found_away_once() -> Generator[None]:
    """Inside, a Redis that was away for one command is away for all that follow, without being asked again.

    For who does the same for many, one after the other, and can do it later.
    """
    token = _batch.set(_Batch())
    try:
        yield
    finally:
        _batch.reset(token)


@contextmanager
def _translated() -> Generator[None]:
    """What a call raises is ours. redis-py has an error for nodes that cannot be found that is no RedisError."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        unavailable = EventLogUnavailableError()
        batch = _batch.get()
        # A server that refuses something is there.
        if batch is not None and not isinstance(error, ResponseError):
            batch.found = unavailable
        raise unavailable from error


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
            # Who waits for another one's try waits no longer for it.
            with _translated():
                async with asyncio.timeout(_DEADLINE_S), self._choosing:
                    if self._chosen is None:
                        self._chosen = await self._choose()
        return self._chosen

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """redis-py's method of a command, which connects first. ``block``: for so many milliseconds it may wait."""

        async def call(*arguments: Any, **options: Any) -> Any:
            batch = _batch.get()
            if batch is not None and batch.found is not None:
                raise EventLogUnavailableError from batch.found
            client = await self.connect()
            with _translated():
                async with asyncio.timeout(_DEADLINE_S + (options.get("block") or 0) / 1000):
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
