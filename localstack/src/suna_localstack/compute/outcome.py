"""What an invocation ends with, in the words of AWS.

Callers match on ``errorType``: Step Functions uses it as the error name for Retry and Catch.
Source: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html and the Runtime API's specification.
"""

import json
import signal
from dataclasses import dataclass

RESPONSE_LIMIT_BYTES = 6 * 1024 * 1024 + 100
"""Largest answer of a function: 6,291,556 bytes, the number in AWS's own message."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One request to a function, as the Runtime API hands it to the worker."""

    request_id: str
    function_arn: str
    payload: bytes
    trace_id: str
    client_context: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The function's answer, or the error that AWS reports in its place."""

    payload: bytes
    is_error: bool
    log_line: str | None = None
    """What the platform itself writes to the function's log about the end."""


def _error(error_type: str, message: str, *, log_line: str | None = None) -> Outcome:
    payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return Outcome(payload=payload, is_error=True, log_line=log_line)


def timed_out(request_id: str, *, timeout_s: float, timestamp: str) -> Outcome:
    """The function ran into its time limit."""
    message = f"{timestamp} {request_id} Task timed out after {timeout_s:.2f} seconds"
    return _error("Sandbox.Timedout", message, log_line=message)


def exited(request_id: str, *, return_code: int) -> Outcome:
    """The runtime's process ended before the function had answered."""
    if return_code == 0:
        reason = "Runtime exited without providing a reason"
    elif return_code > 0:
        reason = f"Runtime exited with error: exit status {return_code}"
    else:
        name = (signal.strsignal(-return_code) or str(-return_code)).lower()
        reason = f"Runtime exited with error: signal: {name}"
    message = f"RequestId: {request_id} Error: {reason}"
    return _error("Runtime.ExitError", message, log_line=f"{message}\nRuntime.ExitError")


def response_too_large() -> Outcome:
    """The function's answer is over ``RESPONSE_LIMIT_BYTES``."""
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT_BYTES} bytes)."
    return _error("Function.ResponseSizeTooLarge", message)
