"""A function that the model can call, whatever it is made of: a method of a tool, or a tool of an MCP server."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from functions.runner.tools import xml_form
from functions.runner.tools.errors import ToolDefinitionError
from functions.runner.tools.result import ToolResult
from shared.domain import Json

# The narrowest of the providers' rules (OpenAI's).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """For whom a call is made. ``call_id`` is the same when a call is repeated: an idempotent tool can key on it."""

    call_id: str
    agent_run_id: UUID
    thread_id: UUID
    account_id: str


@dataclass(frozen=True, kw_only=True)
class ToolFunction:
    """One callable function.

    Attributes:
        name: unique in a registry, 1-64 of ``A-Z a-z 0-9 _ -``.
        description: what it does and when to use it, for the model.
        parameters: JSON Schema of the arguments, an object.
        invoke: called with the arguments and for whom; may raise anything (see ``functions.runner.tools.invoke``).
        idempotent: whether a call may be repeated under the same ``call_id``, after a crash.
        needs_approval: whether a person must agree first.
        timeout_s: how long a call may take.
        ends_run: how the run ends once the function has succeeded.

    Raises:
        ToolDefinitionError: the name, the schema or the time limit is not valid.
    """

    name: str
    description: str
    parameters: Json
    invoke: Callable[[Json, ToolContext], Awaitable[ToolResult]]
    idempotent: bool = False
    needs_approval: bool = False
    timeout_s: float = 60.0
    ends_run: Literal["completed", "needs_input"] | None = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ToolDefinitionError(f"{self.name!r} is no name for a tool: use 1 to 64 of A-Z a-z 0-9 _ -")
        if self.parameters.get("type") != "object":
            raise ToolDefinitionError(f"the parameters of {self.name!r} are no JSON Schema of an object")
        if self.timeout_s <= 0:
            raise ToolDefinitionError(f"the time limit of {self.name!r} must be above zero, not {self.timeout_s!r}")

    def openai_schema(self) -> Json:
        """The function as OpenAI's ``tools`` take it, and through litellm every other provider."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        }

    def xml_example(self) -> str:
        """A call in the XML form."""
        return xml_form.example(self.name, self.parameters)
