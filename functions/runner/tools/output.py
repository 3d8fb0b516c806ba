"""What a tool returned, made into what PostgreSQL and a model can take, or refused."""

import asyncio
import json
import re
from typing import Any

from functions.runner.tools.result import MAX_CHARACTERS, cut
from shared.domain import Json

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
# PostgreSQL's jsonb holds neither NUL nor half a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class UnusableOutputError(Exception):
    """The tool's output is not JSON, or there is too much of it."""


def storable(text: str) -> str:
    """``text`` with what PostgreSQL cannot hold replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


async def usable(output: Any) -> Json | list[Any] | str:
    """``output`` as plain JSON: tuples are lists, keys are text, and it shares nothing with what the tool holds.

    Text is cut at the limit, and says so; of a structure a part would be no JSON, so a larger one is refused. Encoding
    is off the event loop and stops at the limit, because a structure does not say how large it is.

    Raises:
        UnusableOutputError: it is not text, an object or a list; holds what JSON cannot; or is over the limit.
    """
    if isinstance(output, str):
        return storable(cut(output))
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
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableOutputError(str(error)) from error
    text = "".join(parts)
    value = json.loads(text)
    return _storable(value) if "\\u0000" in text or _UNSTORABLE.search(text) else value


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(key): _storable(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [_storable(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
