"""A database of its own for every test, copied from a template that is migrated once."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

import asyncpg

from shared.database.pool import DirectConnection
from shared.domain import ThreadLog
from shared.migrate import migrate

LEASE_S = 30.0


@dataclass(frozen=True)
class Database:
    """One test's database, seen from outside the code under test."""

    url: str
    name: str
    connection: DirectConnection

    def secret(self, *, port: int | None = None) -> str:
        """The database's secret in RDS's shape; ``port``: of something in front of the server."""
        parts = urlsplit(self.url)
        return json.dumps(
            {
                "host": parts.hostname,
                "port": port or parts.port or 5432,
                "username": unquote(parts.username or ""),
                "password": unquote(parts.password or ""),
                "dbname": self.name,
                "sslmode": parse_qs(parts.query).get("sslmode", ["prefer"])[0],
            }
        )

    @property
    def port(self) -> int:
        """The server's."""
        return urlsplit(self.url).port or 5432

    async def connect(self) -> DirectConnection:
        """One more connection."""
        return await asyncpg.connect(self.url, database=self.name)

    async def run(self, agent_run_id: UUID) -> asyncpg.Record:
        """The run's row."""
        row = await self.connection.fetchrow("SELECT * FROM agent_runs WHERE agent_run_id = $1", agent_run_id)
        assert row is not None
        return row

    async def thread(self, thread_id: UUID) -> asyncpg.Record:
        """The thread's row."""
        row = await self.connection.fetchrow("SELECT * FROM threads WHERE thread_id = $1", thread_id)
        assert row is not None
        return row

    async def new_thread(self, account_id: str) -> UUID:
        """A thread without runs."""
        thread_id = uuid4()
        await self.connection.execute("INSERT INTO accounts VALUES ($1) ON CONFLICT DO NOTHING", account_id)
        await self.connection.execute(
            "INSERT INTO threads (thread_id, account_id) VALUES ($1, $2)", thread_id, account_id
        )
        return thread_id

    async def log(self, thread_id: UUID) -> ThreadLog:
        """The thread's event log, as it is now."""
        generation = await self.connection.fetchval("SELECT generation FROM threads WHERE thread_id = $1", thread_id)
        return ThreadLog(thread_id=thread_id, generation=generation)

    async def new_run(self, thread_id: UUID, **columns: str) -> UUID:
        """The thread's next run, queued and due; ``columns``: SQL expressions for others than the defaults."""
        agent_run_id = uuid4()
        await self.connection.execute(
            """
            WITH numbered AS (
                UPDATE threads SET last_run_number = last_run_number + 1 WHERE thread_id = $2
                RETURNING account_id, last_run_number
            )
            INSERT INTO agent_runs (agent_run_id, thread_id, account_id, number, assistant_id, dispatched_at)
            SELECT $1, $2, account_id, last_run_number, 'agent', now() FROM numbered
            """,
            agent_run_id,
            thread_id,
        )
        if columns:
            await self.set_run(agent_run_id, **columns)
        return agent_run_id

    async def set_run(self, agent_run_id: UUID, **columns: str) -> None:
        """Set columns of a run to SQL expressions."""
        changes = ", ".join(f"{name} = {expression}" for name, expression in columns.items())
        await self.connection.execute(f"UPDATE agent_runs SET {changes} WHERE agent_run_id = $1", agent_run_id)  # noqa: S608

    async def expire_lease(self, agent_run_id: UUID) -> None:
        """End the run's lease now, as if its holder had died."""
        await self.set_run(agent_run_id, lease_expires_at="clock_timestamp() - interval '1 s'")

    async def disconnect_all(self) -> int:
        """Have the server end every other connection to this database, as a restart does; returns how many."""
        return await self.connection.fetchval(
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )

    async def waiting_for_a_lock(self) -> int:
        """How many connections wait for a lock."""
        return await self.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )

    async def count(self, table: str) -> int:
        """How many rows there are."""
        return await self.connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608


class DatabaseServer:
    """Makes and drops databases."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def database(self, *, template: str | None = None) -> AsyncIterator[Database]:
        """A new database, empty or a copy of ``template``; dropped in the end, whoever is still connected."""
        name = f"suna_test_{uuid4().hex[:12]}"
        async with self._administration() as administration:
            await administration.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        connection: Any = await asyncpg.connect(self._url, database=name)
        try:
            if template is not None:
                # A database's role settings are not copied with it.
                await migrate(connection, lease_s=LEASE_S)
            yield Database(self._url, name, connection)
        finally:
            await connection.close()
            async with self._administration() as administration:
                await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def template(self) -> AsyncIterator[str]:
        """The name of a migrated database to copy; nobody may be connected to it."""
        name = f"suna_template_{uuid4().hex[:12]}"
        async with self._administration() as administration:
            await administration.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        connection: Any = await asyncpg.connect(self._url, database=name)
        try:
            await migrate(connection, lease_s=LEASE_S)
            # Tests of other things than limits have room.
            await connection.execute(
                "UPDATE plans SET max_unfinished_runs = 1000, requests_per_minute = 1000000, request_burst = 1000000,"
                " max_waits = 1000"
            )
        finally:
            await connection.close()
        yield name
        async with self._administration() as administration:
            await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def _administration(self) -> AsyncIterator[DirectConnection]:
        connection: Any = await asyncpg.connect(self._url, database="postgres")
        try:
            yield connection
        finally:
            await connection.close()
