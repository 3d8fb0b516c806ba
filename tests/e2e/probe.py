"""A tool for the end-to-end tests: it does what tools may do, good and bad. Put beside the custom tools."""

import asyncio
from typing import Any

from functions.runner.tools import Tool, tool_function


class Probe(Tool):
    """Functions of every kind."""

    @tool_function(idempotent=True)
    async def note(self, text: str) -> str:
        """Note something.

        Args:
            text: what to note.
        """
        return f"noted: {text!r}"

    @tool_function()
    async def add(self, first: int, second: int) -> dict[str, Any]:
        """Add two numbers.

        Args:
            first: one.
            second: the other.
        """
        return {"sum": first + second}

    @tool_function()
    async def wait(self, seconds: float, text: str) -> str:
        """Wait, then answer.

        Args:
            seconds: how long.
            text: the answer.
        """
        await asyncio.sleep(seconds)
        return text

    @tool_function()
    async def explode(self) -> str:
        """Raise an error."""
        raise RuntimeError("the fuse was lit")

    @tool_function()
    async def flood(self) -> str:
        """Answer ten megabytes."""
        return "x" * 10_000_000

    @tool_function()
    async def confuse(self) -> object:
        """Answer what JSON cannot hold."""
        return object()

    @tool_function(needs_approval=True)
    async def launch(self, target: str) -> str:
        """Do something that a person has to approve.

        Args:
            target: where.
        """
        return f"launched at {target}"
