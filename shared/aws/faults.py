"""What calls of AWS raise, translated where they are made, and nowhere else.

Every client has :class:`Translating` among its bases, so that no call can forget it.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shared.domain import Json
from shared.errors import (
    FilesUnavailableError,
    FunctionsUnavailableError,
    QueueUnavailableError,
    SecretsUnavailableError,
    SubscriptionsUnavailableError,
    SunaError,
    UnavailableError,
    WorkflowUnavailableError,
)


class RefusedError(SunaError):
    """AWS has understood the call, and refuses it: that is an answer, which whoever calls has asked for."""

    def __init__(self, code: str) -> None:
        """``code``: AWS' own word for it."""
        super().__init__(f"AWS refuses: {code}")
        self.code = code


@dataclass(frozen=True)
class Service:
    """How a service fails.

    ``unavailable``: what it is when it is away, slow, or refuses for now. ``answers``: codes of errors that are none,
    and become :class:`RefusedError`. ``patience_s``: how long a call may take, with the SDK's own tries; ``None``: as
    long as these do.
    """

    unavailable: type[UnavailableError]
    answers: frozenset[str] = frozenset()
    patience_s: float | None = None


SERVICES: dict[str, Service] = {
    # It answers within milliseconds, or is throttled. Letting a connection in has 29 s, and a sender's lease lasts ten.
    "dynamodb": Service(SubscriptionsUnavailableError, frozenset({"ConditionalCheckFailedException"}), patience_s=8.0),
    "lambda": Service(FunctionsUnavailableError),
    # Without leave to list the bucket, S3 calls it forbidden to see what is not there.
    "s3": Service(
        FilesUnavailableError, frozenset({"404", "403", "NoSuchKey", "NotFound", "AccessDenied", "Forbidden"})
    ),
    "secretsmanager": Service(SecretsUnavailableError),
    "sqs": Service(QueueUnavailableError),
    "stepfunctions": Service(WorkflowUnavailableError, frozenset({"ExecutionAlreadyExists"})),
}


@contextmanager
def translated(service: str) -> Generator[None]:
    """Translate what the block raises that talks to ``service``.

    Raises:
        UnavailableError: the service's; it may have done what it was asked for all the same.
        RefusedError: it has refused with one of its ``answers``.
    """
    known = SERVICES[service]
    try:
        yield
    except ClientError as error:
        code = cast("Json", error.response).get("Error", {}).get("Code", "")
        if code in known.answers:
            raise RefusedError(code) from error
        raise known.unavailable from error
    # Also an answer that is none: botocore has a class of its own for that, beside all others.
    except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        raise known.unavailable from error


class Translating:
    """A base of every client: all its operations, also those of paginators, go through this one method."""

    meta: Any

    async def _make_api_call(self, operation_name: str, api_params: Json) -> Any:
        real: Any = super()
        service: str = self.meta.service_model.service_name
        with translated(service):
            async with asyncio.timeout(SERVICES[service].patience_s):
                return await real._make_api_call(operation_name, api_params)
