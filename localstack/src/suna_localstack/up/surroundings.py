"""What the machine and the user's environment must offer, checked before anything is started."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suna_localstack.services.external import ExternalServiceUnusable, check_database, check_redis
from suna_localstack.services.ports import free_port, is_free
from suna_localstack.up.errors import StackError
from suna_localstack.up.folders import Folders
from suna_localstack.up.variables import only

_FREE_BYTES = 1024**3


def child_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every child gets: nothing that would change its behaviour (AWS profiles, Python settings), and no proxy
    in front of this machine's own ports."""
    kept = only(environment, "told", "machine")
    local = "127.0.0.1,localhost"
    excepted = environment.get("NO_PROXY") or environment.get("no_proxy")
    kept["NO_PROXY"] = kept["no_proxy"] = f"{excepted},{local}" if excepted else local
    return kept


@dataclass(frozen=True)
class Wishes:
    """What the user set in the environment; None means that the stack brings its own."""

    port: int
    database_url: str | None
    redis_url: str | None


def read_dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines of an ``.env`` file; quotes round the value and a leading ``export`` are dropped."""
    values: dict[str, str] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*", line)
            if match:
                values[match.group(1)] = match.group(2).strip("'\"")
    return values


def settings(folders: Folders) -> dict[str, str]:
    """What is said of the stack: by the environment, over the ``.env`` file of the project, which is not read if
    ``SUNA_NO_DOTENV`` is set."""
    file = {} if os.environ.get("SUNA_NO_DOTENV") else read_dotenv(folders.root / ".env")
    return only({**file, **os.environ}, "applied", "refused")


def servers_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the servers of a stack that is started now keep for as long as it runs."""
    return only(environment, "told")


def _gateway_port(text: str | None) -> int:
    if not text:
        return free_port()
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"PORT={text} is no port: choose a number from 1024 to 65535, or unset it for a free one")
    if not is_free(int(text)):
        raise StackError(f"port {text} is in use: choose another with PORT=..., or unset it for a free one")
    return int(text)


def check_folder(folders: Folders) -> None:
    """Writable, and with room for a database.

    Raises:
        StackError: it is not.
    """
    try:
        for folder in (folders.private, folders.logs, folders.state):
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
    except OSError as error:
        raise StackError(
            f"cannot write to {folders.private} ({error.strerror}): make it writable, or set SUNA_LOCAL_DIR"
        ) from error
    free = shutil.disk_usage(folders.private).free
    if free < _FREE_BYTES:
        raise StackError(f"only {free // 1024**2} MB are free under {folders.private}, 1 GB is needed: free some space")


def check_wishes(folders: Folders) -> Wishes:
    """Check ``PORT``, ``DATABASE_URL`` and ``REDIS_URL``.

    Raises:
        StackError: one of them cannot be used.
    """
    given = settings(folders)
    port = _gateway_port(given.get("PORT"))
    database_url = given.get("DATABASE_URL") or None
    redis_url = given.get("REDIS_URL") or None
    try:
        if database_url:
            check_database(database_url)
        if redis_url:
            check_redis(redis_url, root=folders.root, python=folders.dev_python)
    except ExternalServiceUnusable as error:
        raise StackError(str(error)) from error
    return Wishes(port, database_url, redis_url)


def check_same_servers(given: Mapping[str, str], stack: Mapping[str, Any]) -> None:
    """What a running stack (as in ``stack.json``) cannot take over must be as it is, or not be set.

    Raises:
        StackError: another port, database or Redis is asked for.
    """
    running = {
        "PORT": stack["base_url"].rsplit(":", 1)[1],
        "DATABASE_URL": stack["database_url"],
        "REDIS_URL": stack["redis_url"],
    }
    others = [name for name, value in running.items() if given.get(name) and given[name] != value]
    if others:
        names = " and ".join(others)
        raise StackError(f"the stack is running with another {names}: `make down` first, or unset {names} to use it")


def find_node(folders: Folders) -> Path:
    """The folder of the Node.js that everything of this clone uses, for PATH; installed now if the machine has none.

    Raises:
        StackError: there is none, and it cannot be installed.
    """
    script = folders.root / "scripts" / "find-node.sh"
    done = subprocess.run([script], env=child_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return Path(done.stdout.strip())


def find_uv(folders: Folders) -> str:
    """uv as the Makefile installs it, or the machine's.

    Raises:
        StackError: there is none.
    """
    found = str(folders.uv) if folders.uv.exists() else shutil.which("uv")
    if found is None:
        raise StackError(f"{folders.uv} is missing: start with `make up`, which sets it up")
    return found
