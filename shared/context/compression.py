"""Long messages, shortened for the model; the database keeps the full text, and ``expand_message`` returns it.

A text of over 3,000 characters is cut there and says how to see the rest (Suna's ``_compress_message``). What must
survive a cut does: images, the calls in an assistant's text (only long values of their parameters are cut, so a call
is never separated from its result), and valid JSON as the arguments of native calls.
"""

import json
import re
from typing import Any, cast
from uuid import UUID

from shared.domain import Json

LONGEST = 3000
# Of one value among a call's parameters.
LONGEST_VALUE = 1000

# Changes whenever the compressed form of any message does: forms and counts are stored.
RULE = "1"

_CUT = "... (truncated)"
_CALLS = re.compile(r"<function_calls>.*?(?:</function_calls>|\Z)", re.DOTALL)
_VALUE = re.compile(r"(<parameter\b[^>]*>)(.*?)(</parameter>|\Z)", re.DOTALL)


def compress(message: Json, message_id: UUID) -> Json:
    """The message as the model is given it once it is old: the very same object if it is not long. Idempotent."""
    changes: Json = {}
    hint = f'{_CUT}\n\nmessage_id "{message_id}"\nUse expand_message tool to see contents'
    content: Any = message.get("content")
    if isinstance(content, str):
        shorter = _compress_text(content, hint)
        if shorter is not content:
            changes["content"] = shorter
    elif isinstance(content, list):
        blocks = cast("list[Json]", content)
        shorter_blocks = _compress_blocks(blocks, hint)
        if shorter_blocks != blocks:
            changes["content"] = shorter_blocks
    calls: Any = message.get("tool_calls")
    if calls:
        shorter_calls = [_compress_call(call) for call in cast("list[Json]", calls)]
        if shorter_calls != calls:
            changes["tool_calls"] = shorter_calls
    return {**message, **changes} if changes else message


def _compress_text(text: str, hint: str) -> str:
    if len(text) <= LONGEST or hint in text:
        return text
    said: list[str] = []
    left = LONGEST
    cut = False
    position = 0
    for calls in _CALLS.finditer(text):
        plain = text[position : calls.start()]
        said.append(plain[:left])
        cut = cut or len(plain) > left
        left = max(0, left - len(plain))
        shorter = _VALUE.sub(_shorten_parameter, calls.group())
        cut = cut or shorter != calls.group()
        said.append(shorter)
        position = calls.end()
    plain = text[position:]
    said.append(plain[:left])
    cut = cut or len(plain) > left
    # Nothing but calls with short values: there is nothing to cut.
    return "".join(said) + hint if cut else text


def _shorten_parameter(match: re.Match[str]) -> str:
    begin, value, end = match.groups()
    return begin + _shorten(value) + end


def _shorten(value: str) -> str:
    if len(value) <= LONGEST_VALUE + len(_CUT):
        return value
    return value[:LONGEST_VALUE] + _CUT


def _compress_blocks(blocks: list[Json], hint: str) -> list[Json]:
    """The first 3,000 characters of all text together; what is no text stays."""
    texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
    if sum(map(len, texts)) <= LONGEST or any(hint in text for text in texts):
        return blocks
    left = LONGEST
    kept: list[Json] = []
    for block in blocks:
        if block.get("type") != "text":
            kept.append(block)
        elif left > 0:
            text = str(block.get("text", ""))
            kept.append({**block, "text": text[:left]})
            left -= len(text)
    last = max(place for place, block in enumerate(kept) if block.get("type") == "text")
    kept[last] = {**kept[last], "text": kept[last]["text"] + hint}
    return kept


def _compress_call(call: Json) -> Json:
    function: Json = call.get("function", {})
    arguments: Any = function.get("arguments")
    if not isinstance(arguments, str) or len(arguments) <= LONGEST:
        return call
    try:
        values: Any = json.loads(arguments)
    except ValueError:
        return call
    shorter = json.dumps(_shorten_values(values), ensure_ascii=False)
    return call if len(shorter) >= len(arguments) else {**call, "function": {**function, "arguments": shorter}}


def _shorten_values(value: Any) -> Any:
    """A JSON value whose strings are short."""
    if isinstance(value, str):
        return _shorten(value)
    if isinstance(value, list):
        return [_shorten_values(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _shorten_values(item) for name, item in cast("Json", value).items()}
    return value
