"""Invoking a function from inside LocalStack's process, without a request to its own endpoint."""

import uuid
from typing import Any, Protocol, cast

from localstack.aws.api.lambda_ import InvocationType
from localstack.services.lambda_.api_utils import function_locators_from_arn
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.plugins import SERVICE_PLUGINS


class LambdaService(Protocol):
    """LocalStack's Lambda service, whose own annotations leave types open."""

    def invoke(
        self,
        *,
        function_name: str,
        qualifier: str | None,
        region: str,
        account_id: str,
        invocation_type: InvocationType | None,
        client_context: str | None,
        request_id: str,
        payload: bytes | None,
    ) -> InvocationResult | None: ...


def lambda_service() -> LambdaService:
    """LocalStack's Lambda service, started if it is not yet."""
    # LocalStack keeps the provider on its Service wrapper and offers no public way to it.
    service: Any = SERVICE_PLUGINS.require("lambda")
    return service._provider.lambda_service


def invoke(function_arn: str, payload: bytes) -> InvocationResult:
    """Invoke a function and wait for its result.

    Parameters
    ----------
    function_arn
        ARN of a function, a version or an alias.

    Raises
    ------
    localstack.aws.api.lambda_.TooManyRequestsException
        The function or the account has no concurrency left.
    localstack.aws.api.lambda_.ResourceNotFoundException
        There is no such function.
    """
    # Of an ARN only the qualifier may be missing.
    locators = cast(tuple[str, str | None, str, str], function_locators_from_arn(function_arn))
    name, qualifier, account, region = locators
    result = lambda_service().invoke(
        function_name=name,
        qualifier=qualifier,
        region=region,
        account_id=account,
        invocation_type=InvocationType.RequestResponse,
        client_context=None,
        request_id=str(uuid.uuid4()),
        payload=payload,
    )
    assert result is not None  # noqa: S101 - only other invocation types have none
    return result
