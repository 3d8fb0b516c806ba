"""An execution environment: a worker, restarted when it has ended or its code has changed, and its log."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from suna_localstack.compute import outcome
from suna_localstack.compute.code_root import CodeRoot
from suna_localstack.compute.function_log import FunctionLog
from suna_localstack.compute.outcome import Invocation, Outcome
from suna_localstack.compute.worker import Worker, WorkerExitedError, WorkerGoneError, WorkerSpec


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What an execution environment needs to know of its function."""

    version: str
    timeout_s: int
    initialisation_limit_s: float
    memory_mb: int
    command: list[str]
    environment: dict[str, str]
    code: CodeRoot


class Sandbox:
    """One execution environment: one invocation at a time, as LocalStack's assignment service grants it.

    As on AWS, a worker that has died is not the environment's end: the next invocation initialises a new one.
    """

    def __init__(self, function: FunctionSpec, *, log: FunctionLog) -> None:
        self._function = function
        self._log = log
        self._worker: Worker | None = None
        self._generation = -1
        self._initialisation_ms: float | None = None
        self._failed_initialisation: Outcome | WorkerExitedError | TimeoutError | None = None
        self._busy = asyncio.Lock()
        self._stopped = False

    async def start(self) -> None:
        """Start a worker and wait until it is ready; a failure is the outcome of the next invocation."""
        async with self._busy:
            if self._stopped:
                return
            await self._discard_worker()
            self._generation = self._function.code.generation
            began = time.perf_counter()
            self._worker = Worker(
                WorkerSpec(
                    command=self._function.command,
                    environment=self._function.environment,
                    folder=self._function.code.path,
                    output=self._log.output,
                )
            )
            try:
                await self._worker.start()
                async with asyncio.timeout(self._function.initialisation_limit_s):
                    self._failed_initialisation = await self._worker.initialise()
            except (WorkerExitedError, TimeoutError) as error:
                self._failed_initialisation = error
            except OSError:
                await self._discard_worker()
                raise
            self._initialisation_ms = (time.perf_counter() - began) * 1000
            if self._stopped:
                await self._discard_worker()

    async def invoke(self, invocation: Invocation) -> tuple[Outcome, str]:
        """Run one invocation; return its outcome and its log."""
        if self._worker is None or self._generation != self._function.code.generation:
            await self.start()
        result = await self._invoke(invocation)
        if result is None:  # the worker has ended since its last invocation
            await self.start()
            result = await self._invoke(invocation)
        if result is None:
            result = outcome.exited(invocation.request_id, return_code=0)
        return result, self._log.take()

    async def stop(self) -> None:
        """End the environment: at once if it is idle, else with the end of the invocation."""
        self._stopped = True
        async with self._busy:
            await self._discard_worker()
            self._log.close()

    async def _invoke(self, invocation: Invocation) -> Outcome | None:
        async with self._busy:
            if (failed := self._failed_initialisation) is not None:
                self._failed_initialisation = None
                await self._discard_worker()
                result = self._initialisation_outcome(invocation.request_id, failed)
                self._write_start(invocation, pid=0)
                self._write_end(invocation, result, duration_ms=0.0, memory_mb=0)
                return result
            if (worker := self._worker) is None:
                return None
            began = time.perf_counter()
            timeout_s = self._function.timeout_s
            deadline_ms = int((time.time() + timeout_s) * 1000)
            self._write_start(invocation, pid=worker.pid)
            try:
                result = await worker.invoke(invocation, timeout_s=timeout_s, deadline_ms=deadline_ms)
            except WorkerGoneError:
                self._log.take()
                await self._discard_worker()
                return None
            except WorkerExitedError as error:
                await self._discard_worker()
                result = outcome.exited(invocation.request_id, return_code=error.return_code)
            except TimeoutError:
                await self._discard_worker()
                result = outcome.timed_out(invocation.request_id, timeout_s=timeout_s, timestamp=_now())
            memory_mb = _peak_memory_mb(worker.pid)
            self._write_end(invocation, result, duration_ms=(time.perf_counter() - began) * 1000, memory_mb=memory_mb)
            return result

    def _initialisation_outcome(self, request_id: str, failed: Outcome | WorkerExitedError | TimeoutError) -> Outcome:
        match failed:
            case WorkerExitedError():
                return outcome.exited(request_id, return_code=failed.return_code)
            case TimeoutError():
                limit_s = self._function.initialisation_limit_s
                return outcome.timed_out(request_id, timeout_s=limit_s, timestamp=_now())
            case _:
                return failed

    async def _discard_worker(self) -> None:
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.kill()

    def _write_start(self, invocation: Invocation, *, pid: int) -> None:
        line = f"START RequestId: {invocation.request_id} Version: {self._function.version}"
        self._log.platform(line, in_file=f" Pid: {pid}")

    def _write_end(self, invocation: Invocation, result: Outcome, *, duration_ms: float, memory_mb: int) -> None:
        if result.log_line is not None:
            self._log.platform(result.log_line)
        self._log.platform(f"END RequestId: {invocation.request_id}")
        fields = [
            f"REPORT RequestId: {invocation.request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {int(duration_ms) + 1} ms",
            f"Memory Size: {self._function.memory_mb} MB",
            f"Max Memory Used: {memory_mb} MB",
        ]
        if self._initialisation_ms is not None:
            fields.append(f"Init Duration: {self._initialisation_ms:.2f} ms")
            self._initialisation_ms = None
        self._log.platform("\t".join(fields) + "\t")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _peak_memory_mb(pid: int) -> int:
    """Peak resident memory of a live process; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return 0
