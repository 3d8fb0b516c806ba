"""The event log: a Redis Stream a thread, appended to under a fence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from shared.events import Logged
from shared.stream.redis_client import redis

Answer = Literal["ok", "fenced", "unknown", "tail_lost"]

TTL_MS = 24 * 3600 * 1000
LONGEST_LOG = 20_000

_APPEND = (Path(__file__).parent / "append.lua").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Appended:
    """What an append came to (``append.lua``), and the number that the log ends with."""

    answer: Answer
    last_seq: int


def _keys(thread_id: UUID) -> tuple[str, str]:
    """Log and fence of a thread; one hash tag, so that they share a slot."""
    return f"{{{thread_id}}}:events", f"{{{thread_id}}}:fence"


async def append(
    thread_id: UUID, events: Sequence[Logged], *, epoch: int, expected_seq: int, proved: bool = False
) -> Appended:
    """Append events in order, all or none; those that the log has already are passed over.

    Args:
        thread_id: the thread.
        events: at least one, by rising number.
        epoch: the caller's; an older one than the log has seen is refused.
        expected_seq: the number the log ends with, as far as the caller knows.
        proved: the caller has found its epoch to be the newest in PostgreSQL: set the fence.

    Raises:
        EventLogUnavailableError: Redis is away; whether the events are there is not known.
    """
    fields: list[str | int] = []
    for event in events:
        fields += [event.seq, event.channel, event.frame]
    arguments = [epoch, expected_seq, int(proved), TTL_MS, LONGEST_LOG, *fields]
    answer, last_seq = await redis().eval(_APPEND, 2, *_keys(thread_id), *arguments)
    return Appended(answer, int(last_seq))


async def forget(thread_id: UUID) -> None:
    """Delete the thread's log, with its fence. Raises EventLogUnavailableError."""
    await redis().delete(*_keys(thread_id))


async def read(thread_id: UUID, *, after_seq: int, limit: int) -> list[Logged]:
    """The events after ``after_seq`` that the log still has, oldest first, at most ``limit``.

    Raises:
        EventLogUnavailableError: Redis is away.
    """
    log, _ = _keys(thread_id)
    return _events(await redis().xrange(log, min=f"{after_seq + 1}-0", count=limit))


async def first_seq(thread_id: UUID) -> int | None:
    """The number of the oldest event that the log still has. Raises as :func:`read`."""
    log, _ = _keys(thread_id)
    found = _events(await redis().xrange(log, count=1))
    return found[0].seq if found else None


async def last_seq(thread_id: UUID) -> int | None:
    """The number of its newest event. Raises as :func:`read`."""
    found = await read_back(thread_id, limit=1)
    return found[0].seq if found else None


async def wait(thread_id: UUID, *, after_seq: int, limit: int, block_ms: int) -> list[Logged]:
    """The same; where there are none, those that come within ``block_ms``. Raises as :func:`read`."""
    log, _ = _keys(thread_id)
    answer: Any = await redis().xread({log: f"{after_seq}-0"}, count=limit, block=block_ms)
    return [event for _, entries in answer or () for event in _events(entries)]


async def read_back(thread_id: UUID, *, limit: int, up_to_seq: int | None = None) -> list[Logged]:
    """The log's last ``limit`` events (up to ``up_to_seq``), newest first. Raises as :func:`read`."""
    log, _ = _keys(thread_id)
    newest = "+" if up_to_seq is None else f"{up_to_seq}-0"
    return _events(await redis().xrevrange(log, max=newest, count=limit))


def _events(entries: Any) -> list[Logged]:
    return [
        Logged(seq=int(entry_id.split("-")[0]), channel=entry["channel"], frame=entry["frame"])
        for entry_id, entry in entries
    ]


__all__ = [
    "LONGEST_LOG",
    "TTL_MS",
    "Answer",
    "Appended",
    "append",
    "first_seq",
    "last_seq",
    "read",
    "read_back",
    "wait",
]
