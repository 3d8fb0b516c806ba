"""A real LocalStack in a process of its own, for tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.ports import free_port


def eventually[T](look: Callable[[], T | None], *, timeout_s: float = 10) -> T:
    """Look until what is seen is true, and return it; fail with the last sight after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s; last seen: {seen!r}"
        time.sleep(0.01)
    return seen


@dataclass(frozen=True, kw_only=True)
class LocalStack:
    """A running LocalStack."""

    process: subprocess.Popen[bytes]
    port: int
    gateway_port: int
    state_dir: Path
    log_dir: Path

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    def client(self, service: str) -> Any:
        """A boto3 client that does not retry: a test sees the first answer."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=50, read_timeout=60),
        )


@contextlib.contextmanager
def localstack_server(folder: Path, **environment: str) -> Iterator[LocalStack]:
    """Start LocalStack with everything it writes in ``folder``; end it by SIGTERM, and fail if it does not end.

    Parameters
    ----------
    environment
        Variables on top of the caller's.
    """
    port, gateway_port = free_port(), free_port()
    log_dir = folder / "logs"
    output = folder / "localstack.log"
    command = [sys.executable, "-m", "suna_localstack.host", "--port", str(port), "--gateway-port", str(gateway_port)]
    command += ["--state-dir", str(folder / "state"), "--log-dir", str(log_dir)]
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )

    def ready() -> bool:
        assert process.poll() is None, output.read_text()
        return b"Ready." in output.read_bytes()

    try:
        eventually(ready, timeout_s=60)
        yield LocalStack(
            process=process, port=port, gateway_port=gateway_port, state_dir=folder / "state", log_dir=log_dir
        )
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, output.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
