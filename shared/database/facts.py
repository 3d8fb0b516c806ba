"""Facts of a thread's event stream in PostgreSQL.

A fact is written in the transaction of the transition that it tells of; the holder of the thread's epoch gives it a
number, appends it to the log, and notes that. Each of these may be done again after a death.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast
from uuid import UUID

import asyncpg

from shared import events
from shared.database.pool import Connection, connection, transaction
from shared.database.queries import queries
from shared.domain import LogHold, ThreadLog
from shared.errors import LeaseLostError
from shared.events import Channel, Event, Logged
from shared.storable import jsonb

_SQL = queries("facts")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A numbered fact: its row, and the event that it is in the log."""

    event_no: int
    logged: Logged


async def add(connection: Connection, *, thread_id: UUID, facts: Sequence[Event]) -> None:
    """Write facts, in this order, in the caller's transaction."""
    await connection.execute(
        _SQL["add"],
        thread_id,
        [fact.run_id for fact in facts],
        [fact.channel for fact in facts],
        [jsonb(fact.data) for fact in facts],
        [fact.timestamp_ms for fact in facts],
    )


async def take(hold: LogHold, *, last_seq: int, most: int, in_hand: Sequence[int]) -> list[Fact]:
    """Number the thread's facts that have no number yet, and return all that are not known to be in the log.

    Args:
        hold: the caller's hold of the log.
        last_seq: the number after which the new ones begin.
        most: how many of them may be numbered.
        in_hand: ``event_no`` of facts that the caller has already: they are not returned again.

    Raises:
        LeaseLostError: the thread has a newer epoch.
    """
    async with transaction() as taken:
        if await taken.fetchval(_SQL["hold_epoch"], hold.thread_id, hold.generation, hold.epoch) is None:
            raise LeaseLostError
        await number(taken, thread_id=hold.thread_id, last_seq=last_seq, most=most)
        rows = await taken.fetch(_SQL["unlogged"], hold.thread_id, list(in_hand))
    return [_fact(row, hold) for row in rows]


async def number(connection: Connection, *, thread_id: UUID, last_seq: int, most: int | None = None) -> int:
    """Give the thread's facts their numbers after ``last_seq``; returns how many. The caller holds the epoch."""
    status = await connection.execute(_SQL["number"], thread_id, last_seq, most)
    return int(status.rsplit(" ", 1)[-1])


async def unlogged(connection: Connection, *, log: ThreadLog) -> list[Fact]:
    """The thread's numbered facts that are not known to be in the log, by number."""
    return [_fact(row, log) for row in await connection.fetch(_SQL["unlogged"], log.thread_id, [])]


async def at_hand(log: ThreadLog, *, after: int, before: int, most: int) -> list[Logged]:
    """The first facts between these numbers, without a hole among them, for a reader whom the log gives nothing there.

    Those that are owed to the log, whatever is missing between them; of those that it has lost only the newest.
    """
    async with connection() as taken:
        rows = await taken.fetch(_SQL["at_hand"], log.thread_id, log.generation, after, before, most)
    found: list[Logged] = []
    for row in rows:
        if found and row["seq"] != found[-1].seq + 1:
            break
        found.append(_fact(row, log).logged)
    return found


async def note_logged(event_nos: Sequence[int]) -> None:
    """Note that facts are in the log."""
    if event_nos:
        async with connection() as taken:
            await taken.execute(_SQL["logged"], list(event_nos))


async def has_unlogged(*, thread_id: UUID) -> bool:
    """Whether a fact of the thread still has to go into the log."""
    async with connection() as taken:
        return await taken.fetchval(_SQL["has_unlogged"], thread_id) is not None


def _fact(row: asyncpg.Record, log: ThreadLog) -> Fact:
    event = Event(
        channel=cast("Channel", row["channel"]),
        data=json.loads(row["data"]),
        run_id=row["agent_run_id"],
        # What tells of the thread, and of no run of it, does.
        to_all=row["agent_run_id"] is None,
        timestamp_ms=row["timestamp_ms"],
    )
    logged = events.number(event, generation=log.generation, seq=row["seq"])
    return Fact(event_no=row["event_no"], logged=replace(logged, is_private=row["is_private"]))
