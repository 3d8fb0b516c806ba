"""The full text of a message that the model was given shortened."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from functions.runner.tools.function import ToolContext
from functions.runner.tools.result import ToolResult
from functions.runner.tools.tool import Tool, tool_function
from shared.database import Connection, connection, messages


class ExpandMessage(Tool):
    """Reads messages of the run's own thread."""

    def __init__(self, *, connect: Callable[[], AbstractAsyncContextManager[Connection]] = connection) -> None:
        self._connect = connect

    @tool_function(idempotent=True, timeout_s=30)
    async def expand_message(self, message_id: UUID, context: ToolContext) -> ToolResult:
        """Get the full text of an earlier message of this conversation that you see only a part of.

        Args:
            message_id: the id that stands in the note at the end of the shortened message.
        """
        async with self._connect() as taken:
            # Scoped by account and by thread: another thread's messages do not exist for this one.
            content = await messages.content(
                taken, message_id=message_id, thread_id=context.thread_id, account_id=context.account_id
            )
        if content is None:
            return ToolResult(
                False, f"There is no message {str(message_id)!r} in this conversation. Copy the id from the note."
            )
        return ToolResult(True, text_of(content))


def text_of(content: dict[str, Any]) -> str:
    """All text of a stored message (OpenAI's form); what is not text is named by its type, tool calls are JSON."""
    said: str | list[dict[str, Any]] | None = content.get("content")
    parts = [said] if isinstance(said, str) else [_part(block) for block in said or []]
    if calls := content.get("tool_calls"):
        parts.append(json.dumps(calls, ensure_ascii=False))
    return "\n".join(part for part in parts if part)


def _part(block: dict[str, Any]) -> str:
    return block["text"] if block.get("type") == "text" else f"[{block.get('type')}]"
