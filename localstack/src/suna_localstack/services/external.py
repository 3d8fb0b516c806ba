"""The user's own PostgreSQL or Redis, checked before anything is started."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

_TIMEOUT_S = 5
# The functions' code has to be imported, too.
_CHECK_TIMEOUT_S = 60


class ExternalServiceUnusable(RuntimeError):
    """A URL given by the user does not work; the message is one line and says what to do."""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def redacted(url: str) -> str:
    """``url`` without its password, for messages."""
    try:
        parts = urlsplit(url)
        return url.replace(f":{parts.password}@", ":***@") if parts.password else url
    except ValueError:
        return "(not a URL)"


def check_database(url: str) -> None:
    """Connect to ``url`` (``postgresql://user:password@host:port/database``) and run one query.

    Raises:
        ExternalServiceUnusable: unreachable, wrong password, no such database, not a PostgreSQL URL.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} is no PostgreSQL URL: write postgresql://user:password@host:port/database, "
            "or unset it to use the embedded server"
        )
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and (parts.port or True)
    except ValueError:
        complete = False
    if not complete:
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} lacks a user, host, port or database name: "
            "write postgresql://user:password@host:port/database"
        )
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise ExternalServiceUnusable(
            f"DATABASE_URL={redacted(url)} does not work ({_first_line(error)}): correct it, or unset it to use the "
            "embedded server"
        ) from error


def check_redis(url: str, *, root: Path, python: Path) -> bool:
    """Use the Redis at ``url`` as the functions do, by their own code; whether it is a cluster.

    Args:
        url: of a cluster or of an ordinary Redis.
        root: the project's folder.
        python: of the environment in which the functions' code can be imported.

    Raises:
        ExternalServiceUnusable: unreachable, wrong password, read-only, too old, lacks a permission, not a Redis URL.
    """
    if not url.startswith(("redis://", "rediss://")):
        raise ExternalServiceUnusable(
            f"REDIS_URL={redacted(url)} is no Redis URL: write redis://[user:password@]host:port/0, or unset it"
        )
    try:
        checked = subprocess.run(
            [str(python), "-m", "scripts.redis_check"],
            env={"PATH": os.environ.get("PATH", os.defpath), "REDIS_URL": url},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=_CHECK_TIMEOUT_S,
            check=False,
        )
        said = (checked.stdout if checked.returncode == 0 else checked.stderr).strip().splitlines()
        usable, last = checked.returncode == 0, said[-1] if said else "nothing was said"
    except subprocess.TimeoutExpired:
        usable, last = False, f"has not answered within {_CHECK_TIMEOUT_S} s"
    if not usable:
        raise ExternalServiceUnusable(
            f"REDIS_URL={redacted(url)} {last}: correct it, or unset it to use the embedded server"
        )
    return last == "cluster"
