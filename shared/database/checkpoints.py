"""A thread's states: its messages up to one of them. Every statement is scoped by account."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.database.messages import message_of
from shared.database.pages import LARGEST_PAGE_BYTES
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Json, Message
from shared.errors import ConflictError, NotFoundError

_SQL = queries("checkpoints")

MOST_MESSAGES = 200
"""Messages of one state: an answer of a Lambda function is 6 MB at most, the rest is paged under ``/messages``."""


@dataclass(frozen=True, kw_only=True)
class Interrupt:
    """What somebody has to answer. ``value``: ``{"type": "approval" | "question", "tool", "arguments"}``."""

    agent_run_id: UUID
    interrupt_id: str
    value: Json


async def place(connection: Connection, *, message_id: UUID, thread_id: UUID, account_id: str) -> tuple[int, int]:
    """Where a message stands in its thread: (run number, position).

    Raises:
        NotFoundError: the thread has no such message, or it is not yours.
    """
    row = await connection.fetchrow(_SQL["place"], message_id, thread_id, account_id)
    if row is None:
        raise NotFoundError(f"checkpoint {str(message_id)!r} not found")
    return row["run_number"], row["position"]


async def check_newest(connection: Connection, named: Collection[UUID], *, thread_id: UUID, account_id: str) -> None:
    """See to it that no other state than the thread's newest is named. The caller holds the thread's row lock.

    Raises:
        ConflictError: another one is.
    """
    if named and set(named) != {await connection.fetchval(_SQL["newest"], thread_id, account_id)}:
        raise ConflictError("that checkpoint is not the thread's newest (any more), and threads do not branch")


async def until(
    connection: Connection,
    *,
    thread_id: UUID,
    account_id: str,
    run_number: int | None = None,
    position: int | None = None,
    agent_run_id: UUID | None = None,
    limit: int = MOST_MESSAGES,
) -> list[Message]:
    """The last ``limit`` messages up to a place, oldest of them first; fewer where they are large.

    Without ``position`` up to the end of ``run_number``, without both the thread's; ``agent_run_id``: only that run's.
    """
    rows = await connection.fetch(
        _SQL["until"], thread_id, account_id, agent_run_id, run_number, position, limit, LARGEST_PAGE_BYTES
    )
    return [message_of(row) for row in reversed(rows)]


async def last_input(connection: Connection, *, thread_id: UUID, account_id: str, run_number: int) -> int | None:
    """The position of the last message that the run was started with; ``None`` if it was started with none."""
    return await connection.fetchval(_SQL["last_input"], thread_id, account_id, run_number)


async def interrupts(
    connection: Connection, *, thread_ids: Sequence[UUID], account_id: str
) -> dict[UUID, list[Interrupt]]:
    """What has to be answered on each of the threads; a thread that waits for nothing is not among them."""
    found: defaultdict[UUID, list[Interrupt]] = defaultdict(list)
    for row in await connection.fetch(_SQL["interrupts"], list(thread_ids), account_id):
        value = {
            "type": "approval" if row["status"] == "awaiting" else "question",
            "tool": row["name"],
            "arguments": json.loads(row["arguments"]),
        }
        interrupt = Interrupt(agent_run_id=row["agent_run_id"], interrupt_id=row["call_id"], value=value)
        found[row["thread_id"]].append(interrupt)
    return dict(found)
