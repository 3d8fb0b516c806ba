"""Assistants and their versions in PostgreSQL, and the catalogue of what they may use."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from shared.agent_config import AgentConfig
from shared.database import holdings
from shared.database.pages import LARGEST_PAGE_BYTES, Page
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import LARGEST_METADATA_BYTES, Json
from shared.errors import InvalidRequestError, NotFoundError
from shared.storable import jsonb

_SQL = queries("assistants")

SortBy = Literal["assistant_id", "name", "created_at", "updated_at"]
CatalogueKind = Literal["tools", "models"]


@dataclass(frozen=True, kw_only=True)
class Assistant:
    """An assistant in one of its versions."""

    assistant_id: UUID
    version: int
    name: str
    description: str | None
    config: AgentConfig
    metadata: Json
    created_at: datetime
    updated_at: datetime


def _assistant(row: asyncpg.Record) -> Assistant:
    return Assistant(
        assistant_id=row["assistant_id"],
        version=row["version"],
        name=row["name"],
        description=row["description"],
        config=AgentConfig.model_validate_json(row["config"]),
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _missing(assistant_id: UUID) -> NotFoundError:
    return NotFoundError(f"assistant {str(assistant_id)!r} not found")


async def create(
    connection: Connection,
    *,
    assistant_id: UUID,
    account_id: str,
    name: str,
    description: str | None,
    config: AgentConfig,
    metadata: Json,
) -> bool:
    """Create an assistant in version 1; False if the id is taken, by whomever.

    The caller holds the account's row lock.

    Raises:
        ConflictError: the account has as many assistants, or bytes, as its plan allows.
    """
    if await connection.fetchval(_SQL["insert"], assistant_id, account_id, jsonb(metadata)) is None:
        return False
    await holdings.admit(connection, "assistants", account_id=account_id)
    await connection.execute(
        _SQL["insert_version"],
        assistant_id,
        1,
        name,
        description,
        jsonb(config.model_dump(mode="json", exclude_unset=True)),
    )
    await holdings.admit_bytes(connection, account_id=account_id)
    return True


async def get(connection: Connection, *, assistant_id: UUID, account_id: str, version: int | None = None) -> Assistant:
    """The assistant in ``version``, or the one that runs get.

    Raises:
        NotFoundError: the account has no such assistant, or it has no such version.
    """
    row = await connection.fetchrow(_SQL["get"], assistant_id, account_id, version)
    if row is None:
        raise _missing(assistant_id)
    return _assistant(row)


async def search(
    connection: Connection,
    *,
    account_id: str,
    metadata: Json,
    name: str | None,
    limit: int,
    offset: int,
    sort_by: SortBy = "created_at",
    descending: bool = True,
) -> Page[Assistant]:
    """The account's assistants that contain ``metadata`` and have ``name`` in theirs, newest first.

    Fewer than ``limit`` where they are large.
    """
    found = (account_id, jsonb(metadata), name, limit + 1, offset)
    if sort_by == "created_at" and descending:
        rows = await connection.fetch(_SQL["search"], *found)
    else:
        rows = await connection.fetch(_SQL["search_sorted"], *found, sort_by, descending)
    return await _page(connection, rows, account_id=account_id, limit=limit, offset=offset)


async def _page(
    connection: Connection,
    rows: Sequence[asyncpg.Record],
    *,
    account_id: str,
    limit: int,
    offset: int,
    by_version: bool = False,
) -> Page[Assistant]:
    """Those of ``rows``, which are of one more than ``limit``, that an answer has room for."""
    ids, versions = ([row[name] for row in rows[:limit]] for name in ("assistant_id", "version"))
    shown = await connection.fetch(_SQL["page"], account_id, ids, versions, LARGEST_PAGE_BYTES, by_version)
    read = shown[-1]["number"] if shown else len(ids)
    return Page([_assistant(row) for row in shown], end=offset + read, is_last=read == len(rows))


async def count(connection: Connection, *, account_id: str, metadata: Json, name: str | None) -> int:
    """How many assistants :func:`search` would find, had it no limit."""
    return await connection.fetchval(_SQL["count"], account_id, jsonb(metadata), name)


async def versions(
    connection: Connection, *, assistant_id: UUID, account_id: str, metadata: Json, limit: int, offset: int
) -> Page[Assistant]:
    """All versions of an assistant, newest first; none if its metadata, which all of them share, lacks ``metadata``.

    Fewer than ``limit`` where they are large.
    """
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        _SQL["versions"], assistant_id, account_id, limit + 1, offset, jsonb(metadata)
    )
    return await _page(connection, rows, account_id=account_id, limit=limit, offset=offset, by_version=True)


async def add_version(
    connection: Connection,
    *,
    assistant_id: UUID,
    account_id: str,
    name: str | None,
    description: str | None,
    change: Callable[[AgentConfig], AgentConfig],
    metadata: Json,
) -> Assistant:
    """A new version, which runs get from now on; what is ``None`` stays as it is. Inside a transaction.

    ``change``: makes its configuration of the newest version's, which nobody else changes meanwhile.

    Raises:
        NotFoundError: the account has no such assistant.
        InvalidRequestError: its metadata would be too large with what is merged into it.
        ConflictError: it has as many versions, or the account as many bytes, as the plan allows.
    """
    if await connection.fetchval(_SQL["lock"], assistant_id, account_id) is None:
        raise _missing(assistant_id)
    newest: int = await connection.fetchval(_SQL["newest"], assistant_id)
    await holdings.admit_version(connection, newest + 1, account_id=account_id)
    present = await get(connection, assistant_id=assistant_id, account_id=account_id)
    await connection.execute(
        _SQL["insert_version"],
        assistant_id,
        newest + 1,
        name or present.name,
        present.description if description is None else description,
        jsonb(change(present.config).model_dump(mode="json", exclude_unset=True)),
    )
    await holdings.admit_bytes(connection, account_id=account_id)
    changes = (newest + 1, jsonb(metadata), LARGEST_METADATA_BYTES)
    if await connection.fetchval(_SQL["set_version"], assistant_id, *changes) is None:
        raise InvalidRequestError("the assistant's metadata would be too large")
    return await get(connection, assistant_id=assistant_id, account_id=account_id)


async def set_version(connection: Connection, *, assistant_id: UUID, account_id: str, version: int) -> Assistant:
    """Have runs get ``version`` from now on. Raises :class:`NotFoundError`. Inside a transaction."""
    await connection.fetchval(_SQL["lock"], assistant_id, account_id)
    await get(connection, assistant_id=assistant_id, account_id=account_id, version=version)
    await connection.execute(_SQL["set_version"], assistant_id, version, "{}", LARGEST_METADATA_BYTES)
    return await get(connection, assistant_id=assistant_id, account_id=account_id)


async def delete(connection: Connection, *, assistant_id: UUID, account_id: str) -> None:
    """Delete an assistant; runs that were recorded with it keep what they were recorded with.

    Raises:
        NotFoundError: the account has no such assistant.
    """
    if await connection.fetchval(_SQL["delete"], assistant_id, account_id) is None:
        raise _missing(assistant_id)


async def catalogue(connection: Connection, kind: CatalogueKind) -> Any:
    """What the runner has said it can do; ``None`` before it has ever started."""
    content: str | None = await connection.fetchval(_SQL["catalogue"], kind)
    return None if content is None else json.loads(content)


async def write_catalogue(connection: Connection, kind: CatalogueKind, content: Any) -> None:
    """Say what the runner can do."""
    await connection.execute(_SQL["write_catalogue"], kind, jsonb(content))
