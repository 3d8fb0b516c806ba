"""LocalStack's runtime executor, on a local process."""

import os
import shutil
import threading
from pathlib import Path

from localstack.aws.api.lambda_ import PackageType
from localstack.services.lambda_.invocation.execution_environment import STARTUP_TIMEOUT_SEC
from localstack.services.lambda_.invocation.lambda_models import (
    FunctionVersion,
    HotReloadingCode,
    InvocationResult,
    S3Code,
)
from localstack.services.lambda_.invocation.runtime_executor import LambdaRuntimeException, RuntimeExecutor

from suna_localstack.compute import event_loop, runtime
from suna_localstack.compute.code_root import CodeRoot
from suna_localstack.compute.function_log import FunctionLog
from suna_localstack.compute.outcome import Invocation
from suna_localstack.compute.sandbox import FunctionSpec, Sandbox


class _CodeRoots:
    """The code of each function version, shared by its execution environments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._roots: dict[str, CodeRoot] = {}

    def get(self, version: FunctionVersion) -> CodeRoot:
        code = _code(version)
        path = Path(code.get_unzipped_code_location()).resolve()
        with self._lock:
            if str(path) not in self._roots:
                self._roots[str(path)] = CodeRoot(path, hot_reload=code.is_hot_reloading())
            return self._roots[str(path)]


_CODE_ROOTS = _CodeRoots()


def _code(version: FunctionVersion) -> S3Code | HotReloadingCode:
    if version.config.code is None:
        message = f"The function {version.id.function_name!r} has no code"
        raise LambdaRuntimeException(message)
    return version.config.code


class ProcessExecutor(RuntimeExecutor):
    """Runs a function's code as a process of this machine, as its own user."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id=id, function_version=function_version)
        self._scratch_dir = runtime.state_dir() / "environments" / id
        self._code = _CODE_ROOTS.get(function_version)
        self._sandbox: Sandbox | None = None
        self.client_context: str | None = None
        """Client context of the next invocation, in JSON: LocalStack's interface has no place for it."""

    def start(self, env_vars: dict[str, str]) -> None:
        """Start a worker and wait until it is ready, or has reported why it is not."""
        config = self.function_version.config
        self._scratch_dir.mkdir(parents=True, exist_ok=True)
        log_dir = os.environ.get("SUNA_LOG_DIR")
        function = FunctionSpec(
            version=self.function_version.id.qualifier,
            timeout_s=config.timeout,
            # LocalStack has a timer of its own, that would leave the worker to itself.
            initialisation_limit_s=STARTUP_TIMEOUT_SEC - 1,
            memory_mb=config.memory_size,
            command=runtime.command(config.handler or ""),
            environment=runtime.environment(env_vars, code_root=self._code.path, scratch_dir=self._scratch_dir),
            code=self._code,
        )
        log = FunctionLog(
            folder=Path(log_dir) if log_dir else None, function_name=self.function_version.id.function_name
        )

        async def start() -> Sandbox:
            sandbox = Sandbox(function, log=log)
            await sandbox.start()
            return sandbox

        self._code.refresh()
        self._sandbox = event_loop.run(start())

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Run one invocation, on new code if it has changed."""
        invocation = Invocation(
            request_id=payload["invoke-id"],
            function_arn=payload["invoked-function-arn"],
            payload=payload["payload"].encode(),
            trace_id=payload["trace-id"],
            client_context=self.client_context,
        )
        self.client_context = None
        self._code.refresh()
        result, logs = event_loop.run(self._started().invoke(invocation))
        return InvocationResult(
            request_id=invocation.request_id, payload=result.payload, is_error=result.is_error, logs=logs
        )

    def stop(self) -> None:
        """End the environment; an invocation that runs ends first."""
        if self._sandbox is not None:
            event_loop.run(self._sandbox.stop())
        shutil.rmtree(self._scratch_dir, ignore_errors=True)

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return ""

    def get_logs(self) -> str:
        return ""

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unzip the code, once a version; refuse what cannot run here."""
        config = function_version.config
        if config.package_type != PackageType.Zip or config.layers:
            message = "Container images and layers cannot run as a local process"
            raise LambdaRuntimeException(message)
        if config.runtime != runtime.RUNTIME:
            message = f"Runtime {config.runtime!r} cannot run as a local process: only {runtime.RUNTIME!r} can"
            raise LambdaRuntimeException(message)
        _code(function_version).prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Nothing to do: LocalStack removes the unzipped code itself."""

    @classmethod
    def validate_environment(cls) -> bool:
        return runtime.interpreter().exists()

    def _started(self) -> Sandbox:
        if self._sandbox is None:
            message = f"Execution environment {self.id!r} is not started"
            raise LambdaRuntimeException(message)
        return self._sandbox
