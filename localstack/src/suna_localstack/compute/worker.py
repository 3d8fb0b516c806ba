"""A worker: one process of AWS's runtime client on one function's handler."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suna_localstack.compute.in_worker.suna_breakpoint import MARK
from suna_localstack.compute.outcome import Invocation, Outcome
from suna_localstack.compute.process_groups import GROUPS
from suna_localstack.compute.runtime_api import RuntimeApi

_CHUNK_BYTES = 65536


class WorkerGoneError(Exception):
    """The worker's process has ended before it took the invocation."""


class WorkerExitedError(Exception):
    """The worker's process has ended: {return_code}."""

    def __init__(self, return_code: int) -> None:
        super().__init__(f"The worker's process has ended: {return_code}")
        self.return_code = return_code


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """How a worker is started."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    output: Callable[[bytes], None]
    """Receives what the worker writes to its standard output and error."""


class Worker:
    """Life cycle: ``start``, ``initialise``, ``invoke`` any number of times, ``kill``; it may end at any time."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._api = RuntimeApi()
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._output, self._input = os.pipe()
        self.pid = 0

    async def start(self) -> None:
        address = await self._api.listen()
        environment = self._spec.environment | {"AWS_LAMBDA_RUNTIME_API": address}
        os.set_blocking(self._output, False)
        asyncio.get_running_loop().add_reader(self._output, self._read_output)
        try:
            process = await GROUPS.start(
                self._spec.command, environment=environment, folder=self._spec.folder, output=self._input
            )
        finally:
            os.close(self._input)
        self.pid = process.pid
        self._watch = asyncio.create_task(self._wait_for_exit(process))

    async def initialise(self) -> Outcome | None:
        """Wait until the worker is ready; return the error it reports if the handler cannot be imported.

        Raises
        ------
        WorkerExitedError
            The process ended without a word.
        """
        await asyncio.wait({self._api.initialised, self._exited}, return_when=asyncio.FIRST_COMPLETED)
        if self._api.initialised.done():
            return self._api.initialised.result()
        raise WorkerExitedError(self._exited.result())

    async def invoke(self, invocation: Invocation, *, timeout_s: float, deadline_ms: int) -> Outcome:
        """Hand an invocation to the worker and wait for its answer.

        Raises
        ------
        WorkerGoneError
            The worker ended before this call; the invocation was not handed over.
        WorkerExitedError
            The worker ended without an answer.
        TimeoutError
            There is no answer after ``timeout_s``, and nobody is at a breakpoint.
        """
        # Let the loop see a connection or process that has ended meanwhile.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        idle = asyncio.ensure_future(self._api.wait_until_idle())
        await asyncio.wait({idle, self._exited}, return_when=asyncio.FIRST_COMPLETED)
        if self._exited.done():
            idle.cancel()
            raise WorkerGoneError
        answer = self._api.hand_over(invocation, deadline_ms=deadline_ms)
        await asyncio.wait({answer, self._exited}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        while not (answer.done() or self._exited.done()) and self._is_at_breakpoint():
            await asyncio.wait({answer, self._exited}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._read_output()
        if answer.done():
            return answer.result()
        if self._exited.done():
            raise WorkerExitedError(self._exited.result())
        raise TimeoutError

    async def kill(self) -> None:
        """End the worker and whatever it has started, and wait for its end."""
        if self.pid:
            GROUPS.kill(self.pid)
            await self._exited
        self._read_output()
        asyncio.get_running_loop().remove_reader(self._output)
        os.close(self._output)
        await self._api.close()

    def _is_at_breakpoint(self) -> bool:
        return Path(self._spec.environment.get("TMPDIR", ""), MARK).is_file()

    async def _wait_for_exit(self, process: asyncio.subprocess.Process) -> None:
        self._exited.set_result(await process.wait())

    def _read_output(self) -> None:
        """Take all output that is there: called before an answer is passed on, the log is complete up to it."""
        while True:
            try:
                chunk = os.read(self._output, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                asyncio.get_running_loop().remove_reader(self._output)
                return
            self._spec.output(chunk)
