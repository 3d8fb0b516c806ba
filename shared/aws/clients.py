"""aioboto3 clients, opened when first needed and kept for the life of the process.

What a call raises is ours already (:mod:`shared.aws.faults`).
"""

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig

from shared.aws.faults import Translating, translated

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_stepfunctions import SFNClient

_CONFIG = AioConfig(
    connect_timeout=3,
    read_timeout=25,
    retries={"mode": "standard", "max_attempts": 4},
    max_pool_connections=50,
)
# Presigned URLs: signed with version 4, and of the bucket's own host in its own region, which needs no redirection.
_S3_CONFIG = _CONFIG.merge(AioConfig(signature_version="s3v4", s3={"addressing_style": "virtual"}))


class _Clients:
    """The process's clients by service name."""

    def __init__(self) -> None:
        self._session: Any = aioboto3.Session()
        self._session.events.register("creating-client-class", _translating)
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._open: dict[str, Any] = {}

    async def get(self, service: str) -> Any:
        """The client of ``service``, made at the first call."""
        if service not in self._open:
            async with self._opening:
                if service not in self._open:
                    config = _S3_CONFIG if service == "s3" else _CONFIG
                    # Credentials may have to be asked for.
                    with translated(service):
                        client = self._session.client(service, config=config)
                        self._open[service] = await self._stack.enter_async_context(client)
        return self._open[service]


def _translating(base_classes: list[type], **_: Any) -> None:
    """How the SDK has its clients extended."""
    base_classes.insert(0, Translating)


@cache
def _clients() -> _Clients:
    return _Clients()


async def sqs() -> "SQSClient":
    """The SQS client."""
    return await _clients().get("sqs")


async def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    return await _clients().get("dynamodb")


async def secrets_manager() -> "SecretsManagerClient":
    """The Secrets Manager client."""
    return await _clients().get("secretsmanager")


async def functions() -> Any:
    """The Lambda client."""
    return await _clients().get("lambda")


async def step_functions() -> "SFNClient":
    """The Step Functions client."""
    return await _clients().get("stepfunctions")


async def s3() -> Any:
    """The S3 client."""
    return await _clients().get("s3")
