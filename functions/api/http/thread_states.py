"""Routes of threads' states. The messages are the state, and each message is a checkpoint."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from functions.api import states
from functions.api.attachments import attach
from functions.api.body import Words
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.http.reading import reading
from functions.api.wire_state import (
    HistorySearch,
    StateAtCheckpoint,
    StateUpdate,
    StateUpdated,
    ThreadState,
    checkpoint,
    selected,
)
from shared.domain import Json
from shared.errors import ConflictError
from shared.runs.appending import append_while_idle

router = APIRouter(prefix="/threads/{thread_id}", tags=["states"])

Select = Annotated[Words | None, Query()]


@router.get("/state", response_model=ThreadState)
async def get_thread_state(caller: Caller, thread_id: UUID, select: Select = None) -> Any:
    """The thread's state: its newest messages (200 at most), oldest of them first; ``next`` and ``tasks`` say what is
    being done, ``interrupts`` what somebody has to answer.
    """
    async with reading(thread_id, caller) as owner:
        return _answer(await states.thread_state(account_id=owner, thread_id=thread_id), select)


@router.get("/state/{checkpoint_id}", response_model=ThreadState)
async def get_thread_state_at(caller: Caller, thread_id: UUID, checkpoint_id: UUID, select: Select = None) -> Any:
    """The state when this message was the newest."""
    async with reading(thread_id, caller) as owner:
        found = await states.thread_state(account_id=owner, thread_id=thread_id, checkpoint_id=checkpoint_id)
    return _answer(found, select)


@router.post("/state/checkpoint", response_model=ThreadState)
async def get_thread_state_at_checkpoint(caller: Caller, thread_id: UUID, body: StateAtCheckpoint) -> Any:
    """The same, with the checkpoint in the body."""
    async with reading(thread_id, caller) as owner:
        found = await states.thread_state(
            account_id=owner, thread_id=thread_id, checkpoint_id=body.checkpoint.checkpoint_id
        )
    return _answer(found, body.select)


@router.post("/state")
async def update_thread_state(
    caller: Caller, thread_id: UUID, body: StateUpdate, idempotency: Idempotency
) -> StateUpdated:
    """Append messages without starting a run; 409 while one is unfinished, or if ``checkpoint`` is not the newest."""
    wanted = body.wanted_checkpoint
    if body.values is None or not body.values.messages:
        newest = await states.thread_state(account_id=caller.account_id, thread_id=thread_id)
        if wanted is not None and newest.checkpoint["checkpoint_id"] != str(wanted):
            raise ConflictError("the state has changed since that checkpoint: a thread does not branch; read it again")
        return StateUpdated(checkpoint=newest.checkpoint)

    def updated(message_id: UUID) -> Json:
        return StateUpdated(checkpoint=checkpoint(thread_id, message_id)).model_dump()

    last = await append_while_idle(
        account_id=caller.account_id,
        thread_id=thread_id,
        new=await attach(
            [message.new_message() for message in body.values.messages],
            account_id=caller.account_id,
            thread_id=thread_id,
        ),
        named=() if wanted is None else (wanted,),
        once=idempotency(updated),
    )
    return StateUpdated(checkpoint=checkpoint(thread_id, last))


@router.get("/history", response_model=list[ThreadState])
async def get_thread_history(
    caller: Caller, thread_id: UUID, limit: Annotated[int, Query(ge=1, le=1000)] = 10, before: UUID | None = None
) -> Any:
    """The thread's states, newest first, one a message.

    Fewer than ``limit`` where messages are large: go on ``before`` the last one's ``checkpoint_id`` until it is empty.
    """
    async with reading(thread_id, caller) as owner:
        return await states.history(account_id=owner, thread_id=thread_id, limit=limit, before=before)


@router.post("/history", response_model=list[ThreadState])
async def search_thread_history(caller: Caller, thread_id: UUID, body: HistorySearch | None = None) -> Any:
    """The same, as clients ask for it; ``metadata`` filters the page."""
    wanted = body or HistorySearch()
    async with reading(thread_id, caller) as owner:
        found = await states.history(account_id=owner, thread_id=thread_id, limit=wanted.limit, before=wanted.before_id)
    kept = [state for state in found if (wanted.metadata or {}).items() <= state.metadata.items()]
    return JSONResponse([selected(state, wanted.select) for state in kept]) if wanted.select else kept


def _answer(state: ThreadState, select: list[str] | None) -> Any:
    return JSONResponse(selected(state, select)) if select else state
