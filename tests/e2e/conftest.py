"""A stack of its own for the end-to-end tests, started and ended by the commands that users have."""

import json
import os
import subprocess
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import jwt
import pytest
from botocore.config import Config

from clients.terminal.stack import Stack

ROOT = Path(__file__).parents[2]
LOCAL_DIR = ROOT / ".local" / "e2e"


@dataclass(frozen=True)
class RunningStack:
    """The stack under test: ``stack.json``, and what is asked of it often."""

    fields: dict[str, Any]

    @property
    def base_url(self) -> str:
        return self.fields["base_url"]

    def token(self, account_id: str, **claims: Any) -> str:
        """A token for ``account_id``, as the stack's issuer signs them."""
        return jwt.encode(
            {"iss": "suna-local", "aud": "suna", "sub": account_id, "exp": 2**32} | claims,
            self.fields["jwt_secret"],
            algorithm="HS256",
        )

    def client_of(self, account_id: str) -> Stack:
        """How the terminal client sees the stack, as ``account_id``."""
        return Stack(base_url=self.base_url, token=self.token(account_id))

    def aws(self, service: str) -> Any:
        """A boto3 client of the stack's LocalStack."""
        return boto3.client(
            service,
            endpoint_url=self.fields["aws_endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )


def up(command: str, *, local_dir: Path = LOCAL_DIR, **environment: str) -> subprocess.CompletedProcess[str]:
    """``make up`` or ``make down`` for the stack in ``local_dir``, without make's set-up."""
    return subprocess.run(
        [ROOT / ".local/venvs/localstack/bin/python", "-m", "suna_localstack.up", command],
        cwd=ROOT,
        env=os.environ | {"SUNA_LOCAL_DIR": str(local_dir)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="session")
def stack() -> Generator[RunningStack]:
    """The deployed stack."""
    started = up("up")
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield RunningStack(json.loads((LOCAL_DIR / "stack.json").read_text(encoding="utf-8")))
    finally:
        ended = up("down")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def account_id() -> str:
    """An account nobody else uses."""
    return str(uuid.uuid4())


@pytest.fixture
async def http(stack: RunningStack, account_id: str) -> AsyncGenerator[httpx.AsyncClient]:
    """An HTTP client of ``account_id``."""
    headers = {"authorization": f"Bearer {stack.token(account_id)}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def log_lines(stack: RunningStack) -> Callable[[], list[dict[str, Any]]]:
    """The structured log lines that the functions have written so far."""

    def read() -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for file in sorted((LOCAL_DIR / "logs").glob("*.log")):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("{"):
                    lines.append(json.loads(line) | {"file": file.stem})
        return lines

    return read
