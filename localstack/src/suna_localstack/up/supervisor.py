"""The long-lived process: boots the stack, restarts servers that die, ends everything when told to."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections import deque
from typing import cast

from suna_localstack.services.postgres import PostgresStateInvalid
from suna_localstack.services.process import ChildDied
from suna_localstack.services.redis_install import RedisCannotBeBuilt
from suna_localstack.up import synthesis
from suna_localstack.up.boot import Boot
from suna_localstack.up.errors import StackError
from suna_localstack.up.files import try_lock, write_json, write_private
from suna_localstack.up.folders import Folders
from suna_localstack.up.processes import MARK, end_leftovers, identity, marked, record
from suna_localstack.up.progress import Progress
from suna_localstack.up.provider import choose
from suna_localstack.up.stack import Part, Stack
from suna_localstack.up.surroundings import check_folder, check_wishes, child_environment, find_node, settings

_RESTARTS = 5
_RESTART_WINDOW_S = 60.0
# The rest first: the functions' last transactions still find their servers.
_STOP_ORDER = ("localstack", "model", "redis", "postgres")
_EXPECTED = (StackError, ChildDied, PostgresStateInvalid, RedisCannotBeBuilt, OSError)


def first_cause(error: BaseException) -> BaseException:
    """The first real error inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return error


class Supervisor:
    """Owns the children of one stack."""

    def __init__(self, folders: Folders, progress: Progress) -> None:
        self._folders = folders
        self._progress = progress
        self._stack_id = uuid.uuid4().hex
        self._parts: dict[str, Part] = {}
        self._stack: Stack | None = None
        self._stop = asyncio.Event()
        self._failure: str | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._boot: Boot | None = None
        self._restarts: dict[str, deque[float]] = {}

    async def run(self, *, until_eof: bool) -> int:
        """Boot and serve until a signal, or until standard input ends; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if until_eof:
            await self._stop_at_end_of_input()
        started = time.monotonic()
        try:
            if not await self._boot_or_stop():
                self._failure = "the start was interrupted"
                return 130
            self._progress.ready(time.monotonic() - started)
            self._progress.close()
            await self._stop.wait()
        except Exception as error:
            cause = first_cause(error)
            self._failure = str(cause) if isinstance(cause, _EXPECTED) else f"{type(cause).__name__}: {cause}"
            if not isinstance(cause, _EXPECTED):
                raise
        finally:
            await self._end()
            if self._failure:
                self._log(f"failed: {self._failure}")
                self._progress.failed(self._failure)
            self._progress.close()
        return 1 if self._failure else 0

    async def _stop_at_end_of_input(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

        async def wait() -> None:
            await reader.read()
            self._stop.set()

        self._keep(asyncio.create_task(wait()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _boot_or_stop(self) -> bool:
        check_folder(self._folders)
        end_leftovers(self._folders)
        record(self._folders, self._stack_id)
        wishes = check_wishes(self._folders)
        choose(settings(self._folders), "")
        if synthesis.is_needed(self._folders):
            find_node(self._folders)
        self._boot = Boot(
            folders=self._folders,
            stack_id=self._stack_id,
            wishes=wishes,
            env={**child_environment(), MARK: self._stack_id},
            progress=self._progress,
            started=self._register,
        )
        boot = asyncio.create_task(self._boot.run())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({boot, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not boot.done():
            boot.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await boot
            return False
        self._stack = boot.result()
        self._publish()
        return not self._stop.is_set()

    def _register(self, part: Part) -> None:
        self._parts[part.name] = part
        self._publish()
        self._keep(asyncio.create_task(self._watch(part)))

    def _publish(self) -> None:
        processes = [
            {"name": part.name, "port": part.port, **identity(part.child.pid)}
            for part in self._parts.values()
            if part.child.alive
        ]
        record(self._folders, self._stack_id, processes)
        if self._stack is not None:
            write_json(self._folders.stack_file, self._stack.description(self._folders, processes))
            write_private(self._folders.env_file, f"BASE={self._stack.base_url}\nTOKEN={self._stack.token}\n")

    async def _watch(self, part: Part) -> None:
        """Restart a server that died, on its port; LocalStack's state dies with it, and so the stack does."""
        await part.child.process.wait()
        if part.child.stopping or self._stop.is_set():
            return
        self._log(str(part.child.died()))
        boot = self._boot
        restarts = self._restarts.setdefault(part.name, deque(maxlen=_RESTARTS))
        restart = boot and {
            "postgres": boot.restart_postgres,
            "redis": boot.restart_redis,
            "model": boot.restart_model,
        }.get(part.name)
        if restart is None or self._stack is None or self._too_many(restarts):
            self._failure = str(part.child.died())
            self._stop.set()
            return
        try:
            await restart(part.port)
            self._log(f"{part.name} restarted on port {part.port}")
        except _EXPECTED as error:
            self._failure = f"{part.child.died()}; its restart failed: {error}"
            self._stop.set()

    @staticmethod
    def _too_many(restarts: deque[float]) -> bool:
        now = time.monotonic()
        full = len(restarts) == restarts.maxlen and now - restarts[0] < _RESTART_WINDOW_S
        restarts.append(now)
        return full

    async def _end(self) -> None:
        self._stop.set()
        self._folders.stack_file.unlink(missing_ok=True)
        self._folders.env_file.unlink(missing_ok=True)
        names = sorted(self._parts, key=lambda name: _STOP_ORDER.index(name) if name in _STOP_ORDER else 0)
        for name in names:
            await self._parts[name].child.stop()
        for task in list(self._watchers):
            task.cancel()
        for process in marked(self._stack_id):  # whatever a child has started and not ended itself
            with contextlib.suppress(Exception):
                process.kill()
        self._folders.processes_file.unlink(missing_ok=True)

    @staticmethod
    def _log(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201 - the supervisor's log


def supervise(folders: Folders, *, progress_fd: int | None, until_eof: bool) -> int:
    """Run the supervisor in this process; returns its exit code."""
    progress = Progress(progress_fd)
    try:
        lock = try_lock(folders.state / "lock")
    except OSError as error:
        progress.failed(
            f"cannot write to {folders.private} ({error.strerror}): make it writable, or set SUNA_LOCAL_DIR"
        )
        return 1
    if lock is None:
        progress.failed(f"another start or stop of the stack in {folders.private} is under way: wait for it")
        return 1
    try:
        return asyncio.run(Supervisor(folders, progress).run(until_eof=until_eof))
    finally:
        os.close(lock)
