"""Invoke functions inside LocalStack's process: its Lambda service, called in threads."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

from localstack.aws.api.lambda_ import TooManyRequestsException

from suna_localstack.compute.invocation import lambda_service
from suna_localstack.gateway.backend import FunctionThrottledError, InvocationError

_ARN_PARTS_WITH_QUALIFIER = 8


class InProcessBackend:
    """Calls `LambdaService.invoke`, one thread an invocation under way: it blocks until the function has answered."""

    def __init__(self, *, concurrency: int) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="gateway-invoke")

    async def invoke(self, function_arn: str, payload: bytes) -> bytes:
        """See `Backend.invoke`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _invoke, function_arn, payload)

    async def close(self) -> None:
        """See `Backend.close`."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _invoke(function_arn: str, payload: bytes) -> bytes:
    parts = function_arn.split(":")
    qualifier = parts[7] if len(parts) >= _ARN_PARTS_WITH_QUALIFIER else None
    try:
        result = lambda_service().invoke(
            function_name=parts[6],
            qualifier=qualifier,
            region=parts[3],
            account_id=parts[4],
            invocation_type=None,
            client_context=None,
            request_id=str(uuid.uuid4()),
            payload=payload,
        )
    except TooManyRequestsException as error:
        raise FunctionThrottledError(str(error)) from error
    except Exception as error:  # LocalStack documents no base class of what invoking raises
        raise InvocationError(f"{function_arn}: {error}") from error
    if result is None or result.is_error:
        raise InvocationError(f"{function_arn} failed: {result.payload if result else None!r}")
    answer = result.payload
    return answer if isinstance(answer, bytes) else (answer or "null").encode()
