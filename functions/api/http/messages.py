"""Routes of a thread's messages, as Suna has them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from functions.api.attachments import attach
from functions.api.http.idempotency import Idempotency
from functions.api.http.identity import Caller
from functions.api.http.reading import reading
from functions.api.wire import InputMessage, WireStoredMessage
from shared.database import connection, messages, threads
from shared.domain import Json
from shared.runs import record

router = APIRouter(prefix="/threads/{thread_id}/messages", tags=["messages"])


@router.get("")
async def list_messages(
    caller: Caller,
    thread_id: UUID,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> list[WireStoredMessage]:
    """A page of the thread's messages, oldest first.

    It is shorter than ``limit`` where messages are large: go on at ``offset`` plus its length until it is empty.
    """
    async with reading(thread_id, caller) as owner, connection() as taken:
        await threads.get(taken, thread_id=thread_id, account_id=owner)
        page = await messages.page(taken, thread_id=thread_id, account_id=owner, limit=limit, offset=offset)
    return [WireStoredMessage.of(message) for message in page]


@router.post("", status_code=201)
async def add_message(caller: Caller, thread_id: UUID, body: InputMessage, idempotency: Idempotency) -> dict[str, UUID]:
    """Append a message without starting a run; it belongs to the thread's next run."""
    [new] = await attach([body.new_message()], account_id=caller.account_id, thread_id=thread_id)
    message_id = await record.append_message(
        account_id=caller.account_id,
        thread_id=thread_id,
        new=new,
        once=idempotency(_added, status=201),
    )
    return {"message_id": message_id}


def _added(message_id: UUID) -> Json:
    return {"message_id": str(message_id)}
