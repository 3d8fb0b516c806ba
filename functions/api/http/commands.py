"""The commands of the Agent Streaming Protocol over HTTP."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from functions.api.commands import Caller as CommandCaller
from functions.api.commands import execute
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller

router = APIRouter(tags=["commands"])


@router.post("/threads/{thread_id}/commands")
async def send_command(caller: Caller, thread_id: UUID, request: Request, idempotency: Idempotency) -> dict[str, Any]:
    """One command, for example ``{"id": 1, "method": "run.start", "params": {"assistant_id": ..., "input": ...}}``.

    Answers ``{"type": "success", "id", "result"}`` or ``{"type": "error", "id", "error", "message"}``.
    """
    body = (await request.body()).decode(errors="replace")
    sender = CommandCaller(
        account_id=caller.account_id, thread_id=thread_id, idempotency=idempotency, scopes=caller.scopes
    )
    return await execute(body, sender)
