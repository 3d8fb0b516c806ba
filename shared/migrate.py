"""Migrations: plain SQL files applied in the order of their names, each once, at deploy.

A row of ``schema_migrations`` per applied file holds its SHA-256, so a file that was changed after it had been
applied is an error and not a silent difference between two databases.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shared.database.pool import DirectConnection
from shared.errors import MigrationError

MIGRATIONS = Path(__file__).parent / "migrations"

STATEMENT_TIMEOUT_MS = 15_000

# Any constant will do; it only has to be the same for everybody who migrates this schema.
_ADVISORY_LOCK = 0x53554E41

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_ALTER_ROLE = """
SELECT format('ALTER ROLE CURRENT_USER IN DATABASE %I SET %I = %L', current_database(), $1::text, $2::text)
"""


@dataclass(frozen=True)
class Migration:
    """One file: its name orders it, its hash identifies it."""

    name: str
    sql: str
    sha256: str


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files of ``folder`` in order."""
    return [
        Migration(path.name, sql, hashlib.sha256(sql.encode()).hexdigest())
        for path in sorted(folder.glob("*.sql"))
        for sql in [path.read_text(encoding="utf-8")]
    ]


async def migrate(connection: DirectConnection, *, lease_s: float, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is not applied yet, under an advisory lock, each file in a transaction of its own.

    Returns the names applied. Also sets the role's time limits to a third of the run lease: a statement that waits
    longer for a lock, or a transaction that idles longer, would outlive the lease it was begun under.

    Raises:
        MigrationError: a file that was applied has changed, or is gone.
    """
    applied: list[str] = []
    await connection.execute("SET statement_timeout = 0")
    await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        await connection.execute(_LEDGER)
        known = {row["name"]: row["sha256"] for row in await connection.fetch("SELECT * FROM schema_migrations")}
        files = migrations(folder)
        for name in known.keys() - {file.name for file in files}:
            raise MigrationError(f"migration {name!r} was applied to this database but its file is gone")
        for file in files:
            if known.get(file.name, file.sha256) != file.sha256:
                raise MigrationError(f"migration {file.name!r} was changed after it had been applied: add a new file")
            if file.name in known:
                continue
            async with connection.transaction():
                await connection.execute(file.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", file.name, file.sha256
                )
            applied.append(file.name)
        await _limit_role(connection, limit_ms=round(lease_s * 1000 / 3))
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _ADVISORY_LOCK)
    return applied


async def _limit_role(connection: DirectConnection, *, limit_ms: int) -> None:
    """Set the limits for this role in this database (ALTER ROLE takes no parameters, hence ``format``)."""
    for name, value in {
        "lock_timeout": f"{limit_ms}ms",
        "idle_in_transaction_session_timeout": f"{limit_ms}ms",
        # Below the client's own limit, whose error could be taken for anybody's time-out.
        "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
        # asyncpg would switch it off for its introspection by a session parameter, which pins an RDS Proxy connection.
        "jit": "off",
    }.items():
        statement = await connection.fetchval(
            _ALTER_ROLE,
            name,
            value,
        )
        await connection.execute(statement)
