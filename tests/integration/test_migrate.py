"""Migrations on a real database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from shared.errors import MigrationError
from shared.migrate import migrate, migrations
from tests.integration.databases import Database

FILES = [migration.name for migration in migrations()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations of the test's own."""
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one ();")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two ();")
    return tmp_path


async def _tables(database: Database) -> set[str]:
    rows = await database.connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows} - {"schema_migrations"}


async def test_the_projects_files_are_applied_in_order_and_once(empty_database: Database) -> None:
    assert await migrate(empty_database.connection, lease_s=30) == FILES
    assert {"accounts", "threads", "agent_runs", "messages"} <= await _tables(empty_database)
    assert await migrate(empty_database.connection, lease_s=30) == []


async def test_what_grows_with_use_is_not_written_by_a_migration(empty_database: Database, tmp_path: Path) -> None:
    """Their tables are locked for that long: a run's holder would lose its lease."""
    for migration in migrations():
        if migration.name < "0016":
            (tmp_path / migration.name).write_text(migration.sql)
    await migrate(empty_database.connection, lease_s=30, folder=tmp_path)
    await empty_database.connection.execute(
        """
        INSERT INTO accounts VALUES ('account');
        INSERT INTO threads (thread_id, account_id, is_public, reserved_seq)
        VALUES (gen_random_uuid(), 'account', true, 10);
        INSERT INTO agent_runs (agent_run_id, thread_id, account_id, number, assistant_id, dispatched_at)
        SELECT gen_random_uuid(), thread_id, account_id, 1, 'agent', now() FROM threads;
        INSERT INTO thread_events (thread_id, agent_run_id, channel, data, timestamp_ms)
        SELECT thread_id, agent_run_id, 'custom', '{}', 0 FROM agent_runs
        """
    )

    async def written() -> list[asyncpg.Record]:
        rows = await empty_database.connection.fetch(
            """
            SELECT tableoid::regclass, xmin, ctid FROM threads
            UNION ALL SELECT tableoid::regclass, xmin, ctid FROM agent_runs
            UNION ALL SELECT tableoid::regclass, xmin, ctid FROM thread_events
            """
        )
        files = "SELECT pg_relation_filenode(oid), relname FROM pg_class WHERE relkind = 'r' AND relname = ANY ($1)"
        tables = ["threads", "agent_runs", "thread_events", "messages"]
        return rows + await empty_database.connection.fetch(files + " ORDER BY relname", tables)

    before = await written()
    assert await migrate(empty_database.connection, lease_s=30) == [name for name in FILES if name >= "0016"]
    assert await written() == before


async def test_two_who_migrate_at_once_apply_each_file_once(empty_database: Database) -> None:
    others = [await empty_database.connect() for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection, lease_s=30) for connection in others))
    assert sorted(applied, key=len) == [[], [], [], FILES]
    for connection in others:
        await connection.close()


async def test_a_new_file_is_applied_alone(empty_database: Database, folder: Path) -> None:
    await migrate(empty_database.connection, lease_s=30, folder=folder)
    (folder / "0003_three.sql").write_text("CREATE TABLE three ();")
    assert await migrate(empty_database.connection, lease_s=30, folder=folder) == ["0003_three.sql"]
    assert await _tables(empty_database) == {"one", "two", "three"}


async def test_a_file_that_was_changed_after_it_had_been_applied_is_refused(
    empty_database: Database, folder: Path
) -> None:
    await migrate(empty_database.connection, lease_s=30, folder=folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE another ();")
    with pytest.raises(MigrationError, match=r"'0001_one\.sql' was changed"):
        await migrate(empty_database.connection, lease_s=30, folder=folder)
    assert await _tables(empty_database) == {"one", "two"}


async def test_a_file_that_is_gone_is_refused(empty_database: Database, folder: Path) -> None:
    await migrate(empty_database.connection, lease_s=30, folder=folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"'0002_two.sql'.*its file is gone"):
        await migrate(empty_database.connection, lease_s=30, folder=folder)


async def test_a_file_that_fails_leaves_nothing_of_itself_and_no_lock(empty_database: Database, folder: Path) -> None:
    broken = folder / "0002_two.sql"
    broken.write_text("CREATE TABLE two (); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database.connection, lease_s=30, folder=folder)
    assert await _tables(empty_database) == {"one"}

    broken.write_text("CREATE TABLE two ();")
    another = await empty_database.connect()
    assert await migrate(another, lease_s=30, folder=folder) == ["0002_two.sql"]
    await another.close()


async def test_the_roles_limits_are_a_third_of_the_lease(empty_database: Database) -> None:
    await migrate(empty_database.connection, lease_s=30)
    await migrate(empty_database.connection, lease_s=5)
    later = await empty_database.connect()
    limits = {
        name: await later.fetchval(f"SHOW {name}")
        for name in ("lock_timeout", "idle_in_transaction_session_timeout", "jit")
    }
    await later.close()
    assert limits == {"lock_timeout": "1667ms", "idle_in_transaction_session_timeout": "1667ms", "jit": "off"}
