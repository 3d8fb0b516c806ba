"""Routes of threads."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from functions.api import deletions, files
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.http.pages import announced
from functions.api.http.reading import reading
from functions.api.states import wire_threads
from functions.api.wire import ThreadCreate, ThreadPatch, ThreadSearch, WireThread, last_run_statuses
from functions.api.wire_state import selected
from shared.database import connection, threads
from shared.errors import NotSupportedError
from shared.runs import record

router = APIRouter(prefix="/threads", tags=["threads"])

_NO_TTL = "a thread has no time to live: delete it when it is done with"


@router.post("")
async def create_thread(caller: Caller, idempotency: Idempotency, body: ThreadCreate | None = None) -> WireThread:
    """Create a thread; with ``if_exists="do_nothing"`` an existing one of yours is returned."""
    new = body or ThreadCreate()
    if new.ttl is not None:
        raise NotSupportedError(_NO_TTL)
    if new.supersteps:
        raise NotSupportedError("'supersteps' are not supported: append messages with POST /threads/{thread_id}/state")
    thread = await record.create_thread(
        account_id=caller.account_id,
        thread_id=new.thread_id,
        metadata=new.metadata,
        exist_ok=new.if_exists == "do_nothing",
        is_public=new.is_public,
        once=idempotency(WireThread.of),
    )
    return WireThread.of(thread)


@router.post("/search", response_model=list[WireThread])
async def search_threads(caller: Caller, response: Response, body: ThreadSearch | None = None) -> Any:
    """Your threads, newest first; the header ``x-pagination-next`` is the next page's offset, if there is one.

    A page has fewer than ``limit`` where their metadata is large.
    """
    wanted = _searched(body)
    async with connection() as taken:
        found = await threads.search(
            taken,
            account_id=caller.account_id,
            metadata=wanted.metadata or {},
            thread_ids=wanted.ids,
            last_run_statuses=None if wanted.status is None else last_run_statuses(wanted.status),
            limit=wanted.limit,
            offset=wanted.offset,
            sort_by="updated_at" if wanted.sort_by == "state_updated_at" else wanted.sort_by,
            descending=wanted.sort_order == "desc",
        )
        shown = await wire_threads(taken, announced(found, response), account_id=caller.account_id)
    if not wanted.select:
        return shown
    return JSONResponse([selected(thread, wanted.select) for thread in shown], headers=dict(response.headers))


@router.post("/count")
async def count_threads(caller: Caller, body: ThreadSearch | None = None) -> int:
    """How many threads a search without limit would find."""
    wanted = _searched(body)
    async with connection() as taken:
        return await threads.count(
            taken,
            account_id=caller.account_id,
            metadata=wanted.metadata or {},
            thread_ids=wanted.ids,
            last_run_statuses=None if wanted.status is None else last_run_statuses(wanted.status),
        )


def _searched(body: ThreadSearch | None) -> ThreadSearch:
    wanted = body or ThreadSearch()
    if wanted.values or wanted.extract:
        raise NotSupportedError("threads are found by 'metadata', 'status' and 'ids', not by 'values' or 'extract'")
    return wanted


@router.get("/{thread_id}")
async def get_thread(caller: Caller, thread_id: UUID) -> WireThread:
    """One thread, yours or a public one; ``interrupts`` say, by run, what somebody has to answer."""
    async with reading(thread_id, caller) as owner, connection() as taken:
        thread = await threads.get(taken, thread_id=thread_id, account_id=owner)
        [shown] = await wire_threads(taken, [thread], account_id=owner)
    return shown


@router.patch(
    "/{thread_id}",
    response_model=WireThread,
    responses={204: {"description": "As asked for by Prefer: return=minimal"}},
)
async def update_thread(
    caller: Caller, thread_id: UUID, body: ThreadPatch, prefer: Annotated[str | None, Header()] = None
) -> Any:
    """Merge keys into the thread's metadata, make it public or private; with ``Prefer: return=minimal`` the answer is
    empty.
    """
    if body.ttl is not None:
        raise NotSupportedError(_NO_TTL)
    async with connection() as taken:
        await threads.update(
            taken,
            thread_id=thread_id,
            account_id=caller.account_id,
            metadata=body.metadata,
            is_public=body.is_public,
        )
    if prefer == "return=minimal":
        return Response(status_code=204)
    return await get_thread(caller, thread_id)


@router.delete("/{thread_id}", status_code=204)
async def delete_thread(caller: Caller, thread_id: UUID) -> None:
    """Delete a thread with its runs, messages and files; 409 while a run of it is unfinished."""
    await deletions.delete_thread(thread_id=thread_id, account_id=caller.account_id)
    await files.remove_objects()
