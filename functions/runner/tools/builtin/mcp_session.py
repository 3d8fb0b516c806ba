"""One session with an MCP server. Imports the MCP client: only ``mcp.py`` imports this module, when it has to."""

import asyncio
import json
from collections.abc import Collection, Coroutine, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import ValidationError

from functions.runner.tools.builtin.mcp import ListedTool, Listing, McpError, McpServer, McpSessionEndedError
from functions.runner.tools.network import guarded
from functions.runner.tools.result import ToolResult
from functions.runner.tools.schema import LARGEST, SchemaTooLargeError, simplified
from shared.domain import Json
from shared.network.addresses import RefusedAddressError, Resolver
from shared.telemetry import quiet

# "client" is the name of a logger of mcp's.
quiet("mcp", "client")

# What a server may cost us.
MAX_RESPONSE_BYTES = 4_000_000
# Of a response, or of an event of one: the client makes objects, or errors, of them on the loop.
MAX_VALUES = 20_000
MAX_TOOLS = 128
_MAX_PAGES = 20
_MAX_DESCRIPTION = 4_000
# More than any model's provider takes.
_MAX_NAME = 128
_MAX_SCHEMA = 2 * LARGEST
# Of what a server, or the client's validation, says of a failure.
_MAX_TEXT = 2_000
_MOST_PROBLEMS = 5
# Beyond so many to list the first ones takes long, for all are made.
_MOST_LISTED = 500

_CLOSE_S = 3.0
_HTTP_TIMEOUT = httpx2.Timeout(15.0, read=300.0)


@dataclass
class _Request:
    """A request to the server. ``unseen``: it was refused because the server has forgotten the session."""

    unseen: bool = False


# The client sends in the context of whoever asks, so an HTTP response finds the request that it answers.
_request: ContextVar[_Request] = ContextVar("_request")


class McpSession:
    """A session, held open by a task of its own: the client's scopes must be left by the task that entered them, while
    calls come from many."""

    def __init__(self, server: McpServer, *, allowed_private: Collection[tuple[str, int]], resolver: Resolver) -> None:
        self._server = server
        self._http = guarded.client(
            allowed_private=allowed_private,
            timeout=_HTTP_TIMEOUT,
            headers={**server.headers, "Accept-Encoding": "identity"},
            resolver=resolver,
            max_response_bytes=MAX_RESPONSE_BYTES,
            max_values=MAX_VALUES,
        )
        self._http.event_hooks = {"response": [self._look]}
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._forgotten = False

    @property
    def ended(self) -> bool:
        """Whether the session can no longer be used."""
        return self._forgotten or self._closing.is_set() or self._owner is None or self._owner.done()

    async def open(self, *, timeout_s: float) -> None:
        """Connect and agree on the protocol's version.

        Raises:
            McpError: the server cannot be reached within ``timeout_s`` or does not speak MCP.
            RefusedAddressError: it is not on the public internet.
        """
        self._owner = asyncio.create_task(self._own(), name=f"mcp {self._server.name}")
        try:
            await asyncio.wait({self._owner, self._opened}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered = self._opened.done() or self._owner.done()
            if not self._opened.done():
                await self.close()
        if not answered:
            raise McpError(f"the MCP server {self._server.name!r} did not answer within {timeout_s:g} s")
        if self._owner.done():
            raise self._failure("cannot be used")

    async def _own(self) -> None:
        """Hold the session open until :meth:`close`."""
        transport = streamable_http_client(self._server.url, http_client=self._http)
        async with self._http, Client(transport, cache=None) as client:
            # Of what a tool gives, the model makes what it can. The client would check it against the tool's schema, on
            # the loop: a pattern of the server's choice can take for ever.
            client.session.validate_tool_result = _unchecked
            self._opened.set_result(client)
            await self._closing.wait()

    async def _look(self, response: httpx2.Response) -> None:
        """Note a forgotten session: 404 to a request that names one (MCP 2025-11-25, transports, session management).

        The client passes on whatever text the server has for it, so it cannot be told from its errors.
        """
        if response.status_code == 404 and "mcp-session-id" in response.request.headers:
            self._forgotten = True
            if (request := _request.get(None)) is not None:
                request.unseen = True

    async def close(self) -> None:
        """End the session, at the server too."""
        self._closing.set()
        if self._owner is None:
            return
        if not self._opened.done():
            self._owner.cancel()
        await asyncio.wait({self._owner}, timeout=_CLOSE_S)
        if not self._owner.done():
            self._owner.cancel()
            await asyncio.wait({self._owner}, timeout=_CLOSE_S)
        if self._owner.done() and not self._owner.cancelled():
            # Heard: a server that is gone at the end is nobody's problem.
            self._owner.exception()

    async def list_tools(self) -> Listing:
        """The server's tools; those that no provider would take say why.

        Raises:
            McpError: it does not answer, or not with a list of tools.
        """
        listed: list[ListedTool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._during(self._client().list_tools(cursor=cursor))
            # Beside the loop: it is the server's choice how long it takes.
            listed += await asyncio.to_thread(_all_listed, page.tools[:MAX_TOOLS])
            cursor = page.next_cursor
            if cursor is None or len(listed) >= MAX_TOOLS:
                break
        return tuple(listed[:MAX_TOOLS])

    async def call(self, tool: str, arguments: Json, *, timeout_s: float) -> ToolResult:
        """Call a tool.

        Raises:
            McpSessionEndedError: the server did not know the session any more, and executed nothing.
            McpError: the server refused the call or its connection broke.
        """
        # Only ``invoke`` knows how long the model may wait; this limit is for those that call without it.
        result = await self._during(self._client().call_tool(tool, arguments, read_timeout_seconds=timeout_s))
        return ToolResult(not result.is_error, _output(result))

    def _client(self) -> Client:
        return self._opened.result()

    async def _during[T](self, request: Coroutine[Any, Any, T]) -> T:
        """Await ``request`` for as long as the session lives."""
        assert self._owner is not None  # noqa: S101 - an unopened session has no client
        sent = _Request()
        context = copy_context()
        context.run(_request.set, sent)
        task = asyncio.create_task(request, context=context)
        try:
            await asyncio.wait({task, self._owner}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                # The client tells the server on its way out.
                await asyncio.wait({task}, timeout=1.0)
        if task.cancelled() or self._owner.done():
            if not task.cancelled() and task.exception() is None:
                return task.result()
            raise self._failure("broke the connection; what was called may have been executed")
        try:
            return task.result()
        except MCPError as error:
            if sent.unseen:
                raise McpSessionEndedError from error
            raise McpError(f"the MCP server {self._server.name!r} answers: {_text(error)}") from error
        except Exception as error:
            # The client raises what its transport and its validation raise.
            raise McpError(f"the MCP server {self._server.name!r} cannot be used: {_text(_first(error))}") from error

    def _failure(self, what: str) -> McpError | RefusedAddressError:
        """Why the owner has ended, as an error to raise."""
        assert self._owner is not None  # noqa: S101 - callers have opened the session
        error = None if self._owner.cancelled() else self._owner.exception()
        first = None if error is None else _first(error)
        if isinstance(first, RefusedAddressError):
            return first
        why = "it was closed" if first is None else f"{type(first).__name__}: {_text(first)}"
        return McpError(f"the MCP server {self._server.name!r} {what}: {why}")


def _first(error: BaseException) -> BaseException:
    """The first cause inside task groups' exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _text(error: BaseException) -> str:
    """What ``error`` says, cut: a server chooses how long that is."""
    if not isinstance(error, ValidationError):
        return str(error)[:_MAX_TEXT]
    count = error.error_count()
    told = f"its answer is not as MCP has it, in {count:,} places"
    if count <= _MOST_LISTED:
        problems = error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_PROBLEMS]
        told += ": " + "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
    return told[:_MAX_TEXT]


async def _unchecked(name: str, result: CallToolResult) -> None:
    """Nothing is wrong with a result."""
    del name, result


def _all_listed(tools: Sequence[Tool]) -> list[ListedTool]:
    return [_listed(tool) for tool in tools]


def _listed(tool: Tool) -> ListedTool:
    """``tool`` as we offer it, or why we cannot."""
    problem: str | None = None
    parameters: Json = {}
    size = 0
    try:
        parameters = simplified({"properties": {}, **tool.input_schema})
    except SchemaTooLargeError as error:
        problem = error.message
    else:
        if parameters.get("type") != "object" or not isinstance(parameters["properties"], dict):
            problem = "its schema is not one of an object with properties"
        elif (size := len(json.dumps(parameters))) > _MAX_SCHEMA:
            problem = f"its schema has more than {_MAX_SCHEMA} characters"
    if len(tool.name) > _MAX_NAME:
        # Patterns of those that need approval are held against it, on the loop: what is kept of it is short.
        problem = f"its name has more than {_MAX_NAME} characters"
    hints = tool.annotations
    description = (tool.description or tool.title or tool.name)[:_MAX_DESCRIPTION]
    return ListedTool(
        name=tool.name[:_MAX_NAME],
        description=description,
        parameters=parameters if problem is None else {},
        size=len(description) + (size if problem is None else 0),
        idempotent=hints is not None and bool(hints.idempotent_hint or hints.read_only_hint),
        problem=problem,
    )


def _output(result: CallToolResult) -> Json | list[Any] | str:
    """Text if all of the result is text, else its blocks; bytes are named, not shown, for no model reads base64."""
    if not result.content and result.structured_content is not None:
        structured: Any = result.structured_content
        return structured if isinstance(structured, dict | list) else json.dumps(structured)  # pyright: ignore[reportUnknownVariableType]
    if all(isinstance(block, TextContent) for block in result.content):
        return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    return [_block(block) for block in result.content]


def _block(block: Any) -> Json:
    match block:
        case TextContent():
            return {"type": "text", "text": block.text}
        case ResourceLink():
            return {"type": "resource_link", "uri": block.uri, "name": block.name, "description": block.description}
        case EmbeddedResource(resource=TextResourceContents(uri=uri, text=text)):
            return {"type": "resource", "uri": uri, "text": text}
        case EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=mime_type, blob=blob)):
            return {"type": "resource", "uri": uri, "mime_type": mime_type, "bytes": _size(blob)}
        case _:
            return {"type": block.type, "mime_type": block.mime_type, "bytes": _size(block.data)}


def _size(base64: str) -> int:
    return len(base64) * 3 // 4
