"""The event log: a Redis Stream a thread, appended to under a fence.

Its keys are made of the thread's generation, which only PostgreSQL tells (:class:`shared.domain.ThreadLog`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from shared.domain import LogHold, ThreadLog
from shared.events import Logged, is_of_run, is_state
from shared.settings import stream_settings
from shared.stream.redis_client import redis

Answer = Literal["ok", "fenced", "unknown", "tail_lost"]

TTL_MS = 24 * 3600 * 1000
"""For how long after the last append a log is kept, unless its account's plan says less."""
LONGEST_LOG = 20_000
"""Events that a log keeps."""
# Read at once where some are removed.
_REMOVED = 200

_APPEND = (Path(__file__).parent / "append.lua").read_text(encoding="utf-8")
_READ = (Path(__file__).parent / "read.lua").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Appended:
    """What an append came to (``append.lua``), and the number that the log ends with."""

    answer: Answer
    last_seq: int


def _keys(generation: UUID) -> tuple[str, str]:
    """Log and fence of one life of a thread; one hash tag, so that they share a slot."""
    return f"{{{generation}}}:events", f"{{{generation}}}:fence"


async def append(hold: LogHold, events: Sequence[Logged], *, expected_seq: int, proved: bool = False) -> Appended:
    """Append events in order, all or none; those that the log has already are passed over.

    Args:
        hold: the caller's; one of an older epoch than the log has seen is refused.
        events: at least one, by rising number.
        expected_seq: the number the log ends with, as far as the caller knows.
        proved: the caller has found its epoch to be the newest in PostgreSQL: set the fence.

    Raises:
        EventLogUnavailableError: Redis is away; whether the events are there is not known.
    """
    fields: list[str | int] = []
    for event in events:
        fields += [event.seq, event.channel, event.frame, int(event.is_private)]
    ttl_ms = TTL_MS if hold.replay_s is None else hold.replay_s * 1000
    arguments = [hold.epoch, expected_seq, int(proved), ttl_ms, LONGEST_LOG, stream_settings().log_bytes, *fields]
    answer, last_seq = await redis().eval(_APPEND, 2, *_keys(hold.generation), *arguments)
    return Appended(answer, int(last_seq))


async def forget(generation: UUID) -> None:
    """Delete the log of a thread that is no more, with its fence. Raises EventLogUnavailableError."""
    await redis().delete(*_keys(generation))


async def remove_run(log: ThreadLog, agent_run_id: UUID, *, first_seq: int, last_seq: int) -> None:
    """Remove a run's events, and how the thread stood meanwhile, from among these numbers. Raises as :func:`read`.

    What was told there of other runs stays, and so do declarations of what the log has lost.
    """
    key, _ = _keys(log.generation)
    while found := _events(await redis().xrange(key, min=f"{first_seq}-0", max=f"{last_seq}-0", count=_REMOVED)):
        gone = [event.seq for event in found if is_state(event) or is_of_run(event, agent_run_id)]
        if gone:
            await redis().xdel(key, *(f"{seq}-0" for seq in gone))
        first_seq = found[-1].seq + 1


async def read(log: ThreadLog, *, after_seq: int, limit: int) -> list[Logged]:
    """The events after ``after_seq`` that the log still has, oldest first, at most ``limit``.

    Raises:
        EventLogUnavailableError: Redis is away.
    """
    key, _ = _keys(log.generation)
    return _events(await redis().xrange(key, min=f"{after_seq + 1}-0", count=limit))


async def read_some(log: ThreadLog, *, after_seq: int, limit: int, most_bytes: int) -> list[Logged]:
    """The same, but no more than have ``most_bytes`` together; of those there are, one at least. Raises as it does."""
    key, _ = _keys(log.generation)
    entries: Any = await redis().eval(_READ, 1, key, after_seq, limit, most_bytes)
    return _events((entry_id, dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in entries)


async def first_seq(log: ThreadLog) -> int | None:
    """The number of the oldest event that the log still has. Raises as :func:`read`."""
    key, _ = _keys(log.generation)
    found = _events(await redis().xrange(key, count=1))
    return found[0].seq if found else None


async def last_seq(log: ThreadLog) -> int | None:
    """The number of its newest event. Raises as :func:`read`."""
    found = await read_back(log, limit=1)
    return found[0].seq if found else None


async def wait(log: ThreadLog, *, after_seq: int, limit: int, block_ms: int) -> list[Logged]:
    """The same; where there are none, those that come within ``block_ms``. Raises as :func:`read`."""
    key, _ = _keys(log.generation)
    answer: Any = await redis().xread({key: f"{after_seq}-0"}, count=limit, block=block_ms)
    return [event for _, entries in answer or () for event in _events(entries)]


async def read_back(log: ThreadLog, *, limit: int, up_to_seq: int | None = None) -> list[Logged]:
    """The log's last ``limit`` events (up to ``up_to_seq``), newest first. Raises as :func:`read`."""
    key, _ = _keys(log.generation)
    newest = "+" if up_to_seq is None else f"{up_to_seq}-0"
    return _events(await redis().xrevrange(key, max=newest, count=limit))


def _events(entries: Any) -> list[Logged]:
    return [
        Logged(
            seq=int(entry_id.split("-")[0]),
            channel=entry["channel"],
            frame=entry["frame"],
            is_private="private" in entry,
        )
        for entry_id, entry in entries
    ]


__all__ = [
    "LONGEST_LOG",
    "TTL_MS",
    "Answer",
    "Appended",
    "append",
    "first_seq",
    "forget",
    "last_seq",
    "read",
    "read_back",
    "read_some",
    "remove_run",
    "wait",
]
