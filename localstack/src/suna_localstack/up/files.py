"""Files that other processes read while we write them, and locks between stacks."""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from suna_localstack.json_types import is_object


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step; only its owner can read it, as tokens and passwords are inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """``write_private`` of ``value`` as JSON."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in ``path``; None if there is no such file or it is cut off."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return value if is_object(value) else None


def try_lock(path: Path) -> int | None:
    """Take the lock file ``path``; None if another process holds it. It is released when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncGenerator[None]:
    """Hold the lock file ``path``, waiting for another stack of this clone if it has it."""
    while (descriptor := try_lock(path)) is None:
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        os.close(descriptor)
