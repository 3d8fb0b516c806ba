"""Child processes that never outlive their parent."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_WRAPPER = Path(__file__).with_name("exec_child.py")
_ROTATE_BYTES = 20 * 1024 * 1024


class ChildDied(RuntimeError):
    """A child process ended while it was expected to run; the message names it, its exit code and its log."""


@dataclass(frozen=True)
class Command:
    """What to start and how to end it.

    ``death_signal`` is what the kernel sends to the child when the supervisor dies; ``stop_signal`` asks it to end in
    an orderly way, ``stop_timeout_s`` later its whole process group is killed.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str]
    cwd: Path | None = None
    user: str | None = None
    death_signal: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0


def open_log(path: Path) -> int:
    """Open a log file for appending; a file over 20 MB is moved to ``<name>.1`` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _ROTATE_BYTES:
            path.replace(path.with_suffix(path.suffix + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


@dataclass
class Child:
    """A running child process: leader of its own session, so that its descendants can be signalled with it.

    Start children from the main thread only: the kernel's parent-death signal follows the *thread* that forked.
    """

    command: Command
    process: asyncio.subprocess.Process
    created: float
    stopping: bool = field(default=False)

    @classmethod
    async def start(cls, command: Command) -> "Child":
        wrapper = [sys.executable, "-I", "-S", str(_WRAPPER), "--death-signal", str(int(command.death_signal))]
        wrapper += ["--parent", str(os.getpid())]
        if command.user:
            wrapper += ["--user", command.user]
        log = open_log(command.log)
        try:
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                "--",
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(command.env),
                cwd=command.cwd,
                start_new_session=True,
            )
        finally:
            os.close(log)
        try:
            created = psutil.Process(process.pid).create_time()
        except psutil.NoSuchProcess:
            created = 0.0
        return cls(command, process, created)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def died(self) -> ChildDied:
        """The error that says how this child ended."""
        code = self.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return ChildDied(f"{self.command.name} stopped ({how}); see {self.command.log}")

    async def ready(self, probe: Callable[[], Awaitable[bool]], timeout_s: float, interval_s: float = 0.05) -> None:
        """Wait until ``probe`` says yes.

        Raises:
            ChildDied: the process ended first.
            TimeoutError: it runs but is not ready after ``timeout_s`` seconds; the message names its log.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.alive:
            if await probe():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{self.command.name} is not ready after {timeout_s:.0f} s; see {self.command.log}")
            await asyncio.sleep(interval_s)
        raise self.died()

    async def stop(self) -> None:
        """End the child and everything in its session; returns when it is gone."""
        self.stopping = True
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.command.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), self.command.stop_timeout_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.process.wait()
