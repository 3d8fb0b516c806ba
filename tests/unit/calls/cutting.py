"""The same stream, cut in every way: one parse of each, to be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import strategies as st

from functions.runner.calls.model import ToolCall
from functions.runner.calls.native import NativeCalls
from functions.runner.calls.xml import XmlCalls
from shared.domain import Json
from shared.storable import LONGEST_NUMBER

# Longer ones are refused.
FLOATS = st.just(0.0) | st.floats(1e-15, 1e15) | st.floats(-1e15, -1e-15)
INTEGERS = st.integers(1 - 10 ** (LONGEST_NUMBER - 1), 10**LONGEST_NUMBER - 1)
NUMBERS = INTEGERS | FLOATS

MESSAGE_ID = UUID("00000000-0000-4000-8000-000000000001")


@dataclass
class Parsed:
    """What came out, and how much of it before the end."""

    visible: str = ""
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    before_finish: int = 0


def parse_xml(pieces: Sequence[str], schemas: dict[str, Json] | None = None, *, cut_off: bool = False) -> Parsed:
    """Feed the pieces, one after the other."""
    parser, parsed = XmlCalls(MESSAGE_ID, (schemas or {}).get), Parsed()
    for piece in pieces:
        visible, calls = parser.feed(piece)
        parsed.visible += visible
        parsed.calls += calls
    parsed.before_finish = len(parsed.calls)
    visible, calls = parser.finish(cut_off=cut_off)
    parsed.visible += visible
    parsed.calls += calls
    return parsed


def parse_native(chunks: Sequence[Sequence[Json] | None], *, cut_off: bool = False) -> Parsed:
    """Feed the chunks' deltas, one chunk after the other."""
    parser, parsed = NativeCalls(MESSAGE_ID), Parsed()
    for chunk in chunks:
        parsed.calls += parser.feed(chunk)
    parsed.before_finish = len(parsed.calls)
    parsed.calls += parser.finish(cut_off=cut_off)
    return parsed


def delta(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> Json:
    """A member of ``delta.tool_calls``."""
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def cut(text: str, places: Sequence[int]) -> list[str]:
    """``text`` in pieces, cut at ``places``."""
    ends = [*sorted(place for place in places if 0 < place < len(text)), len(text)]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
