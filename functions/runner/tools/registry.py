"""The functions that a run's model can call."""

from collections.abc import Iterable

from functions.runner.tools import xml_form
from functions.runner.tools.errors import DuplicateToolError, UnknownToolError
from functions.runner.tools.function import ToolFunction
from functions.runner.tools.tool import Tool
from shared.domain import Json


class ToolRegistry:
    """Functions by name, in the order of their registration: the order the model sees them in."""

    def __init__(self, tools: Iterable[Tool | ToolFunction] = ()) -> None:
        self._functions: dict[str, ToolFunction] = {}
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool | ToolFunction) -> None:
        """Add a function, or all functions of a tool; none of them if one is refused.

        Raises:
            DuplicateToolError: a function of that name is there already.
            ToolDefinitionError: the tool is not defined as it must be.
        """
        added: dict[str, ToolFunction] = {}
        for function in [tool] if isinstance(tool, ToolFunction) else tool.functions():
            if function.name in self._functions or function.name in added:
                raise DuplicateToolError(f"there are two tools of the name {function.name!r}: rename one of them")
            added[function.name] = function
        self._functions |= added

    def get(self, name: str) -> ToolFunction | None:
        """The function of that name."""
        return self._functions.get(name)

    def names(self) -> list[str]:
        """All names."""
        return list(self._functions)

    def select(self, names: Iterable[str]) -> "ToolRegistry":
        """A registry of these functions only, in their order.

        Raises:
            UnknownToolError: a name is not there; the message says which are.
        """
        chosen = list(dict.fromkeys(names))
        unknown = [name for name in chosen if name not in self._functions]
        if unknown:
            raise UnknownToolError(
                f"there is no tool {unknown[0]!r}; there are: {', '.join(self._functions) or 'none'}"
            )
        return ToolRegistry(self._functions[name] for name in chosen)

    def openai_schemas(self) -> list[Json]:
        """The ``tools`` of a model call."""
        return [function.openai_schema() for function in self._functions.values()]

    def xml_instructions(self) -> str:
        """The part of the system prompt that lists the functions and teaches the XML form; empty without functions."""
        return xml_form.instructions(self._functions.values())
