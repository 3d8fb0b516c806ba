"""Executions of tools in PostgreSQL: begun before the tool, finished after it, answered when the model can see it."""

import json
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Json
from shared.storable import jsonb

_SQL = queries("tool_executions")

ExecutionStatus = Literal["pending", "awaiting", "started", "finished"]


@dataclass(frozen=True, kw_only=True)
class ToolExecution:
    """One call of a tool. ``result``: ``{"success", "output"}`` once it is finished."""

    agent_run_id: UUID
    call_id: str
    assistant_message_id: UUID
    run_number: int
    call_index: int
    name: str
    arguments: Json
    form: Literal["native", "xml"]
    status: ExecutionStatus
    result: Json | None


@dataclass(frozen=True, kw_only=True)
class Awaiting:
    """A call that waits for somebody's approval."""

    call_id: str
    name: str
    arguments: Json


async def begin(connection: Connection, execution: ToolExecution, *, thread_id: UUID, account_id: str) -> None:
    """Record a call that is about to start, or that waits for approval."""
    await connection.execute(
        _SQL["begin"],
        execution.agent_run_id,
        execution.call_id,
        thread_id,
        account_id,
        execution.assistant_message_id,
        execution.call_index,
        execution.name,
        jsonb(execution.arguments),
        execution.form,
        execution.status,
    )


async def start(connection: Connection, *, assistant_message_id: UUID, call_id: str) -> bool:
    """A call that was pending or awaiting starts; False if it is neither (any more)."""
    return await connection.fetchval(_SQL["start"], assistant_message_id, call_id) is not None


async def finish(connection: Connection, *, assistant_message_id: UUID, call_id: str, result: Json) -> bool:
    """Record a call's result; False if it has one already, which stands."""
    recorded = await connection.fetchval(_SQL["finish"], assistant_message_id, call_id, jsonb(result))
    return recorded is not None


async def answered(connection: Connection, *, assistant_message_id: UUID, call_id: str) -> None:
    """Note, in the transaction that inserts it, that the result stands among the messages."""
    await connection.execute(_SQL["answered"], assistant_message_id, call_id)


async def unanswered(connection: Connection, *, thread_id: UUID, account_id: str) -> list[ToolExecution]:
    """The thread's calls whose results do not stand among its messages yet, in the order in which they belong there."""
    return [_execution(row) for row in await connection.fetch(_SQL["unanswered"], thread_id, account_id)]


async def of_message(connection: Connection, *, assistant_message_id: UUID) -> list[ToolExecution]:
    """The calls of one message."""
    return [_execution(row) for row in await connection.fetch(_SQL["of_message"], assistant_message_id)]


def _execution(row: asyncpg.Record) -> ToolExecution:
    return ToolExecution(
        agent_run_id=row["agent_run_id"],
        call_id=row["call_id"],
        assistant_message_id=row["assistant_message_id"],
        run_number=row["run_number"],
        call_index=row["call_index"],
        name=row["name"],
        arguments=json.loads(row["arguments"]),
        form=row["form"],
        status=row["status"],
        result=None if row["result"] is None else json.loads(row["result"]),
    )


async def awaiting(connection: Connection, *, thread_id: UUID, account_id: str) -> list[Awaiting]:
    """The thread's calls that wait for approval."""
    rows = await connection.fetch(_SQL["awaiting"], thread_id, account_id)
    return [Awaiting(call_id=row["call_id"], name=row["name"], arguments=json.loads(row["arguments"])) for row in rows]
