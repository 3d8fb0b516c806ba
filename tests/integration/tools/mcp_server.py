"""An MCP server in a process of its own: the official server, over streamable HTTP by uvicorn.

``python -m tests.integration.tools.mcp_server PORT [legacy] [json] [strange]``; "legacy": it speaks only the protocol
of 2025, with sessions, as most servers do; "json": answers are JSON and not event streams; "strange": it has tools that
mean no good.
"""

import asyncio
import os
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("tests", log_level="ERROR")
_waits: set[str] = set()
_meeting = asyncio.Barrier(8)


class Point(BaseModel):
    """A point with a neighbour, so that the schema has references."""

    x: int
    next: "Point | None" = None


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def echo(text: str, point: Point | None = None) -> str:
    """Say it again."""
    return text if point is None else f"{text} {point.x}"


@server.tool()
def table() -> dict[str, int]:
    """Give structured content."""
    return {"a": 1}


@server.tool()
def fail() -> str:
    """Fail as a tool does."""
    raise ToolError("there is no such city")


@server.tool(name="files.read/all")
def files(where: str = "") -> str:
    """Have a name that providers refuse."""
    return f"files {where}"


@server.tool()
def blocks() -> list[ContentBlock]:
    """Give every kind of content."""
    return [
        TextContent(text="text"),
        ImageContent(data="AAAA", mime_type="image/png"),
        ResourceLink(uri="https://example.org/a", name="a"),
        EmbeddedResource(resource=TextResourceContents(uri="file:///b", text="inside")),
        EmbeddedResource(resource=BlobResourceContents(uri="file:///c", blob="AAAAAAAA")),
    ]


@server.tool()
async def wait(seconds: float, name: str = "") -> str:
    """Take a while."""
    _waits.add(name)
    await asyncio.sleep(seconds)
    return "waited"


@server.tool()
def is_waiting(name: str) -> str:
    """Say whether a wait of this name has begun."""
    return "yes" if name in _waits else "no"


@server.tool()
async def meet() -> str:
    """Wait until eight calls are here at the same time."""
    await _meeting.wait()
    return "met"


@server.tool()
def large(characters: int) -> str:
    """Say a lot."""
    return "x" * characters


@server.tool()
def die() -> str:
    """End the process in the middle of the call."""
    os._exit(1)


@server.tool()
def header(name: str, context: Context[Any, Any]) -> str:
    """Tell a header of the request."""
    return (context.headers or {}).get(name, "")


def bomb() -> str:
    """Have a schema of a kilobyte that becomes gigabytes."""
    return "bang"


def checked() -> dict[str, str]:
    """Give what a check against its own schema would not end with, or refuse."""
    return {"a": "a" * 26 + "!"}


def _strange() -> None:
    """Tools with schemas that no function has."""
    for tool in (bomb, checked):
        server.add_tool(tool)
    doubled = {
        f"d{level}": {"properties": {side: {"$ref": f"#/$defs/d{level + 1}"} for side in "ab"}} for level in range(30)
    }
    tools = server._tool_manager._tools
    tools["bomb"].parameters = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": doubled}
    endless = {"type": "object", "additionalProperties": {"type": "string", "pattern": "^(a+)+$"}}
    tools["checked"].fn_metadata.output_schema = endless


class Legacy:
    """Refuses what the protocol of 2026 asks first, as an older server does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(
            name == b"mcp-protocol-version" and value.startswith(b"2026") for name, value in scope["headers"]
        ):
            await PlainTextResponse("unsupported protocol version", status_code=400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def main() -> None:
    if "strange" in sys.argv:
        _strange()
    app: ASGIApp = server.streamable_http_app(json_response="json" in sys.argv)
    if "legacy" in sys.argv:
        app = Legacy(app)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")


if __name__ == "__main__":
    main()
