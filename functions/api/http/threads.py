"""Routes of threads."""

from uuid import UUID

from fastapi import APIRouter

from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.wire import (
    ThreadCreate,
    ThreadPatch,
    ThreadSearch,
    ThreadState,
    WireThread,
    last_run_statuses,
)
from shared.database import connection, messages, threads
from shared.domain import UNFINISHED
from shared.runs import record
from shared.stream.snapshot import wire_message

router = APIRouter(prefix="/threads", tags=["threads"])

# A Lambda answer is 6 MB at most: the state shows the newest messages, the rest is paged under /messages.
STATE_MESSAGES = 200


@router.post("")
async def create_thread(caller: Caller, idempotency: Idempotency, body: ThreadCreate | None = None) -> WireThread:
    """Create a thread; with ``if_exists="do_nothing"`` an existing one of yours is returned."""
    new = body or ThreadCreate()
    thread = await record.create_thread(
        account_id=caller.account_id,
        thread_id=new.thread_id,
        metadata=new.metadata,
        exist_ok=new.if_exists == "do_nothing",
        once=idempotency(WireThread.of),
    )
    return WireThread.of(thread)


@router.post("/search")
async def search_threads(caller: Caller, body: ThreadSearch | None = None) -> list[WireThread]:
    """Your threads, newest first."""
    wanted = body or ThreadSearch()
    async with connection() as taken:
        found = await threads.search(
            taken,
            account_id=caller.account_id,
            metadata=wanted.metadata or {},
            thread_ids=wanted.ids,
            last_run_statuses=None if wanted.status is None else last_run_statuses(wanted.status),
            limit=wanted.limit,
            offset=wanted.offset,
        )
    return [WireThread.of(thread) for thread in found]


@router.get("/{thread_id}")
async def get_thread(caller: Caller, thread_id: UUID) -> WireThread:
    """One thread."""
    async with connection() as taken:
        return WireThread.of(await threads.get(taken, thread_id=thread_id, account_id=caller.account_id))


@router.patch("/{thread_id}")
async def update_thread(caller: Caller, thread_id: UUID, body: ThreadPatch) -> WireThread:
    """Merge keys into the thread's metadata."""
    async with connection() as taken:
        await threads.update_metadata(taken, thread_id=thread_id, account_id=caller.account_id, metadata=body.metadata)
    return await get_thread(caller, thread_id)


@router.delete("/{thread_id}", status_code=204)
async def delete_thread(caller: Caller, thread_id: UUID) -> None:
    """Delete a thread with its runs and messages; 409 while a run of it is unfinished."""
    async with connection() as taken:
        await threads.delete(taken, thread_id=thread_id, account_id=caller.account_id)


@router.get("/{thread_id}/state")
async def get_state(caller: Caller, thread_id: UUID) -> ThreadState:
    """The thread's state: its newest messages, oldest of them first."""
    async with connection() as taken:
        thread = await threads.get(taken, thread_id=thread_id, account_id=caller.account_id)
        newest = await messages.newest(taken, thread_id=thread_id, account_id=caller.account_id, limit=STATE_MESSAGES)
    checkpoint = {
        "thread_id": str(thread_id),
        "checkpoint_ns": "",
        "checkpoint_id": str(newest[-1].message_id) if newest else None,
    }
    return ThreadState(
        values={"messages": [wire_message(message) for message in newest]},
        next=["agent"] if thread.last_run_status in UNFINISHED else [],
        metadata=thread.metadata,
        created_at=newest[-1].created_at if newest else thread.created_at,
        checkpoint=checkpoint,
    )
