"""Threads in PostgreSQL. Every statement is scoped by account: what is not yours is not there."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from shared.database import holdings
from shared.database.pages import LARGEST_PAGE_BYTES, Page
from shared.database.pool import Connection, transaction
from shared.database.queries import queries
from shared.domain import LARGEST_METADATA_BYTES, Json, RunStatus, Thread, ThreadLog
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.storable import jsonb

_SQL = queries("threads")

SortBy = Literal["thread_id", "status", "created_at", "updated_at"]


def _thread(row: asyncpg.Record) -> Thread:
    return Thread(
        thread_id=row["thread_id"],
        account_id=row["account_id"],
        metadata=json.loads(row["metadata"]),
        is_public=row["is_public"],
        last_run_status=row["run_status"] or None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def ensure_account(connection: Connection, *, account_id: str) -> None:
    """Have a row for the account, which begins to exist with the first thing that is its, and take its row lock for the
    rest of the transaction: what the account holds stays what it is.

    Raises:
        ConflictError: the account is being deleted.
    """
    await connection.execute(_SQL["ensure_account"], account_id)
    if await connection.fetchval(_SQL["is_being_deleted"], account_id):
        raise ConflictError("this account is being deleted, with all that it has: begin it anew when that is done")


async def create(
    connection: Connection, *, thread_id: UUID, account_id: str, metadata: Json, is_public: bool = False
) -> bool:
    """Create a thread; False if the id is taken (by whomever: ids are chosen by clients).

    The caller holds the account's row lock.

    Raises:
        ConflictError: the account has as many threads as its plan allows.
    """
    created = await connection.fetchval(_SQL["create"], thread_id, account_id, jsonb(metadata), is_public)
    if created is not None:
        await holdings.admit(connection, "threads", account_id=account_id)
    return created is not None


async def get(connection: Connection, *, thread_id: UUID, account_id: str) -> Thread:
    """The thread.

    Raises:
        NotFoundError: there is none of that id in the account.
    """
    row = await connection.fetchrow(_SQL["get"], thread_id, account_id)
    if row is None:
        raise NotFoundError(f"thread {str(thread_id)!r} not found")
    return _thread(row)


async def owner(connection: Connection, *, thread_id: UUID, account_id: str | None) -> str | None:
    """The account of a thread that ``account_id`` may read (``None``: everybody); ``None``: there is no such thread."""
    return await connection.fetchval(_SQL["owner"], thread_id, account_id)


async def bound_end(
    connection: Connection, log: ThreadLog, *, agent_run_id: UUID, before_end: int, hidden: bool
) -> None:
    """The run has ended, with the number after ``before_end``: everybody who may read the thread is told.

    Nothing before it is for anybody but the thread's account, if the run went on when the thread was made public, or is
    ``hidden``.
    """
    await connection.execute(_SQL["bound_end"], log.thread_id, log.generation, agent_run_id, before_end, hidden)


@dataclass(frozen=True)
class Public:
    """A public thread: whose it is, and the number after which the events of this generation are everybody's."""

    account_id: str
    generation: UUID
    after_seq: int


async def public(connection: Connection, *, thread_id: UUID) -> Public | None:
    """The thread if everybody may read it."""
    row = await connection.fetchrow(_SQL["public"], thread_id)
    return None if row is None else Public(row["account_id"], row["generation"], row["public_after_seq"])


async def search(
    connection: Connection,
    *,
    account_id: str,
    metadata: Json,
    thread_ids: Sequence[UUID] | None,
    last_run_statuses: Sequence[RunStatus | None] | None,
    limit: int,
    offset: int,
    sort_by: SortBy = "created_at",
    descending: bool = True,
) -> Page[Thread]:
    """The account's threads that contain ``metadata``, newest first; ``None`` among the statuses: never run.

    Fewer than ``limit`` where their metadata is large.
    """
    found = (account_id, jsonb(metadata), thread_ids, limit + 1, offset)
    words = _words(last_run_statuses)
    if sort_by != "created_at" or not descending:
        rows = await connection.fetch(_SQL["search_sorted"], *found, words, sort_by, descending)
    elif words is not None:
        rows = await connection.fetch(_SQL["search_by_status"], *found, words)
    else:
        rows = await connection.fetch(_SQL["search"], *found)
    ids = [row["thread_id"] for row in rows[:limit]]
    shown = await connection.fetch(_SQL["page"], account_id, ids, LARGEST_PAGE_BYTES)
    read = shown[-1]["number"] if shown else len(ids)
    return Page([_thread(row) for row in shown], end=offset + read, is_last=read == len(rows))


async def count(
    connection: Connection,
    *,
    account_id: str,
    metadata: Json,
    thread_ids: Sequence[UUID] | None,
    last_run_statuses: Sequence[RunStatus | None] | None,
) -> int:
    """How many threads :func:`search` would find, had it no limit."""
    wanted = (account_id, jsonb(metadata), _words(last_run_statuses), thread_ids)
    return await connection.fetchval(_SQL["count"], *wanted)


def _words(statuses: Sequence[RunStatus | None] | None) -> list[str] | None:
    return None if statuses is None else sorted({status or "" for status in statuses})


async def update(
    connection: Connection, *, thread_id: UUID, account_id: str, metadata: Json, is_public: bool | None = None
) -> None:
    """Merge ``metadata`` into the thread's, key by key; ``is_public``: ``None`` leaves it as it is.

    Raises:
        NotFoundError: there is none of that id in the account.
        InvalidRequestError: its metadata would be too large with them.
    """
    changes = (jsonb(metadata), is_public, LARGEST_METADATA_BYTES)
    if await connection.fetchval(_SQL["update"], thread_id, account_id, *changes) is None:
        await get(connection, thread_id=thread_id, account_id=account_id)
        raise InvalidRequestError("the thread's metadata would be too large: say it in a message or a file")


async def delete(connection: Connection, *, thread_id: UUID, account_id: str) -> UUID:
    """Delete the thread with its runs and messages, in the caller's transaction.

    Returns the generation of its event log, which is still to go.

    Raises:
        NotFoundError: there is none of that id in the account.
        ConflictError: a run of it is queued or running.
    """
    # A statement of its own: whoever records or claims a run holds this lock, and the next one sees that run.
    await connection.fetchval(_SQL["lock"], thread_id, account_id)
    generation = await connection.fetchval(_SQL["delete"], thread_id, account_id)
    if generation is None:
        await get(connection, thread_id=thread_id, account_id=account_id)
        raise ConflictError(f"thread {str(thread_id)!r} has an unfinished run: cancel it, then delete the thread")
    return generation


async def lock(connection: Connection, *, thread_id: UUID, account_id: str) -> int:
    """Take the thread's row lock for the rest of the transaction; returns the number of its newest run.

    Lock order everywhere: account, thread, run.

    Raises:
        NotFoundError: there is none of that id in the account.
    """
    return _newest_run(await connection.fetchrow(_SQL["lock"], thread_id, account_id), thread_id)


async def lock_with_account(connection: Connection, *, thread_id: UUID, account_id: str) -> int:
    """As :func:`lock`, and the account's row lock before it: what the account uses stays what it is.

    Not for who holds the lock of a thread or a run already.
    """
    return _newest_run(await connection.fetchrow(_SQL["lock_with_account"], thread_id, account_id), thread_id)


@asynccontextmanager
async def locked(*, thread_id: UUID, account_id: str) -> AsyncGenerator[Connection]:
    """A transaction that has the thread's row lock, if there is such a thread in the account (any more)."""
    async with transaction() as connection:
        await connection.fetchval(_SQL["lock"], thread_id, account_id)
        yield connection


def _newest_run(row: asyncpg.Record | None, thread_id: UUID) -> int:
    if row is None:
        raise NotFoundError(f"thread {str(thread_id)!r} not found")
    return row["last_run_number"]


@dataclass(frozen=True, kw_only=True)
class StreamPosition:
    """Where a thread's events stand: ``log`` has them.

    ``last_seq``: the last number used before the present holder's; ``reserved_seq``: no higher number is in use;
    ``begins_after``: the last number before the run that is being executed; ``held``: whether its lease lives.
    """

    log: ThreadLog
    last_seq: int
    reserved_seq: int
    begins_after: int | None
    held: bool

    @property
    def before_run(self) -> int:
        """The last number before the run that is being executed, if one is; else the last one used."""
        return self.last_seq if self.begins_after is None else self.begins_after


async def stream_position(connection: Connection, *, thread_id: UUID, account_id: str) -> StreamPosition | None:
    """Where the thread's events stand; ``None`` if there is no such thread in the account (yet).

    Then what Redis or DynamoDB have under the thread's id is not the account's to read: clients choose the ids.
    """
    row = await connection.fetchrow(_SQL["stream_position"], thread_id, account_id)
    if row is None:
        return None
    return StreamPosition(
        log=log_of(row),
        last_seq=row["last_seq"],
        reserved_seq=row["reserved_seq"],
        begins_after=row["begins_after"],
        held=row["held"],
    )


async def log(connection: Connection, *, thread_id: UUID, account_id: str) -> ThreadLog:
    """The event log of the account's thread.

    Raises:
        NotFoundError: there is none of that id in the account.
    """
    row = await connection.fetchrow(_SQL["log"], thread_id, account_id)
    if row is None:
        raise NotFoundError(f"thread {str(thread_id)!r} not found")
    return log_of(row)


def log_of(row: asyncpg.Record) -> ThreadLog:
    """The event log of a row that a statement has scoped: ``thread_id``, ``generation``."""
    return ThreadLog(thread_id=row["thread_id"], generation=row["generation"])
