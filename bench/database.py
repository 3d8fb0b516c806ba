"""A database of a measurement's own, on the server that is there for it."""

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from shared.aws import secrets
from shared.database import pool
from shared.database.pool import DirectConnection, connect_arguments
from shared.migrate import migrate

os.environ["DATABASE_SECRET_ARN"] = SECRET = "bench"  # noqa: S105 - the name that the pool asks for


@asynccontextmanager
async def database() -> AsyncIterator[DirectConnection]:
    """A migrated database of its own on the server of ``DATABASE_URL``, dropped in the end."""
    url = os.environ["DATABASE_URL"]
    name = f"suna_bench_{uuid.uuid4().hex[:12]}"
    administration = await asyncpg.connect(url)
    await administration.execute(f"CREATE DATABASE {name}")
    parts = urlsplit(url)
    # There is no Secrets Manager here: the secret is as good as fetched.
    secrets._fetched[SECRET] = json.dumps(
        {
            "host": parts.hostname,
            "port": parts.port or 5432,
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "dbname": name,
            "sslmode": parse_qs(parts.query).get("sslmode", ["prefer"])[0],
        }
    )
    connection = await asyncpg.connect(**await connect_arguments())
    try:
        await migrate(connection, lease_s=3600)
        yield connection
    finally:
        while pool._pools:
            await pool._pools.pop().close()
        await connection.close()
        await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await administration.close()
