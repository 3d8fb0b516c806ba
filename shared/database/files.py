"""Files of threads, and the objects that have to be removed. Every statement but those on objects is scoped."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from shared.database import holdings
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.errors import NotFoundError

_SQL = queries("files")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a thread. ``size`` in bytes; ``stored``: its object has been seen."""

    thread_id: UUID
    account_id: str
    name: str
    content_type: str
    size: int
    stored: bool = False
    file_id: UUID = field(default_factory=uuid4)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def account_part(self) -> str:
        """What stands for the account in names of objects. An account id is anything of any length: its hash."""
        return hashlib.sha256(self.account_id.encode()).hexdigest()[:32]

    @property
    def object_key(self) -> str:
        """The name of its object."""
        return f"accounts/{self.account_part}/threads/{self.thread_id}/files/{self.file_id}"


def _file(row: asyncpg.Record) -> File:
    return File(
        thread_id=row["thread_id"],
        account_id=row["account_id"],
        name=row["name"],
        content_type=row["content_type"],
        size=row["size"],
        stored=row["stored_at"] is not None,
        file_id=row["file_id"],
        created_at=row["created_at"],
    )


async def insert(connection: Connection, file: File) -> File:
    """Add a file. The caller holds the row locks of its account and its thread.

    Raises:
        ConflictError: the account has as many files, or bytes of them, as its plan allows. One that is stored was
            counted before it was (:func:`expect`).
    """
    row = await connection.fetchrow(
        _SQL["insert"],
        file.file_id,
        file.thread_id,
        file.account_id,
        file.name,
        file.content_type,
        file.size,
        file.object_key,
        file.stored,
    )
    assert row is not None, "INSERT returns its row"  # noqa: S101
    if not file.stored:
        await holdings.admit_files(connection, account_id=file.account_id, account_part=file.account_part)
    return _file(row)


async def count(connection: Connection, *, thread_id: UUID, account_id: str) -> int:
    """How many files the thread has."""
    return await connection.fetchval(_SQL["count"], thread_id, account_id)


async def page(connection: Connection, *, thread_id: UUID, account_id: str, limit: int, offset: int) -> list[File]:
    """The thread's files, oldest first."""
    rows = await connection.fetch(_SQL["list"], thread_id, account_id, limit, offset)
    return [_file(row) for row in rows]


async def find(
    connection: Connection, *, file_ids: Sequence[UUID], thread_id: UUID, account_id: str
) -> dict[UUID, File]:
    """Files of the thread by id.

    Raises:
        NotFoundError: the thread has not all of them.
    """
    rows = await connection.fetch(_SQL["find"], list(file_ids), thread_id, account_id)
    found = {row["file_id"]: _file(row) for row in rows}
    for file_id in file_ids:
        if file_id not in found:
            raise NotFoundError(f"file {str(file_id)!r} not found")
    return found


async def note_stored(connection: Connection, *, file_ids: Sequence[UUID], thread_id: UUID, account_id: str) -> None:
    """Note that the objects of these files have been seen."""
    await connection.execute(_SQL["note_stored"], list(file_ids), thread_id, account_id)


async def delete(connection: Connection, *, file_id: UUID, thread_id: UUID, account_id: str) -> None:
    """Delete the file; its object is to be removed from then on. Raises :class:`NotFoundError`."""
    if await connection.fetchval(_SQL["delete"], file_id, thread_id, account_id) is None:
        raise NotFoundError(f"file {str(file_id)!r} not found")


async def expect(connection: Connection, new: Sequence[File]) -> None:
    """Objects of one account's files are about to be stored; they are removed unless they become files within the hour.

    They count from now on. The caller holds the account's row lock.

    Raises:
        ConflictError: the account has as many files, or bytes of them, as its plan allows.
    """
    await connection.execute(_SQL["expect"], [file.object_key for file in new], [file.size for file in new])
    await holdings.admit_files(connection, account_id=new[0].account_id, account_part=new[0].account_part)


async def due_removals(connection: Connection, *, limit: int) -> list[str]:
    """Objects to remove now."""
    return [row["object_key"] for row in await connection.fetch(_SQL["due_removals"], limit)]


async def note_removed(connection: Connection, object_keys: Sequence[str]) -> None:
    """Objects are gone."""
    await connection.execute(_SQL["note_removed"], list(object_keys))
