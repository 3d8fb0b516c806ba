"""What a tool gives back to the model."""

import json
from dataclasses import dataclass
from typing import Any

from shared.domain import Json

# Characters of a result that are kept and shown to the model.
MAX_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class ToolResult:
    """The outcome of one call. ``output`` is text, or what JSON can hold; for a failure, what the model should do."""

    success: bool
    output: Json | list[Any] | str

    def text(self) -> str:
        """What the model is given: the text, or compact JSON; cut at ``MAX_CHARACTERS``, which it then says."""
        text = self.output if isinstance(self.output, str) else json.dumps(self.output, ensure_ascii=False)
        return cut(text)


def cut(text: str) -> str:
    """``text``, or as much of its beginning as leaves room to say how much was cut."""
    if len(text) <= MAX_CHARACTERS:
        return text
    note = f"\n[cut: the whole text has {len(text):,} characters]"
    return text[: MAX_CHARACTERS - len(note)] + note
