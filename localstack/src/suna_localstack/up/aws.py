"""LocalStack as a child process, and calls that load its services before they are needed."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from suna_localstack.services.ports import HOST, free_port
from suna_localstack.services.process import Child, Command
from suna_localstack.up.aws_client import client
from suna_localstack.up.deployment import STACK_NAME

# First calls import a service's code (DynamoDB's takes seconds): the slow ones first.
_FIRST_CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("dynamodb", "list_tables", {}),
    ("cloudformation", "list_stacks", {}),
    ("lambda", "list_functions", {}),
    ("stepfunctions", "list_state_machines", {}),
    ("s3", "list_buckets", {}),
    ("sqs", "list_queues", {}),
    ("secretsmanager", "list_secrets", {}),
    ("apigatewayv2", "get_apis", {}),
    ("iam", "list_roles", {}),
    ("logs", "describe_log_groups", {}),
    ("events", "list_rules", {}),
)


@dataclass(frozen=True)
class Aws:
    """A running LocalStack."""

    child: Child
    port: int
    endpoint_url: str


async def start_aws(
    folder: Path, *, logs: Path, gateway_port: int, env: dict[str, str], port: int | None = None
) -> Aws:
    """Start LocalStack with the project's plugins on 127.0.0.1 and wait until it answers.

    Raises:
        ChildDied: it ended during its start.
    """
    port = port or free_port()
    endpoint_url = f"http://{HOST}:{port}"
    argv = [sys.executable, "-m", "suna_localstack.host", "--port", str(port), "--state-dir", str(folder)]
    argv += ["--log-dir", str(logs), "--gateway-port", str(gateway_port), "--gateway-stack", STACK_NAME]
    child = await Child.start(Command(name="LocalStack", argv=argv, log=logs / "localstack.log", env=env))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:

        async def answers() -> bool:
            try:
                async with session.get(f"{endpoint_url}/_localstack/health") as response:
                    return response.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        try:
            await child.ready(answers, timeout_s=90, interval_s=0.1)
        except BaseException:
            await child.stop()
            raise
    return Aws(child, port, endpoint_url)


async def load_services(endpoint_url: str) -> None:
    """Make one harmless call to each service, concurrently; what fails here fails again, with a reason, when needed."""

    def call(service: str, operation: str, arguments: dict[str, Any]) -> None:
        try:
            getattr(client(service, endpoint_url), operation)(**arguments)
        except (BotoCoreError, ClientError):
            return

    await asyncio.gather(*(asyncio.to_thread(call, *entry) for entry in _FIRST_CALLS))
