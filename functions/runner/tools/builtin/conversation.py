"""How the model ends a run: with a question, or with an answer."""

from typing import Annotated

from pydantic import Field

from functions.runner.tools.result import ToolResult
from functions.runner.tools.tool import Tool, tool_function


class Ask(Tool):
    """A question to the user; the user's answer starts a new run."""

    @tool_function(idempotent=True, ends_run="needs_input")
    async def ask(
        self,
        text: Annotated[str, Field(min_length=1)],
        attachments: list[str] | None = None,
    ) -> ToolResult:
        """Ask the user a question and wait for the answer. Use it when you cannot go on without the user's decision or
        information; everything the user has to know must be in the question.

        Args:
            text: the question, in Markdown.
            attachments: paths or URLs of files that the user should look at.
        """
        return ToolResult(True, {"text": text, "attachments": attachments} if attachments else {"text": text})


class Complete(Tool):
    """The end of the task."""

    @tool_function(idempotent=True, ends_run="completed")
    async def complete(self, text: str = "") -> ToolResult:
        """Say that the task is done. Use it once, at the very end, when nothing is left to do.

        Args:
            text: what was done and what came of it, in Markdown; empty if you have said it already.
        """
        return ToolResult(True, {"text": text})
