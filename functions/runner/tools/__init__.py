"""Tools: what the model can call, how it is described to it, and how a call is made.

A user's tool is one class in one file of ``functions.runner.tools.custom``; ``docs/tools.md`` shows how.
"""

from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.invoke import invoke
from functions.runner.tools.registry import ToolRegistry
from functions.runner.tools.result import ToolResult
from functions.runner.tools.tool import Tool, tool_function

__all__ = ["Tool", "ToolContext", "ToolFunction", "ToolRegistry", "ToolResult", "invoke", "tool_function"]
