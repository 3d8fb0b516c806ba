"""Process groups of this LocalStack: each worker leads one, and all of them end with LocalStack."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from suna_localstack.compute import runtime


class ProcessGroups:
    """Starts processes in groups of their own, and has the reaper kill them should LocalStack be killed."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._reaper: subprocess.Popen[bytes] | None = None

    async def start(
        self, command: list[str], *, environment: dict[str, str], folder: Path, output: int
    ) -> asyncio.subprocess.Process:
        """Start a process as leader of a new group; both its outputs go to the file descriptor ``output``."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        self._groups.add(process.pid)
        self._tell_reaper(f"+{process.pid}\n")
        return process

    def kill(self, group: int) -> None:
        """Kill a group's processes, also those its leader has started and left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        if group in self._groups:
            self._groups.discard(group)
            self._tell_reaper(f"-{group}\n")

    def kill_all(self) -> None:
        for group in list(self._groups):
            self.kill(group)
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            self._reaper.wait()
            self._reaper = None

    def _tell_reaper(self, line: str) -> None:
        if self._reaper is None:
            program = Path(__file__).with_name("reaper.py")
            self._reaper = subprocess.Popen(
                [runtime.interpreter(), "-I", "-S", program],
                stdin=subprocess.PIPE,
                env={name: os.environ[name] for name in ("SUNA_STACK_ID",) if name in os.environ},
                start_new_session=True,
            )
        assert self._reaper.stdin is not None  # noqa: S101 - it is a pipe
        self._reaper.stdin.write(line.encode())
        self._reaper.stdin.flush()


GROUPS = ProcessGroups()
