"""Tools of remote MCP servers, by the official client over streamable HTTP.

A run has one session with each server, opened at its first call and closed at its end: servers keep state in it, and
nothing may stay open when a function returns. What a server lists is kept a few minutes for the whole process, so that
a run need not connect before its model has called one of the tools.

The client is imported when first needed, beside the event loop: it takes over a second.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from functions.runner.tools.errors import DuplicateToolError, ToolDefinitionError
from functions.runner.tools.function import ToolContext, ToolFunction
from functions.runner.tools.result import ToolResult
from shared.domain import Json
from shared.errors import SunaError
from shared.network.addresses import Resolver, resolve
from shared.telemetry import logger

if TYPE_CHECKING:
    from functions.runner.tools.builtin.mcp_session import McpSession

LISTING_TTL_S = 300.0
_MAX_LISTINGS = 256
# Of all listings that are kept, in characters of JSON, which take several bytes each in memory; and of one of them.
_MAX_KEPT = 4_000_000
_MAX_LISTING = _MAX_KEPT // 8
_SERVER_NAME = re.compile(r"[A-Za-z0-9_-]{1,24}")
_MAX_NAME = 64
# Of tools that are left out.
_TOLD = 5


class McpError(SunaError):
    """An MCP server cannot be used."""


class McpSessionEndedError(McpError):
    """The MCP server has forgotten the session; the call was not executed."""


@dataclass(frozen=True, kw_only=True)
class McpServer:
    """A server that an assistant uses. ``headers`` are sent with each request (a token), and never logged.
    ``needs_approval``: patterns (``*``, ``?``) of its own names of tools that a person has to approve.

    Raises:
        ToolDefinitionError: the name is not 1-24 of ``A-Z a-z 0-9 _ -``, or the URL is not http or https.
    """

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    needs_approval: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _SERVER_NAME.fullmatch(self.name) is None:
            raise ToolDefinitionError(f"{self.name!r} is no name for an MCP server: use 1 to 24 of A-Z a-z 0-9 _ -")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ToolDefinitionError(f"the URL of the MCP server {self.name!r} must be one of http or https")

    def asks_for(self, tool: str) -> bool:
        """Whether a call of the tool, by its name on the server, has to be approved."""
        return any(fnmatchcase(tool.casefold(), pattern.casefold()) for pattern in self.needs_approval)


@dataclass(frozen=True, kw_only=True)
class ListedTool:
    """A tool as its server lists it; ``size``: its characters as JSON; ``problem``: why it cannot be used."""

    name: str
    description: str
    parameters: Json
    idempotent: bool
    size: int
    problem: str | None = None


type Listing = tuple[ListedTool, ...]


class Listings:
    """What servers listed lately, by server and credentials."""

    def __init__(self, *, ttl_s: float = LISTING_TTL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: dict[object, tuple[float, Listing]] = {}

    def get(self, server: McpServer) -> Listing | None:
        """The listing, if it is fresh."""
        self._forget()
        _, listing = self._kept.get(_key(server), (0.0, None))
        return listing

    def put(self, server: McpServer, listing: Listing) -> None:
        """Keep a listing, unless it is very large; the oldest go when there are too many, or they are too large."""
        self._kept.pop(_key(server), None)
        if _size(listing) <= _MAX_LISTING:
            self._kept[_key(server)] = (self._clock() + self._ttl_s, listing)
        self._forget()

    def _forget(self) -> None:
        """Remove the oldest: those that are not fresh any more, and those for which there is no room."""
        size = sum(_size(listing) for _, listing in self._kept.values())
        for key, (until, listing) in list(self._kept.items()):
            if self._clock() < until and len(self._kept) <= _MAX_LISTINGS and size <= _MAX_KEPT:
                return
            del self._kept[key]
            size -= _size(listing)


def _size(listing: Listing) -> int:
    return sum(tool.size for tool in listing)


def _key(server: McpServer) -> object:
    return server.url, frozenset(server.headers.items())


_process_listings = Listings()


class McpTools:
    """The tools of a run's MCP servers. Use it as a context manager: leaving it closes the sessions.

    Args:
        servers: the servers, each name once.
        allowed_private: (host, port) pairs that need not be public. From the deployment's settings only: an
            assistant's configuration is its user's, and must not reach what only this network can.
        listings: where listings are kept; by default for the process.
        connect_timeout_s: for opening a session, and for listing.
        call_timeout_s: for one call.
        resolver: how names become addresses.

    Raises:
        DuplicateToolError: two servers have the same name.
    """

    def __init__(
        self,
        servers: Sequence[McpServer],
        *,
        allowed_private: Collection[tuple[str, int]] = (),
        listings: Listings | None = None,
        connect_timeout_s: float = 15.0,
        call_timeout_s: float = 60.0,
        resolver: Resolver = resolve,
    ) -> None:
        self._servers = {server.name: server for server in servers}
        if len(self._servers) != len(servers):
            raise DuplicateToolError("two MCP servers have the same name: rename one of them")
        self._allowed_private = allowed_private
        self._listings = listings or _process_listings
        self._connect_timeout_s = connect_timeout_s
        self._call_timeout_s = call_timeout_s
        self._resolver = resolver
        self._sessions: dict[str, McpSession] = {}
        self._opening = {name: asyncio.Lock() for name in self._servers}
        #: Servers whose tools could not be listed, or not all of them used, and why: the run goes on without them.
        self.problems: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all sessions."""
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions))

    async def functions(self) -> list[ToolFunction]:
        """The tools of all servers, named ``{server}__{tool}``; those of an unusable server are left out, and
        :attr:`problems` says why."""
        listed = await asyncio.gather(*(self._list(server) for server in self._servers.values()))
        functions: dict[str, ToolFunction] = {}
        for server, listing in zip(self._servers.values(), listed, strict=True):
            left_out: list[str] = []
            for tool in listing:
                name = function_name(server.name, tool.name)
                # "a" with "b__c" and "a__b" with "c", or a server that lists a tool twice: the first one stays.
                problem = f"there is another {name!r}" if name in functions else tool.problem
                if problem is not None:
                    left_out.append(f"its tool {tool.name[:_MAX_NAME]!r} is left out: {problem}")
                    continue
                functions[name] = ToolFunction(
                    name=name,
                    description=tool.description,
                    parameters=tool.parameters,
                    invoke=partial(self._call, server, tool.name),
                    idempotent=tool.idempotent,
                    needs_approval=server.asks_for(tool.name),
                    timeout_s=self._call_timeout_s,
                )
            if left_out:
                more = f"; and {len(left_out) - _TOLD} more" if len(left_out) > _TOLD else ""
                self.problems[server.name] = "; ".join(left_out[:_TOLD]) + more
        return list(functions.values())

    async def _list(self, server: McpServer) -> Listing:
        listing = self._listings.get(server)
        if listing is None:
            try:
                async with asyncio.timeout(self._connect_timeout_s):
                    session = await self._session(server)
                    listing = await session.list_tools()
            except (SunaError, TimeoutError) as error:
                why = str(error) or f"no answer within {self._connect_timeout_s:g} s"
                # What the server says is the run's owner's to read, and in no log.
                logger.warning(
                    "an MCP server cannot be used", extra={"server": server.name, "kind": type(error).__name__}
                )
                self.problems[server.name] = why
                return ()
            self._listings.put(server, listing)
        self.problems.pop(server.name, None)
        return listing

    async def _call(self, server: McpServer, tool: str, arguments: Json, _: ToolContext) -> ToolResult:
        try:
            session = await self._session(server)
            return await session.call(tool, arguments, timeout_s=self._call_timeout_s)
        except McpSessionEndedError:
            # The server refused the call unseen, so it may be made again: once, on a new session.
            session = await self._session(server)
            return await session.call(tool, arguments, timeout_s=self._call_timeout_s)

    async def _session(self, server: McpServer) -> "McpSession":
        """The run's session with ``server``; a new one if it was never opened or has ended."""
        async with self._opening[server.name]:
            session = self._sessions.get(server.name)
            if session is None or session.ended:
                if session is not None:
                    await session.close()
                module = await asyncio.to_thread(import_module, "functions.runner.tools.builtin.mcp_session")
                opening: McpSession = module.McpSession(
                    server, allowed_private=self._allowed_private, resolver=self._resolver
                )
                await opening.open(timeout_s=self._connect_timeout_s)
                self._sessions[server.name] = session = opening
            return session


def function_name(server: str, tool: str) -> str:
    """``{server}__{tool}`` within the rules of providers. A name that has to be changed for them (MCP allows dots,
    slashes and 128 characters) ends in a digest of the tool's own, so that two tools never share one."""
    name = f"{server}__{re.sub(r'[^A-Za-z0-9_-]', '_', tool)}"
    if len(name) <= _MAX_NAME and name.endswith(tool):
        return name
    digest = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{name[: _MAX_NAME - len(digest) - 1]}_{digest}"
