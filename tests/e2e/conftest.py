"""A stack of its own for the end-to-end tests, started and ended by the commands that users have."""

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import httpx
import jwt
import pytest
from botocore.config import Config

from bench.report import SMALLEST
from clients.terminal.stack import Stack
from tests.ports import free_port

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


def own_environment() -> dict[str, str]:
    """The environment without what a user has set for a stack of their own: tests empty their servers."""
    users = {"PORT", "MODEL", "DATABASE_URL", "REDIS_URL"}
    return {name: value for name, value in os.environ.items() if name not in users} | {"SUNA_NO_DOTENV": "1"}


def up(command: str, *, local_dir: Path = LOCAL_DIR, **environment: str) -> subprocess.CompletedProcess[str]:
    """``make up`` or ``make down`` for the stack in ``local_dir``, without make's set-up."""
    return subprocess.run(
        [ROOT / ".local/venvs/localstack/bin/python", "-m", "suna_localstack.up", command],
        cwd=ROOT,
        env=own_environment() | {"SUNA_LOCAL_DIR": str(local_dir)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="session")
def mcp_port() -> int:
    """Where an MCP server will be: the stack has to be told that assistants may use it, although it is private."""
    return free_port()


@pytest.fixture(scope="session")
def hook_port() -> int:
    """Where a receiver of webhooks will be; the stack has to be told of it, too."""
    return free_port()


async def make_room(stack: RunningStack, *, max_unfinished_runs: int = 1000) -> None:
    """Let accounts do more, and faster, than the default plan does: tests of other things need room."""
    connection = await asyncpg.connect(stack.fields["database_url"])
    try:
        await connection.execute(
            "UPDATE plans SET max_unfinished_runs = $1, requests_per_minute = 1000000, request_burst = 1000000,"
            " max_connections = NULL, max_thread_messages = NULL, max_waits = 1000,"
            " max_run_cost_usd = NULL, max_day_cost_usd = NULL",
            max_unfinished_runs,
        )
    finally:
        await connection.close()


async def give_plan(stack: RunningStack, account_id: str, **limits: Any) -> None:
    """Put the account on a plan of its own; what ``limits`` does not say is as in the default plan."""
    plan = f"test-{uuid.uuid4()}"
    limits = {"max_unfinished_runs": 1000} | limits
    names = ", ".join(limits)
    values = ", ".join(f"${place}" for place in range(2, 2 + len(limits)))
    connection = await asyncpg.connect(stack.fields["database_url"])
    try:
        await connection.execute(
            f"INSERT INTO plans (plan_id, {names}) VALUES ($1, {values})",  # noqa: S608
            plan,
            *limits.values(),
        )
        await connection.execute(
            "INSERT INTO accounts (account_id, plan_id) VALUES ($1, $2)"
            " ON CONFLICT (account_id) DO UPDATE SET plan_id = excluded.plan_id",
            account_id,
            plan,
        )
    finally:
        await connection.close()


@contextmanager
def started(local_dir: Path, **environment: str) -> Generator[RunningStack]:
    """The stack in ``local_dir``, from ``make up`` with ``environment`` to ``make down``.

    At the smallest size one that runs already is somebody else's, and goes on.
    """
    if not SMALLEST:
        # One that a killed run of the tests has left has another's settings, and another's database.
        up("down", local_dir=local_dir)
    elif (local_dir / "stack.json").exists():
        # It is not given other settings than those that its owner wants.
        environment = {}
    begun = up("up", local_dir=local_dir, **environment)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    is_anothers = SMALLEST and "running already" in begun.stdout
    try:
        yield RunningStack(json.loads((local_dir / "stack.json").read_text(encoding="utf-8")))
    finally:
        ended = None if is_anothers else up("down", local_dir=local_dir)
    if ended is not None:
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.startswith("the stack is stopped"), ended.stdout


@contextmanager
def deployed(**environment: str) -> Generator[RunningStack]:
    """The stack of this clone, with room for accounts."""
    with started(LOCAL_DIR, **environment) as running:
        asyncio.run(make_room(running))
        yield running


@pytest.fixture(scope="session")
def stack(mcp_port: int, hook_port: int) -> Generator[RunningStack]:
    """The deployed stack."""
    with deployed(
        MCP_ALLOWED_PRIVATE=f"127.0.0.1:{mcp_port}", WEBHOOK_ALLOWED_PRIVATE=f"127.0.0.1:{hook_port}"
    ) as running:
        yield running


@contextmanager
def own_code(
    stack: RunningStack,
    group: str,
    functions: list[str],
    folder: Path,
    *,
    prepare: Callable[[Path], None] = lambda source: None,
) -> Generator[Path]:
    """Give functions a copy of the sources of their own; yields its folder, and gives them the clone's back at the end.

    ``prepare`` changes the copy before any function runs from it.

    Dependencies are links to the installed ones, in folders of their packages' names: a folder that is itself a link is
    one of sources, and watched for changes.
    """
    installed = ROOT / ".local" / "code" / group
    code = folder / group
    code.mkdir(parents=True)
    for entry in installed.iterdir():
        name = code / entry.name
        if entry.is_symlink():
            source = folder / "source" / entry.name
            shutil.copytree(entry, source, ignore=shutil.ignore_patterns("__pycache__"))
            name.symlink_to(source)
        elif entry.is_dir():
            name.mkdir()
            for file in entry.iterdir():
                (name / file.name).symlink_to(file)
        else:
            name.symlink_to(entry)
    prepare(folder / "source")
    _run_from(stack, functions, code)
    try:
        yield folder / "source"
    finally:
        _run_from(stack, functions, installed)


def _run_from(stack: RunningStack, functions: list[str], code: Path) -> None:
    client = stack.aws("lambda")
    for name in functions:
        function = stack.fields["outputs"][f"{name}FunctionName"]
        client.update_function_code(FunctionName=function, S3Bucket="hot-reload", S3Key=str(code))
        client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})


@pytest.fixture(scope="session")
def probed(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningStack]:
    """The stack with the tool ``probe`` among its runner's custom tools."""
    runners = ["QueueRunner", "WorkflowRunner"]
    with own_code(stack, "runner", runners, tmp_path_factory.mktemp("probed")) as source:
        shutil.copy(Path(__file__).parent / "probe.py", source / "functions/runner/tools/custom/probe.py")
        # The first start of a runner writes the catalogue, from which the API knows the tool.
        name = stack.fields["outputs"]["QueueRunnerFunctionName"]
        answer = stack.aws("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')
        assert "FunctionError" not in answer, answer["Payload"].read()
        yield stack


@pytest.fixture
def account_id() -> str:
    """An account nobody else uses."""
    return str(uuid.uuid4())


@pytest.fixture
def client(stack: RunningStack, account_id: str) -> Stack:
    """The stack as ``account_id`` sees it."""
    return stack.client_of(account_id)


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
        for file in sorted(Path(stack.fields["log_dir"]).glob("*.log")):
            # A line that is being written has no end yet.
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n"):
                    lines.append(json.loads(line) | {"file": file.stem})
        return lines

    return read
