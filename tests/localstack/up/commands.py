"""The stack's command line, and what processes do meanwhile."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]


def up(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the supervisor's command line on ``folder``, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "suna_localstack.up", *arguments],
        cwd=ROOT,
        env={**os.environ, "SUNA_LOCAL_DIR": str(folder), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


async def eventually(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - states of other processes
            await asyncio.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
