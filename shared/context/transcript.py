"""A conversation as text, cut into pieces that a summariser can be given."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from shared.domain import Json, MessageType

type Count = Callable[[str], int]

# A piece is cut where one of these ends, the first that stands in its last third: a fact is rarely cut in two.
_SEAMS = ("\n\n", "\n", ". ", " ")

# Where the search for a piece's end begins.
_CHARACTERS_A_TOKEN = 4


def transcribe(kind: MessageType, message: Json) -> str:
    """One message, under a line that says whose it is."""
    lines = [f"[{_speaker(kind, message)}]"]
    text = _text(message.get("content"))
    if text:
        lines.append(text)
    for call in cast("list[Json]", message.get("tool_calls") or []):
        function: Json = call.get("function", {})
        lines.append(f"(calls {function.get('name')} with {function.get('arguments')})")
    return "\n".join(lines) + "\n\n"


def _speaker(kind: MessageType, message: Json) -> str:
    if kind == "tool":
        return f"result of {message['name']}" if "name" in message else "result"
    return kind


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_block_text(block) for block in cast("list[Json]", content))


def _block_text(block: Json) -> str:
    if block.get("type") == "text":
        return str(block.get("text", ""))
    image: Any = block.get("image_url")
    url: Any = cast("Json", image).get("url") if isinstance(image, dict) else image
    if isinstance(url, str) and not url.startswith("data:"):
        return f"(image {url})"
    return f"({json.dumps(block.get('type'))} block)"


def pack(groups: Sequence[Sequence[str]], *, limit: int, count: Count) -> list[str]:
    """Chunks of at most ``limit`` tokens that hold every text exactly once, in order.

    A group stays together if it fits into a chunk, a text if it does; longer ones are cut. ``limit`` is in the unit
    of ``count``, which must not find more in a whole than in its parts.
    """
    chunks: list[str] = []
    chunk, size = "", 0
    for unit in _units(groups, limit=limit, count=count):
        tokens = count(unit)
        if chunk and size + tokens > limit:
            chunks.append(chunk)
            chunk, size = "", 0
        chunk, size = chunk + unit, size + tokens
    return [*chunks, chunk] if chunk else chunks


def _units(groups: Sequence[Sequence[str]], *, limit: int, count: Count) -> list[str]:
    units: list[str] = []
    for group in groups:
        whole = "".join(group)
        if count(whole) <= limit:
            units.append(whole)
            continue
        for text in group:
            units += cut(text, limit=limit, count=count)
    return units


def cut(text: str, *, limit: int, count: Count) -> list[str]:
    """The text in pieces of at most ``limit`` tokens, or of one character."""
    pieces: list[str] = []
    while text:
        head = first_piece(text, limit=limit, count=count)
        pieces.append(head)
        text = text[len(head) :]
    return pieces


def first_piece(text: str, *, limit: int, count: Count) -> str:
    """About the longest beginning of ``text`` with at most ``limit`` tokens, back to where a sentence or word ends."""
    low, high = 1, max(1, limit) * _CHARACTERS_A_TOKEN
    while high < len(text) and count(text[:high]) <= limit:
        low, high = high, high * 2
    if high >= len(text):
        high = len(text)
        if count(text) <= limit:
            return text
    # Near enough is good enough: each look at a long text costs as much as the text is long.
    while high - low > max(1, low // 64):
        middle = (low + high) // 2
        if count(text[:middle]) <= limit:
            low = middle
        else:
            high = middle
    head = text[:low]
    for seam in _SEAMS:
        end = head.rfind(seam, low * 2 // 3)
        if end > 0:
            return head[: end + len(seam)]
    return head
