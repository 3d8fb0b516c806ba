"""A tool call as the model wrote it."""

import re
from dataclasses import dataclass
from typing import Literal

from shared.domain import Json

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NAME_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call; either ``arguments`` or ``problem`` is set, never both.

    Attributes:
        call_id: Unique in its message, and the same whenever the same stream is parsed again. Providers may repeat an
            id in another message.
        index: Place among the message's calls of this form, from 0, in the order in which they are given out.
        name: The tool's name as the model wrote it; empty if it wrote none.
        arguments: What the tool is called with.
        raw: What the model wrote: the arguments' JSON (native), or the markup of the call (XML).
        problem: Why the call cannot be executed and how to write it right, for the model to read.
        start: XML only: where the call begins in the whole text that was fed, in characters.
        end: XML only: where it ends. ``text[:end]`` is a prefix that parses to the calls up to and including this one.
    """

    call_id: str
    index: int
    name: str
    arguments: Json | None
    raw: str
    form: Literal["native", "xml"]
    problem: str | None = None
    start: int | None = None
    end: int | None = None

    def message_form(self) -> Json:
        """The call as the assistant's message carries it: ``{"id", "type": "function", "function": {...}}``.

        Every provider accepts it: they refuse a conversation for a tool name out of ``[A-Za-z0-9_-]{1,64}`` or for
        arguments that are no JSON object, though it was their model that wrote them. So a malformed call has the
        arguments ``{}`` here, and its result says what was wrong.
        """
        name = _NOT_IN_NAMES.sub("_", self.name)[:_NAME_LENGTH] or "unnamed"
        arguments = self.raw if self.form == "native" and self.problem is None and self.raw.strip() else "{}"
        return {"id": self.call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
