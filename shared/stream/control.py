"""The control stream of a thread: hints to whoever holds it that something waits for it in the database.

A hint may be lost, come late or twice: what it hints at is durable, and the holder finds it at its next renewal too.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from shared.domain import ThreadLog
from shared.errors import EventLogUnavailableError
from shared.stream.log import TTL_MS
from shared.stream.redis_client import redis
from shared.telemetry import logger

Kind = Literal["stop", "facts", "subscriptions"]

_MOST_ENTRIES = 1000
_BLOCK_MS = 2000
# At once: whoever died in between would leave a key that never expires.
_NOTIFY = """
redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", "kind", ARGV[3], "agent_run_id", ARGV[4])
redis.call("PEXPIRE", KEYS[1], ARGV[2])
"""
_AWAY_S = 1.0


@dataclass(frozen=True)
class Hint:
    """What waits: ``stop`` (a flag of the run or its instance), ``facts`` (rows with no number), ``subscriptions``."""

    kind: Kind
    agent_run_id: str | None


def _key(generation: UUID) -> str:
    return f"{{{generation}}}:control"


async def notify(log: ThreadLog, kind: Kind, *, agent_run_id: UUID | None = None) -> None:
    """Leave a hint. Redis being away is no error: see above."""
    given = (_MOST_ENTRIES, TTL_MS, kind, str(agent_run_id or ""))
    try:
        await redis().eval(_NOTIFY, 1, _key(log.generation), *given)
    except EventLogUnavailableError:
        logger.warning("no hint could be left", extra={"kind": kind}, exc_info=True)


async def forget(generation: UUID) -> None:
    """Delete the hints of a thread that is no more. Raises EventLogUnavailableError."""
    await redis().delete(_key(generation))


async def last_id(log: ThreadLog) -> str:
    """Where the stream ends: whoever listens from here on, and then looks into the database, misses nothing."""
    try:
        entries: Any = await redis().xrevrange(_key(log.generation), count=1)
    except EventLogUnavailableError:
        return "0-0"
    return entries[0][0] if entries else "0-0"


async def listen(log: ThreadLog, *, after_id: str) -> AsyncGenerator[Hint]:
    """The hints after ``after_id``, as they come, for ever; it waits while Redis is away."""
    key = _key(log.generation)
    while True:
        try:
            answer: Any = await redis().xread({key: after_id}, count=100, block=_BLOCK_MS)
        except EventLogUnavailableError:
            logger.warning("the control stream cannot be read", exc_info=True)
            await asyncio.sleep(_AWAY_S)
            continue
        for _, entries in answer or ():
            for entry_id, entry in entries:
                after_id = entry_id
                yield Hint(cast("Kind", entry.get("kind", "")), entry.get("agent_run_id") or None)
