"""Messages in PostgreSQL."""

import json
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.database.pages import LARGEST_PAGE_BYTES
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Json, Message, MessageType
from shared.errors import ConflictError
from shared.storable import jsonb

_SQL = queries("messages")


def message_of(row: asyncpg.Record) -> Message:
    """The message of a row of ``messages``."""
    return Message(
        message_id=row["message_id"],
        thread_id=row["thread_id"],
        run_number=row["run_number"],
        position=row["position"],
        agent_run_id=row["agent_run_id"],
        type=row["type"],
        is_llm_message=row["is_llm_message"],
        content=json.loads(row["content"]),
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
    )


async def insert(
    connection: Connection,
    *,
    message_id: UUID,
    thread_id: UUID,
    account_id: str,
    run_number: int,
    type: MessageType,
    content: Json,
    metadata: Json | None = None,
    agent_run_id: UUID | None = None,
    thread_run_id: UUID | None = None,
    is_llm_message: bool = True,
    covers: tuple[int, int] | None = None,
) -> Message:
    """Append a message at the next position of ``run_number``.

    ``covers``: for a summary, the place of the last message it stands for.

    The caller holds what makes positions safe: the thread's row lock while a run is recorded, the run's row afterwards.

    Raises:
        ConflictError: the id, which clients may choose, is taken.
    """
    try:
        row = await connection.fetchrow(
            _SQL["insert"],
            message_id,
            thread_id,
            account_id,
            run_number,
            agent_run_id,
            thread_run_id,
            type,
            is_llm_message,
            jsonb(content),
            jsonb(metadata or {}),
            *(covers or (None, None)),
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "messages_pkey":
            raise
        raise ConflictError(f"message {str(message_id)!r} already exists") from error
    assert row is not None, "INSERT ... SELECT of an aggregate returns exactly one row"  # noqa: S101
    return message_of(row)


async def replace(connection: Connection, *, message_id: UUID, content: Json, metadata: Json) -> None:
    """Write what an open message of the caller's run has become."""
    await connection.execute(_SQL["replace"], message_id, jsonb(content), jsonb(metadata))


async def charge(connection: Connection, *, message_id: UUID, charge: Json) -> None:
    """Write what an open message of the caller's run is charged with."""
    await connection.execute(_SQL["charge"], message_id, jsonb(charge))


async def content(connection: Connection, *, message_id: UUID, thread_id: UUID, account_id: str) -> Json | None:
    """What one message of the thread says; ``None`` if the thread has no such message."""
    text: str | None = await connection.fetchval(_SQL["content"], message_id, thread_id, account_id)
    return None if text is None else json.loads(text)


async def turns(connection: Connection, *, thread_id: UUID, run_number: int, agent_run_id: UUID) -> tuple[int, int]:
    """How often the model has answered in a run, and how many of its last answers were cut off at their length."""
    row = await connection.fetchrow(_SQL["turns"], thread_id, run_number, agent_run_id)
    return (0, 0) if row is None else (row["turns"], row["cut"])


@dataclass(frozen=True, kw_only=True)
class LastOfRun:
    """What a run has come to: its last message, and the assistant's message that this is, or is the result of."""

    type: MessageType
    metadata: Json
    assistant_message_id: UUID


async def last_of_run(
    connection: Connection, *, thread_id: UUID, run_number: int, agent_run_id: UUID
) -> LastOfRun | None:
    """The run's last message, its own input included; ``None`` if it has none."""
    row = await connection.fetchrow(_SQL["last_of_run"], thread_id, run_number, agent_run_id)
    if row is None:
        return None
    return LastOfRun(
        type=row["type"],
        metadata=json.loads(row["metadata"]),
        assistant_message_id=row["assistant_message_id"],
    )


async def page(
    connection: Connection, *, thread_id: UUID, account_id: str, limit: int, offset: int = 0
) -> list[Message]:
    """A page of the thread's messages, oldest first; it ends early where it would become too large for an answer."""
    return [
        message_of(row)
        for row in await connection.fetch(_SQL["list"], thread_id, account_id, limit, offset, LARGEST_PAGE_BYTES)
    ]
