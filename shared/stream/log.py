"""The event log: a Redis Stream a thread, appended to under a fence. It is fast, and it may be lost."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from shared.settings import stream_settings
from shared.stream.events import Logged

Answer = Literal["ok", "fenced", "unknown", "tail_lost"]

TTL_MS = 24 * 3600 * 1000
LONGEST_LOG = 20_000

_APPEND = (Path(__file__).parent / "append.lua").read_text(encoding="utf-8")


@cache
def _redis() -> Redis:
    """The process's client: ElastiCache Serverless is cluster mode, and so is the embedded server."""
    # RESP2 and few retries: redis-py 8 would otherwise hang a minute on a Redis that is away; a socket timeout above
    # the longest blocking read.
    client: Any = RedisCluster.from_url(
        stream_settings().redis_url,
        socket_timeout=8,
        socket_connect_timeout=2,
        protocol=2,
        decode_responses=True,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
    )
    return client


async def open_log() -> None:
    """Connect now; a Redis that is away is found out again by the first append."""
    with suppress(RedisError):
        await cast("Any", _redis()).initialize()


def _keys(thread_id: UUID) -> tuple[str, str]:
    """Log and fence of a thread; one hash tag, so that they share a slot."""
    return f"{{{thread_id}}}:events", f"{{{thread_id}}}:fence"


async def append(
    thread_id: UUID, events: Sequence[Logged], *, epoch: int, expected_seq: int, init: bool = False
) -> Answer:
    """Append events in order, all or none.

    Args:
        thread_id: the thread.
        events: at least one, numbered consecutively.
        epoch: the caller's; an older one than the log has seen is refused.
        expected_seq: the number the log ends with, as far as the caller knows.
        init: the caller has proved its epoch in PostgreSQL: set the fence, and accept any end of the log.

    Raises:
        RedisError: Redis is away.
    """
    fields: list[str | int] = []
    for event in events:
        fields += [event.seq, event.channel, event.frame]
    arguments = [epoch, expected_seq, int(init), TTL_MS, LONGEST_LOG, *fields]
    answer: Any = await cast("Any", _redis()).eval(_APPEND, 2, *_keys(thread_id), *arguments)
    return cast("Answer", answer)


async def read(thread_id: UUID, *, after_seq: int, limit: int) -> list[Logged]:
    """The events after ``after_seq`` that the log still has, oldest first, at most ``limit``.

    Raises:
        RedisError: Redis is away.
    """
    log, _ = _keys(thread_id)
    entries: Any = await cast("Any", _redis()).xrange(log, min=f"{after_seq + 1}-0", count=limit)
    return [
        Logged(seq=int(entry_id.split("-")[0]), channel=entry["channel"], frame=entry["frame"])
        for entry_id, entry in entries
    ]


__all__ = ["LONGEST_LOG", "TTL_MS", "Answer", "RedisError", "append", "read"]
