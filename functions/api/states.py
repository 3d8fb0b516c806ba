"""Threads as clients see them: with what has to be answered, and with their states, of which each message is one."""

import json
from collections.abc import Sequence
from uuid import UUID

from functions.api.wire import WireThread
from functions.api.wire_state import ThreadState, langchain_message, newest_state, past_state, wire_interrupt
from shared.database import Connection, checkpoints, connection, runs, threads
from shared.database.checkpoints import MOST_MESSAGES
from shared.domain import AgentRun, Message, Thread

# A Lambda answer is 6 MB at most.
_LARGEST_HISTORY_BYTES = 3_000_000


async def wire_threads(taken: Connection, found: Sequence[Thread], *, account_id: str) -> list[WireThread]:
    """Threads on the wire."""
    waiting = [thread.thread_id for thread in found if thread.last_run_status == "needs_input"]
    asked = await checkpoints.interrupts(taken, thread_ids=waiting, account_id=account_id) if waiting else {}
    return [
        WireThread.of(
            thread,
            {
                str(item.agent_run_id): [
                    wire_interrupt(other).model_dump()
                    for other in asked[thread.thread_id]
                    if other.agent_run_id == item.agent_run_id
                ]
                for item in asked.get(thread.thread_id, [])
            },
        )
        for thread in found
    ]


async def thread_state(*, account_id: str, thread_id: UUID, checkpoint_id: UUID | None = None) -> ThreadState:
    """The thread's state: now, or at a checkpoint (a message's id).

    Raises:
        NotFoundError: the thread has no such message, does not exist, or is not yours.
    """
    async with connection() as taken:
        thread = await threads.get(taken, thread_id=thread_id, account_id=account_id)
        found = await _messages_until(taken, account_id=account_id, thread_id=thread_id, checkpoint_id=checkpoint_id)
        shown, parent = _with_parent(found)
        if checkpoint_id is not None:
            return past_state(thread, shown, parent)
        newest = await _newest_run(taken, account_id=account_id, thread_id=thread_id)
        asked = await checkpoints.interrupts(taken, thread_ids=[thread_id], account_id=account_id)
    last_run = None if newest is None else (newest.agent_run_id, newest.error)
    return newest_state(thread, shown, parent, interrupts=asked.get(thread_id, []), last_run=last_run)


async def history(*, account_id: str, thread_id: UUID, limit: int, before: UUID | None = None) -> list[ThreadState]:
    """The thread's states, newest first, before a checkpoint; fewer than ``limit`` where messages are large.

    Raises as :func:`thread_state`.
    """
    async with connection() as taken:
        thread = await threads.get(taken, thread_id=thread_id, account_id=account_id)
        found = await _messages_until(
            taken, account_id=account_id, thread_id=thread_id, checkpoint_id=before, more=limit
        )
    ends = range(len(found) - (before is not None), 0, -1)
    states: list[ThreadState] = []
    room = _LARGEST_HISTORY_BYTES
    sizes = [len(json.dumps(langchain_message(message))) for message in found]
    for end in ends[:limit]:
        begin = max(0, end - MOST_MESSAGES)
        room -= sum(sizes[begin:end])
        if states and room < 0:
            break
        states.append(past_state(thread, found[begin:end], found[end - 2] if end > 1 else None))
    return states


async def _messages_until(
    taken: Connection, *, account_id: str, thread_id: UUID, checkpoint_id: UUID | None, more: int = 1
) -> list[Message]:
    """The messages of a state and ``more`` before them."""
    run_number = position = None
    if checkpoint_id is not None:
        run_number, position = await checkpoints.place(
            taken, message_id=checkpoint_id, thread_id=thread_id, account_id=account_id
        )
    return await checkpoints.until(
        taken,
        thread_id=thread_id,
        account_id=account_id,
        run_number=run_number,
        position=position,
        limit=MOST_MESSAGES + more,
    )


def _with_parent(found: Sequence[Message]) -> tuple[Sequence[Message], Message | None]:
    return found[-MOST_MESSAGES:], found[-2] if len(found) > 1 else None


async def _newest_run(taken: Connection, *, account_id: str, thread_id: UUID) -> AgentRun | None:
    page = await runs.page(taken, thread_id=thread_id, account_id=account_id, statuses=None, limit=1, offset=0)
    return page[0] if page else None
