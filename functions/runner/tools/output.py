"""What a tool returned, made into what PostgreSQL and a model can take, or refused."""

import asyncio
import json
from typing import Any

from functions.runner.tools.result import MAX_CHARACTERS, cut
from shared.domain import Json
from shared.storable import storable, storable_text

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
# Of what is stored: it is wrapped, and whoever writes JSON gives up on what is nested deeper than any document is.
_DEEPEST = 100


class UnusableOutputError(Exception):
    """The tool's output is not JSON, or there is too much of it."""


async def usable(output: Any) -> Json | list[Any] | str:
    """``output`` as plain JSON: tuples are lists, keys are text, and it shares nothing with what the tool holds.

    Text is cut at the limit, and says so; of a structure a part would be no JSON, so a larger one is refused. What
    PostgreSQL cannot hold is replaced (:mod:`shared.storable`). Encoding is off the event loop and stops at the limit,
    because a structure does not say how large it is.

    Raises:
        UnusableOutputError: it is no text, object or list; holds what JSON cannot; is too deep, or over the limit.
    """
    if isinstance(output, str):
        return storable_text(cut(output))
    if not isinstance(output, dict | list | tuple):
        raise UnusableOutputError(f"it is of the type {type(output).__name__!r}")
    return await asyncio.to_thread(_through_json, output)


def _through_json(output: Any) -> Any:
    parts: list[str] = []
    length = 0
    try:
        for part in _ENCODER.iterencode(output):
            length += len(part)
            if length > MAX_CHARACTERS:
                raise UnusableOutputError(f"it is over {MAX_CHARACTERS:,} characters of JSON")
            parts.append(part)
        return storable(json.loads("".join(parts)), deepest=_DEEPEST)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutputError(str(error)) from error
