"""How the gateway invokes functions: the protocol that both ways implement, and its errors."""

import asyncio
import json
from typing import Any, Protocol


class InvocationError(Exception):
    """The function could not be invoked, crashed, or answered with something that is no invocation result."""


class FunctionThrottledError(InvocationError):
    """Lambda refused the invocation: concurrency is used up."""


class FunctionTimeoutError(InvocationError):
    """The integration's time is over; the function itself may still run."""


class Backend(Protocol):
    """Invokes functions, synchronously in Lambda's sense (RequestResponse)."""

    async def invoke(self, function_arn: str, payload: bytes) -> bytes:
        """Invoke and return the answer's JSON.

        Raises
        ------
        FunctionThrottledError
            Too many concurrent invocations.
        InvocationError
            The function is missing, crashed or timed out by itself.
        """
        ...

    async def close(self) -> None:
        """Release connections and threads without waiting for invocations under way."""
        ...


async def invoke_within(backend: Backend, function_arn: str | None, event: dict[str, Any], timeout_s: float) -> bytes:
    """Invoke with an event and the integration's time limit.

    Raises
    ------
    FunctionTimeoutError
        No answer after `timeout_s` seconds.
    InvocationError
        As `Backend.invoke`, or the route has no Lambda proxy integration.
    """
    if function_arn is None:
        raise InvocationError("the route has no Lambda proxy integration")
    payload = json.dumps(event, separators=(",", ":")).encode()
    try:
        async with asyncio.timeout(timeout_s):
            return await backend.invoke(function_arn, payload)
    except TimeoutError as error:
        raise FunctionTimeoutError(f"{function_arn} did not answer within {timeout_s} s") from error
