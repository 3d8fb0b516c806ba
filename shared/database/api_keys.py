"""API keys in PostgreSQL, without their secrets."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.database import holdings
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import Scope
from shared.errors import NotFoundError

_SQL = queries("api_keys")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key: what it may do, and until when. ``last_used_at`` is exact to a minute or two."""

    key_id: UUID
    account_id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def _api_key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        account_id=row["account_id"],
        name=row["name"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )


async def create(
    connection: Connection,
    *,
    key_id: UUID,
    account_id: str,
    sha256: bytes,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime | None,
) -> ApiKey:
    """A new key. The caller holds the account's row lock.

    Of keys that are good no more the oldest are forgotten, beyond as many as may be good.

    Raises:
        ConflictError: the account has as many good keys as its plan allows.
    """
    row = await connection.fetchrow(_SQL["create"], key_id, account_id, sha256, name, sorted(scopes), expires_at)
    assert row is not None  # noqa: S101 - an INSERT of one row returns it
    most = await holdings.admit(connection, "api_keys", account_id=account_id)
    if most is not None:
        await connection.execute(_SQL["forget"], account_id, most)
    return _api_key(row)


async def page(connection: Connection, *, account_id: str, limit: int, offset: int) -> list[ApiKey]:
    """The account's keys, newest first, also those that are good no more."""
    return [_api_key(row) for row in await connection.fetch(_SQL["page"], account_id, limit, offset)]


async def get(connection: Connection, *, key_id: UUID, account_id: str) -> ApiKey:
    """One key, as it is.

    Raises:
        NotFoundError: there is none of that id in the account.
    """
    row = await connection.fetchrow(_SQL["get"], key_id, account_id)
    if row is None:
        raise NotFoundError(f"API key {str(key_id)!r} not found")
    return _api_key(row)


async def revoke(connection: Connection, *, key_id: UUID, account_id: str) -> None:
    """Have the key be good no more. Idempotent.

    Raises:
        NotFoundError: there is none of that id in the account.
    """
    if await connection.fetchval(_SQL["revoke"], key_id, account_id) is None:
        raise NotFoundError(f"API key {str(key_id)!r} not found")


async def use(connection: Connection, *, sha256: bytes) -> ApiKey | None:
    """The key of a secret with this SHA-256, whatever has become of it; notes that it was used."""
    row = await connection.fetchrow(_SQL["use"], sha256)
    return None if row is None else _api_key(row)
