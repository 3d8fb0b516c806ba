"""What the context of a run is built from: places, stored token counts, summaries. Every statement is scoped."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Claim, Json, MessageType
from shared.storable import jsonb

_SQL = queries("context")

type Place = tuple[int, int]

# Before every message of a thread, which has its first run's number 1 and position 0.
BEGINNING: Place = (-1, -1)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose context: run ``number`` of a thread of an account."""

    thread_id: UUID
    account_id: str
    agent_run_id: UUID
    number: int

    @classmethod
    def of(cls, claim: Claim) -> "Scope":
        """The claimed run's."""
        return cls(
            thread_id=claim.thread_id,
            account_id=claim.account_id,
            agent_run_id=claim.agent_run_id,
            number=claim.number,
        )


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Which stored counts are valid: an encoding, and the version of what counts and compresses."""

    encoding: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A message's place and size, without its content. Sizes are ``None`` until it has been counted.

    ``own``: it was recorded with, or written by, the run whose context is built.
    """

    message_id: UUID
    type: MessageType
    place: Place
    own: bool
    full: int | None
    compressed: int | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The newest valid summary (none: ``summary_id`` is ``None``), and the run's last request for one.

    ``requested_ago_s``: ``None`` if it has not asked, or has got a summary since.
    """

    summary_id: UUID | None
    covers: Place
    tokens: int | None
    requested_ago_s: float | None
    overflow: bool


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A message's count, and its compressed form if that differs."""

    message_id: UUID
    full: int
    compressed: int
    form: Json | None


@dataclass(frozen=True, kw_only=True)
class NewSummary:
    """A summary to be written. ``covers``: the place of the last message it stands for."""

    message_id: UUID
    content: Json
    metadata: Json
    covers: Place
    follows: UUID | None


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run that has ended, as far as a summary prepared after it needs to know it."""

    scope: Scope
    config: Json


def _row(row: asyncpg.Record, scope: Scope) -> Row:
    return Row(
        message_id=row["message_id"],
        type=row["type"],
        place=(row["run_number"], row["position"]),
        own=row["agent_run_id"] == scope.agent_run_id,
        full=row["full_tokens"],
        compressed=row["compressed_tokens"],
    )


async def standing(connection: Connection, scope: Scope, counter: Counter) -> Standing:
    """Where the run's context begins."""
    row = await connection.fetchrow(
        _SQL["newest_summary"],
        scope.thread_id,
        scope.account_id,
        scope.number,
        scope.agent_run_id,
        counter.encoding,
        counter.version,
    )
    assert row is not None, "a LEFT JOIN of one row returns it"  # noqa: S101
    summary_id = row["message_id"]
    pending = row["requested"] and row["requested_after"] == summary_id
    return Standing(
        summary_id=summary_id,
        covers=BEGINNING if summary_id is None else (row["covers_run_number"], row["covers_position"]),
        tokens=row["full_tokens"],
        requested_ago_s=row["requested_ago_s"] if pending else None,
        overflow=bool(pending and row["overflow"]),
    )


async def page(
    connection: Connection, scope: Scope, counter: Counter, *, after: Place, before: Place, limit: int, tokens: int
) -> list[Row]:
    """Up to ``limit`` messages between two places, newest first, as far as ``tokens`` reach and the first one more."""
    rows = await connection.fetch(
        _SQL["page"],
        scope.thread_id,
        scope.account_id,
        *after,
        *before,
        counter.encoding,
        counter.version,
        limit,
        tokens,
    )
    return [_row(row, scope) for row in rows]


async def question(connection: Connection, scope: Scope, counter: Counter, *, before: Place) -> list[Row]:
    """The messages that the run was started with and that are older than ``before``, oldest first (at most 20)."""
    rows = await connection.fetch(
        _SQL["question"],
        scope.thread_id,
        scope.account_id,
        scope.agent_run_id,
        scope.number,
        *before,
        counter.encoding,
        counter.version,
    )
    return [_row(row, scope) for row in reversed(rows)]


async def count_after(connection: Connection, scope: Scope, place: Place) -> int:
    """How many messages the run's context would hold if all of them fitted."""
    return await connection.fetchval(_SQL["count_after"], scope.thread_id, scope.account_id, *place, scope.number)


async def contents(
    connection: Connection, scope: Scope, counter: Counter, wanted: Sequence[tuple[UUID, bool]]
) -> list[tuple[UUID, MessageType, Json]]:
    """Messages by id, in this order, each whole (``True``) or compressed."""
    rows = await connection.fetch(
        _SQL["contents"],
        scope.thread_id,
        scope.account_id,
        [message_id for message_id, _ in wanted],
        [whole for _, whole in wanted],
        counter.encoding,
        counter.version,
    )
    return [(row["message_id"], row["type"], json.loads(row["content"])) for row in rows]


async def keep_counts(connection: Connection, counter: Counter, counted: Sequence[Counted]) -> None:
    """Store counts; idempotent, and nothing for messages that are gone."""
    await connection.execute(
        _SQL["keep_counts"],
        [one.message_id for one in counted],
        [one.full for one in counted],
        [one.compressed for one in counted],
        [None if one.form is None else jsonb(one.form) for one in counted],
        counter.encoding,
        counter.version,
    )


async def request_summary(connection: Connection, scope: Scope, *, newest_summary: UUID | None, overflow: bool) -> None:
    """Note that the run waits for a summary that carries on ``newest_summary``."""
    await connection.execute(_SQL["request_summary"], scope.agent_run_id, newest_summary, overflow)


async def fingerprint(connection: Connection, scope: Scope, *, after: Place, up_to: Place) -> str | None:
    """Of the messages between two places, ``up_to`` included; ``None`` if there are none."""
    return await connection.fetchval(_SQL["fingerprint"], scope.thread_id, scope.account_id, *after, *up_to)


async def insert_summary(connection: Connection, scope: Scope, summary: NewSummary) -> bool:
    """Write a summary; False if another one stands in its place."""
    written = await connection.fetchval(
        _SQL["insert_summary"],
        summary.message_id,
        scope.thread_id,
        scope.account_id,
        scope.number,
        scope.agent_run_id,
        jsonb(summary.content),
        jsonb(summary.metadata),
        *summary.covers,
        summary.follows,
    )
    return written is not None


async def ended_run(
    connection: Connection, *, agent_run_id: UUID, account_id: str, handover_no: int
) -> EndedRun | None:
    """The run, if it has ended in this very hand-over."""
    row = await connection.fetchrow(_SQL["ended_run"], agent_run_id, account_id, handover_no)
    if row is None:
        return None
    scope = Scope(thread_id=row["thread_id"], account_id=account_id, agent_run_id=agent_run_id, number=row["number"])
    return EndedRun(scope=scope, config=json.loads(row["config"]))
