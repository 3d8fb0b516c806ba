"""A real LocalStack with the tests' APIs deployed, its own gateway, and gateways in processes of their own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest

from tests.localstack.gateway.stack import template

HERE = Path(__file__).parent
STACK = "gateway-tests"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/execute-api/aws4_request"}


def client(service: str, endpoint_url: str) -> Any:
    """Return a boto3 client for a local endpoint."""
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@dataclass(frozen=True)
class Deployed:
    """The deployed stack: where LocalStack is, the stack's outputs, and the events its functions noted."""

    endpoint_url: str
    in_process_url: str
    outputs: dict[str, str]
    events_file: Path

    def events(self, connection_id: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.events_file.read_text().splitlines()]
        return [line for line in lines if connection_id in (None, line.get("requestContext", {}).get("connectionId"))]


async def until[T](condition: Callable[[], T], timeout_s: float = 10) -> T:
    """Wait until a condition returns something true, and return that."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline_s, "what was waited for did not happen"
        await asyncio.sleep(0.02)


def wait_for_line(process: subprocess.Popen[str], start: str, timeout_s: float = 60) -> str:
    """Return the first line of a process's output that starts with `start`."""
    deadline = time.monotonic() + timeout_s
    assert process.stdout
    for line in process.stdout:
        if line.startswith(start):
            return line
        assert time.monotonic() < deadline, f"no line {start!r}"
    raise AssertionError(f"the process ended with {process.wait()} before it said {start!r}")


@contextlib.contextmanager
def running(
    arguments: list[str], environment: dict[str, str], ready: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a Python module until the block ends; yields the process and its line that says it is ready."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below, read on failure
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield process, wait_for_line(process, ready)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        if process.stdout:
            process.stdout.close()
        log.close()


@pytest.fixture(scope="session")
def deployed(unused_tcp_port_factory: Callable[[], int]) -> Iterator[Deployed]:
    """LocalStack with its gateway, and the stack of `stack.template`."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-tests-"))
    port, gateway_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    events_file = folder / "events.jsonl"
    events_file.touch()
    arguments = ["suna_localstack.host", "--port", str(port), "--state-dir", str(folder / "state")]
    arguments += ["--gateway-port", str(gateway_port), "--gateway-stack", STACK, "--log-dir", str(folder / "logs")]
    endpoint_url, in_process_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{gateway_port}"
    environment = {"EVENTS": str(events_file), "GATEWAY": f"127.0.0.1:{gateway_port}"}
    with running(arguments, {}, "Ready."):
        body = json.dumps(template(code=str(HERE / "functions"), environment=environment))
        cloudformation = client("cloudformation", endpoint_url)
        cloudformation.create_stack(StackName=STACK, TemplateBody=body)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        # LocalStack's CloudFormation ignores ReservedConcurrentExecutions.
        functions = client("lambda", endpoint_url)
        functions.put_function_concurrency(FunctionName=outputs["LimitedFunction"], ReservedConcurrentExecutions=1)
        yield Deployed(endpoint_url, in_process_url, outputs, events_file)
    shutil.rmtree(folder)


type StartGateway = Callable[..., contextlib.AbstractContextManager[tuple[subprocess.Popen[str], str]]]


@pytest.fixture(scope="session")
def start_gateway(deployed: Deployed) -> StartGateway:
    """Start a gateway of its own with settings, e.g. `start_gateway(websocket_idle_s=1)`; yields process and URL."""

    @contextlib.contextmanager
    def start(**settings: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
        environment = {f"SUNA_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
        environment["SUNA_GATEWAY_STACK"] = STACK
        arguments = ["suna_localstack.gateway", "--endpoint-url", deployed.endpoint_url, "--port", "0"]
        with running(arguments, environment, "gateway listens on ") as (process, line):
            url = line.removeprefix("gateway listens on ").strip()
            _wait_until_it_serves(url)
            yield process, url

    return start


def _wait_until_it_serves(url: str) -> None:
    """A new gateway knows no API until its first poll has been answered."""
    deadline = time.monotonic() + 10
    host = url.removeprefix("http://")
    while time.monotonic() < deadline:
        connection = HTTPConnection(host, timeout=5)
        connection.request("GET", "/text")
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return
        time.sleep(0.05)
    raise AssertionError("the gateway does not serve the stack's API")


@pytest.fixture(scope="session", params=["in-process", "standalone"])
def gateway(request: pytest.FixtureRequest, deployed: Deployed, start_gateway: StartGateway) -> Iterator[str]:
    """The URL of a gateway, once in LocalStack's process and once in a process of its own."""
    if request.param == "in-process":
        yield deployed.in_process_url
    else:
        with start_gateway() as (_, url):
            yield url


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
