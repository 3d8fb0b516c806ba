"""Routes of runs."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from functions.api import deletions, stops
from functions.api.body import Words
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.limits.waits import waiting
from functions.api.runs import start_run
from functions.api.stops import CancelAction
from functions.api.wire import RunCreate, RunsCancel, WireRun, WireRunStatus, run_statuses
from functions.api.wire_state import selected
from shared.database import connection, runs, threads

router = APIRouter(prefix="/threads/{thread_id}/runs", tags=["runs"])
account_router = APIRouter(prefix="/runs", tags=["runs"])


@router.post("")
async def create_run(
    caller: Caller, thread_id: UUID, body: RunCreate, response: Response, idempotency: Idempotency
) -> WireRun:
    """Start a run in the background; its events go to the thread's subscribers."""
    once = idempotency(WireRun.of)
    run = await start_run(account_id=caller.account_id, thread_id=thread_id, body=body, once=once)
    response.headers["content-location"] = f"/threads/{thread_id}/runs/{run.agent_run_id}"
    return WireRun.of(run)


@router.get("", response_model=list[WireRun])
async def list_runs(
    caller: Caller,
    thread_id: UUID,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    status: WireRunStatus | None = None,
    *,
    select: Annotated[Words | None, Query()] = None,
) -> Any:
    """The thread's runs, newest first; with ``select`` only these fields of them.

    Fewer than ``limit`` where they are large: go on at ``offset`` plus their number until there are none.
    """
    async with connection() as taken:
        await threads.get(taken, thread_id=thread_id, account_id=caller.account_id)
        page = await runs.page(
            taken,
            thread_id=thread_id,
            account_id=caller.account_id,
            statuses=None if status is None else run_statuses(status),
            limit=limit,
            offset=offset,
        )
    shown = [WireRun.of(run) for run in page]
    return JSONResponse([selected(run, select) for run in shown]) if select else shown


@router.get("/{run_id}")
async def get_run(caller: Caller, thread_id: UUID, run_id: UUID) -> WireRun:
    """One run."""
    async with connection() as taken:
        return WireRun.of(await runs.get(taken, agent_run_id=run_id, account_id=caller.account_id, thread_id=thread_id))


@router.delete("/{run_id}", status_code=204)
async def delete_run(caller: Caller, thread_id: UUID, run_id: UUID) -> None:
    """Delete a run with its messages and, within seconds, its events; 409 while it is unfinished."""
    await deletions.delete_run(agent_run_id=run_id, thread_id=thread_id, account_id=caller.account_id)


@router.post("/{run_id}/cancel")
async def cancel_run(
    caller: Caller, thread_id: UUID, run_id: UUID, action: CancelAction = "interrupt", wait: bool = False
) -> WireRun:
    """Stop a run; ``rollback`` hides its messages too. One that has ended stays as it is, and the answer says so."""
    cancel = partial(
        stops.cancel, account_id=caller.account_id, thread_id=thread_id, agent_run_id=run_id, action=action
    )
    if not wait:
        return WireRun.of(await cancel())
    async with waiting(caller.account_id, longest_s=stops.LONGEST_WAIT_S) as held:
        return WireRun.of(await cancel(wait=held))


@account_router.post("/cancel")
async def cancel_runs(caller: Caller, body: RunsCancel, action: CancelAction = "interrupt") -> list[WireRun]:
    """Stop up to 100 of your unfinished runs: of a thread, of these ids, or of a status.

    The answer has as many of them as it has room for.
    """
    stopped = await stops.cancel_many(
        account_id=caller.account_id,
        thread_id=body.thread_id,
        agent_run_ids=body.run_ids,
        status=body.status or "all",
        action=action,
    )
    return [WireRun.of(run) for run in stopped]
