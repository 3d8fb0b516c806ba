"""Calling a function so that whatever it does, the run goes on and the model learns what happened."""

import asyncio
import json
import math
from typing import Any

from functions.runner.tools.errors import InvalidArgumentsError
from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.output import UnusableOutputError, usable
from functions.runner.tools.result import ToolResult
from shared.domain import Json
from shared.errors import SunaError
from shared.scrubbing import without_secrets
from shared.storable import storable_text
from shared.telemetry import logger

# How long a function that was cancelled may take to clean up before it is left behind.
GRACE_S = 2.0
# Characters of an error's own text that the model is shown.
_MAX_ERROR = 2_000


async def invoke(
    function: ToolFunction, arguments: Json, context: ToolContext, *, timeout_s: float | None = None
) -> ToolResult:
    """Call ``function``; every failure becomes a result that tells the model what happened and what it may do.

    The call runs in a task of its own for at most ``function.timeout_s``, or ``timeout_s`` if that is less. Past it,
    and when the caller is cancelled, the task is cancelled and given ``GRACE_S``; one that does not end is left behind
    (and logged). Not even ``SystemExit`` from a tool gets out: only the caller's own cancellation does.
    """
    limit_s = min(function.timeout_s, math.inf if timeout_s is None else max(timeout_s, 0.0))
    task = asyncio.create_task(_call(function, arguments, context), name=f"tool {function.name}")
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        ended_in_time = task.done()
        if not ended_in_time:
            await _end(task, function)
    if ended_in_time:
        return task.result()
    return ToolResult(
        False,
        f"The tool {function.name!r} did not end within {limit_s:g} s and was stopped. It may have had effects: check "
        "before you repeat the call, or ask for less at once.",
    )


async def _call(function: ToolFunction, arguments: Json, context: ToolContext) -> ToolResult:
    """The call and its failures. Nothing may leave but our own cancellation: SystemExit in a task ends the loop."""
    try:
        result = await function.invoke(arguments, context)
        output = await usable(result.output)
        return ToolResult(True, output) if result.success else await asyncio.to_thread(_told, output)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _failed(function, "it was cancelled from within")
    except InvalidArgumentsError as error:
        return _told(storable_text(error.message))
    except UnusableOutputError as error:
        logger.warning("a tool's output is of no use", extra={"tool": function.name})
        return _told(
            f"The tool {function.name!r} ended, but its output cannot be shown: {error}. What it did is done: ask for "
            "a smaller part of the output, if the tool can give that."
        )
    except SunaError as error:
        return _failed(function, error.message)
    except BaseException as error:  # whatever a tool raises is a result
        logger.warning("a tool failed", extra={"tool": function.name}, exc_info=True)
        return _failed(function, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _failed(function: ToolFunction, why: str) -> ToolResult:
    # A secret that is cut in two would not be known any more.
    return ToolResult(False, storable_text(f"The tool {function.name!r} failed: {without_secrets(why)[:_MAX_ERROR]}"))


def _told(output: Json | list[Any] | str) -> ToolResult:
    """A failure as the model is told it, which may tell it all but our secrets."""
    if isinstance(output, str):
        return ToolResult(False, without_secrets(output))
    return ToolResult(False, json.loads(without_secrets(json.dumps(output, ensure_ascii=False))))


async def _end(task: asyncio.Task[ToolResult], function: ToolFunction) -> None:
    """Cancel ``task`` and wait for its end, but not for ever."""
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_S)
    if not task.done():
        logger.error("a tool does not react to its cancellation and is left behind", extra={"tool": function.name})
