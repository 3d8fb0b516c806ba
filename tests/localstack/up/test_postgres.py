"""The embedded PostgreSQL, as real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from suna_localstack.services.external import ExternalServiceUnusable, check_database
from suna_localstack.services.postgres import PostgresStateInvalid, start_postgres
from tests.localstack.up.commands import alive, eventually

_PARENT = """
import asyncio, sys, pathlib
from suna_localstack.services.postgres import start_postgres
from tests.localstack.up.commands import alive, eventually
async def main():
    folder = pathlib.Path(sys.argv[1])
    server = await start_postgres(folder, log=folder.parent / "postgres.log", marks={})
    print(server.child.pid, server.url, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_serves_version_18_on_loopback_only(tmp_path: Path, children: list) -> None:
    server = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(server.child)

    with psycopg.connect(server.url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        fsync = connection.execute("SHOW fsync").fetchone()
        connections = connection.execute("SHOW max_connections").fetchone()
    listening = {
        entry.laddr.ip
        for entry in psutil.Process(server.child.pid).net_connections("inet")
        if entry.status == psutil.CONN_LISTEN
    }

    assert version is not None
    assert version[0].startswith("18.")
    assert (fsync, connections) == (("on",), ("300",))
    assert listening == {"127.0.0.1"}


async def test_keeps_its_data_over_a_restart_on_another_port(tmp_path: Path, children: list) -> None:
    first = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    with psycopg.connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await first.child.stop()
    assert not alive(first.child.pid)

    second = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(second.child)

    with psycopg.connect(second.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


async def test_dies_with_a_killed_parent_and_recovers_its_data(tmp_path: Path, children: list) -> None:
    argv = [sys.executable, "-c", _PARENT, str(tmp_path / "pg")]
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - killed right here
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    backends = [process.pid for process in psutil.Process(int(pid)).children(recursive=True)]
    assert backends

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    await eventually(lambda: not any(alive(process) for process in [int(pid), *backends]))

    server = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(server.child)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


async def test_starts_although_a_stranger_has_the_recorded_pid(tmp_path: Path, children: list) -> None:
    first = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    await first.child.stop()
    (tmp_path / "pg" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    second = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(second.child)

    check_database(second.url)


async def test_an_interrupted_initdb_is_made_again(tmp_path: Path, children: list) -> None:
    half = tmp_path / "pg" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    server = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(server.child)

    check_database(server.url)


async def test_data_of_another_version_is_refused_with_advice(tmp_path: Path) -> None:
    server = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    await server.child.stop()
    (tmp_path / "pg" / "data" / "PG_VERSION").write_text("16\n")

    with pytest.raises(PostgresStateInvalid, match="was made by PostgreSQL 16, this one is 18: remove"):
        await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})


async def test_a_broken_database_url_is_named_without_its_password(tmp_path: Path, children: list) -> None:
    server = await start_postgres(tmp_path / "pg", log=tmp_path / "pg.log", marks={})
    children.append(server.child)
    password = server.url.split(":")[2].split("@")[0]
    cases = {
        server.url.replace(password, "guess"): "password authentication failed",
        server.url + "_absent": 'database "suna_absent" does not exist',
        "postgresql://a:guess@127.0.0.1:1/b": "Connection refused",
        "mysql://a:guess@127.0.0.1/b": "is no PostgreSQL URL",
        "postgresql://127.0.0.1/b": "lacks a user",
        "postgresql://a:guess@127.0.0.1:port/b": "lacks a user, host, port",
    }

    for url, reason in cases.items():
        with pytest.raises(ExternalServiceUnusable) as raised:
            check_database(url)
        message = str(raised.value)
        assert reason in message
        assert "guess" not in message
        assert password not in message
        assert "\n" not in message
