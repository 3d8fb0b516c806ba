"""Files of threads: uploaded and downloaded by the client itself, at URLs that are given out here."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from shared.aws import objects
from shared.aws.objects import Seen, Upload
from shared.database import connection, files, plans, threads, transaction
from shared.database.files import File
from shared.errors import ConflictError, FilesUnavailableError, InvalidRequestError, SunaError
from shared.telemetry import logger

# One page of S3's deletion.
_REMOVED_AT_ONCE = 1000


async def check(file: File) -> None:
    """See to it that the account's plan allows a file of this type and size.

    Raises:
        InvalidRequestError: it does not; the detail says what it allows.
    """
    async with connection() as taken:
        limits = await plans.file_limits(taken, account_id=file.account_id)
    if file.content_type not in limits.file_types:
        allowed = sorted(limits.file_types)
        raise InvalidRequestError(
            f"content_type: {file.content_type!r} is none of {', '.join(allowed)}", detail={"file_types": allowed}
        )
    if not 0 < file.size <= limits.max_file_bytes:
        raise InvalidRequestError(
            f"size: a file has 1 to {limits.max_file_bytes} bytes, not {file.size}",
            detail={"max_file_bytes": limits.max_file_bytes},
        )


async def announce(file: File) -> File:
    """Record a file that the client is about to upload.

    Raises:
        NotFoundError: the thread does not exist in the account.
        InvalidRequestError: its plan does not allow such a file.
        ConflictError: the thread, or the account, has as many files as its plan allows.
    """
    await check(file)
    async with transaction() as taken:
        await threads.lock_with_account(taken, thread_id=file.thread_id, account_id=file.account_id)
        limits = await plans.file_limits(taken, account_id=file.account_id)
        if await files.count(taken, thread_id=file.thread_id, account_id=file.account_id) >= limits.max_thread_files:
            raise _too_many_files(limits)
        return await files.insert(taken, file)


def _too_many_files(limits: plans.FileLimits) -> ConflictError:
    return ConflictError(
        f"a thread has {limits.max_thread_files} files at most by the account's plan (max_thread_files): delete one, or"
        " use another thread",
        detail={"limit": "max_thread_files", "max_thread_files": limits.max_thread_files},
    )


async def upload_of(file: File) -> Upload:
    """Where the client uploads it."""
    return await objects.presign_upload(file.object_key, content_type=file.content_type, size=file.size)


async def page(*, account_id: str, thread_id: UUID, limit: int, offset: int) -> list[File]:
    """The thread's files, oldest first, as they are now."""
    async with connection() as taken:
        await threads.get(taken, thread_id=thread_id, account_id=account_id)
        found = await files.page(taken, thread_id=thread_id, account_id=account_id, limit=limit, offset=offset)
    return await _looked_at(found)


async def get(*, account_id: str, thread_id: UUID, file_id: UUID) -> File:
    """One file, as it is now. Raises ``NotFoundError``."""
    async with connection() as taken:
        found = await files.find(taken, file_ids=[file_id], thread_id=thread_id, account_id=account_id)
    [file] = await _looked_at([found[file_id]])
    return file


async def download_of(file: File) -> str:
    """Where the client downloads it."""
    return await objects.presign_download(file.object_key, name=file.name, content_type=file.content_type)


async def delete(*, account_id: str, thread_id: UUID, file_id: UUID) -> None:
    """Delete a file. Raises ``NotFoundError``."""
    async with connection() as taken:
        await files.delete(taken, file_id=file_id, thread_id=thread_id, account_id=account_id)
    await remove_objects()


async def store(new: Sequence[tuple[File, bytes]]) -> list[File]:
    """Store files that came with a request, of a thread that has none; they are removed again unless somebody inserts
    them. They are counted before.

    Raises:
        InvalidRequestError: the account's plan does not allow one of them.
        ConflictError: it does not allow so many, or so many bytes.
        FilesUnavailableError: S3 is out of reach.
    """
    for file, _ in new:
        await check(file)
    [account_id] = {file.account_id for file, _ in new}
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=account_id)
        limits = await plans.file_limits(taken, account_id=account_id)
        if len(new) > limits.max_thread_files:
            raise _too_many_files(limits)
        await files.expect(taken, [file for file, _ in new])
    await asyncio.gather(
        *(objects.put(file.object_key, content, content_type=file.content_type) for file, content in new)
    )
    return [replace(file, stored=True) for file, _ in new]


async def remove_objects() -> int:
    """Remove objects of files that are deleted; returns how many. Whatever fails is removed by who calls next."""
    try:
        async with connection() as taken:
            keys = await files.due_removals(taken, limit=_REMOVED_AT_ONCE)
        if not keys:
            return 0
        gone = await objects.delete(keys)
        async with connection() as taken:
            await files.note_removed(taken, gone)
    except SunaError:
        logger.warning("objects of deleted files could not be removed yet", exc_info=True)
        return 0
    return len(gone)


def is_as_announced(file: File, seen: Seen | None) -> bool:
    """Whether the bucket has the object that was announced."""
    return seen == Seen(file.size, file.content_type)


async def _looked_at(found: Sequence[File]) -> list[File]:
    """The files; those whose objects nobody has seen yet are looked for."""
    waiting = [file for file in found if not file.stored]
    if not waiting:
        return list(found)
    try:
        seen = await objects.heads([file.object_key for file in waiting])
    except FilesUnavailableError:
        logger.warning("files could not be looked for", exc_info=True)
        return list(found)
    stored = [file for file, there in zip(waiting, seen, strict=True) if is_as_announced(file, there)]
    if stored:
        await note_stored(stored)
    arrived = {file.file_id for file in stored}
    return [replace(file, stored=file.stored or file.file_id in arrived) for file in found]


async def note_stored(stored: Sequence[File]) -> None:
    """Note that the objects of files of one thread have been seen."""
    async with connection() as taken:
        await files.note_stored(
            taken,
            file_ids=[file.file_id for file in stored],
            thread_id=stored[0].thread_id,
            account_id=stored[0].account_id,
        )
