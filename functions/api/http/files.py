"""Routes of a thread's files."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from functions.api import files
from functions.api.http.identity import Caller
from functions.api.wire_files import FileCreate, FileCreated, FileShown, WireFile

router = APIRouter(prefix="/threads/{thread_id}/files", tags=["files"])


@router.post("", status_code=201)
async def create_file(caller: Caller, thread_id: UUID, body: FileCreate) -> FileCreated:
    """Announce a file; the answer says how to upload it, which is refused if it is not of that type and size."""
    file = await files.announce(body.file(thread_id=thread_id, account_id=caller.account_id))
    return FileCreated.by(file, await files.upload_of(file))


@router.get("")
async def list_files(
    caller: Caller,
    thread_id: UUID,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> list[WireFile]:
    """The thread's files, oldest first."""
    page = await files.page(account_id=caller.account_id, thread_id=thread_id, limit=limit, offset=offset)
    return [WireFile.of(file) for file in page]


@router.get("/{file_id}")
async def get_file(caller: Caller, thread_id: UUID, file_id: UUID) -> FileShown:
    """One file; ``download`` is null until it is uploaded."""
    file = await files.get(account_id=caller.account_id, thread_id=thread_id, file_id=file_id)
    return FileShown.at(file, await files.download_of(file) if file.stored else None)


@router.delete("/{file_id}", status_code=204)
async def delete_file(caller: Caller, thread_id: UUID, file_id: UUID) -> None:
    """Delete a file. Messages keep the text that was read of it, and lose an image."""
    await files.delete(account_id=caller.account_id, thread_id=thread_id, file_id=file_id)
