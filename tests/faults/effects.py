"""Tools whose effects the ledger counts: put beside the custom tools."""

import os
import signal

from functions.runner.tools import Tool, ToolContext, tool_function
from shared.fault_points import effect, reached  # pyright: ignore[reportMissingImports] - `points.py`, put there


class Effects(Tool):
    """Effects outside."""

    @tool_function(idempotent=True)
    async def note(self, key: str, context: ToolContext) -> str:
        """Note something, once a call.

        Args:
            key: what.
        """
        return await self._act("note", key, context)

    @tool_function()
    async def charge(self, key: str, context: ToolContext) -> str:
        """Charge something, each time anew.

        Args:
            key: what.
        """
        return await self._act("charge", key, context)

    @tool_function(needs_approval=True)
    async def pay(self, key: str, context: ToolContext) -> str:
        """Charge something, each time anew, once somebody has agreed.

        Args:
            key: what.
        """
        return await self._act("charge", key, context)

    @tool_function(idempotent=True)
    async def die(self, key: str, context: ToolContext) -> str:
        """End the process.

        Args:
            key: what is noted before.
        """
        await effect(key, context.call_id, thread_id=context.thread_id)
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    async def _act(self, name: str, key: str, context: ToolContext) -> str:
        await effect(key, context.call_id, thread_id=context.thread_id)
        await reached(f"tool {name}", context.thread_id)
        return f"done: {key}"
