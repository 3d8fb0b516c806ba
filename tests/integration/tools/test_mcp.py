"""MCP tools with a real server in a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.runner.tools import ToolContext, ToolFunction, ToolRegistry, ToolResult, invoke
from functions.runner.tools.builtin.mcp import Listings, McpServer, McpTools, function_name
from functions.runner.tools.errors import DuplicateToolError, ToolDefinitionError
from tests.integration.servers import ROOT
from tests.integration.tools.http_server import HttpServer, answer
from tests.integration.waiting import until
from tests.ports import free_port


@dataclass
class Running:
    """A server's process, which can be ended and started again at the same port."""

    options: tuple[str, ...]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.integration.tools.mcp_server", str(self.port), *self.options]
        self.process = subprocess.Popen(command, cwd=ROOT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    async def ready(self) -> None:
        async def answers() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            writer.close()
            return True

        await until(answers, timeout_s=60)


@contextmanager
def running(*options: str) -> Iterator[Running]:
    server = Running(options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module", params=["modern", "modern json", "legacy", "legacy json"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """A server that no test ends, of every kind."""
    with running(*request.param.split()) as server:
        await server.ready()
        yield server


@pytest.fixture(params=["modern", "legacy"])
async def own(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """A server that the test may end."""
    with running(request.param) as server:
        await server.ready()
        yield server


def using(server: Running, *, name: str = "s", listings: Listings | None = None, **options: Any) -> McpTools:
    return McpTools(
        [McpServer(name=name, url=server.url, headers={"X-Token": "secret"})],
        allowed_private=[("127.0.0.1", server.port)],
        listings=listings or Listings(),
        **options,
    )


async def call(functions: list[ToolFunction], name: str, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    function = ToolRegistry(functions).get(name)
    assert function is not None, [each.name for each in functions]
    return await invoke(function, arguments, context)


async def test_a_server_s_tools_are_listed_as_functions(shared: Running) -> None:
    async with using(shared) as tools:
        functions = {function.name: function for function in await tools.functions()}
    assert tools.problems == {}
    echo = functions["s__echo"]
    assert echo.description == "Say it again."
    assert echo.idempotent
    assert not functions["s__wait"].idempotent
    assert echo.parameters["type"] == "object"
    assert echo.parameters["required"] == ["text"]
    assert '"title"' not in json.dumps(echo.parameters)
    odd = [name for name in functions if name.startswith("s__files")]
    assert odd == [function_name("s", "files.read/all")]


async def test_tools_that_match_need_approval(own: Running) -> None:
    async def asking(*patterns: str) -> set[str]:
        server = McpServer(name="s", url=own.url, needs_approval=patterns)
        async with McpTools([server], allowed_private=[("127.0.0.1", own.port)], listings=listings) as tools:
            return {function.name for function in await tools.functions() if function.needs_approval}

    # What is listed is kept for all assistants; what needs approval is each one's own.
    listings = Listings()
    assert await asking() == set()
    assert await asking("ECHO", "files.*", "tabl?", "ech") == {
        "s__echo",
        "s__table",
        function_name("s", "files.read/all"),
    }
    async with using(own, listings=listings) as tools:
        everything = {function.name for function in await tools.functions()}
    assert await asking("*") == everything
    assert await asking() == set()


async def test_calls_give_what_the_server_answers(shared: Running, context: ToolContext) -> None:
    async with using(shared) as tools:
        functions = await tools.functions()
        assert await call(functions, "s__echo", {"text": "hello"}, context) == ToolResult(True, "hello")
        point = {"x": 1, "next": {"x": 2}}
        assert (await call(functions, "s__echo", {"text": "a", "point": point}, context)).output == "a 1"
        assert json.loads((await call(functions, "s__table", {}, context)).text()) == {"a": 1}
        name = function_name("s", "files.read/all")
        assert (await call(functions, name, {"where": "here"}, context)).output == "files here"
        assert (await call(functions, "s__header", {"name": "x-token"}, context)).output == "secret"
        assert (await call(functions, "s__blocks", {}, context)).output == [
            {"type": "text", "text": "text"},
            {"type": "image", "mime_type": "image/png", "bytes": 3},
            {"type": "resource_link", "uri": "https://example.org/a", "name": "a", "description": None},
            {"type": "resource", "uri": "file:///b", "text": "inside"},
            {"type": "resource", "uri": "file:///c", "mime_type": None, "bytes": 6},
        ]


async def test_a_schema_that_grows_without_bound_costs_its_tool_only(context: ToolContext) -> None:
    with running("modern", "strange") as server:
        await server.ready()
        async with using(server) as tools:
            functions = {function.name: function for function in await tools.functions()}
            assert "s__bomb" not in functions
            assert "its tool 'bomb' is left out: its schema has more than" in tools.problems["s"]
            assert await call(list(functions.values()), "s__echo", {"text": "hello"}, context) == ToolResult(
                True, "hello"
            )
            # A result is not held against a schema, whose pattern would not end here.
            checked = await call(list(functions.values()), "s__checked", {}, context)
            assert (checked.success, json.loads(checked.text())) == (True, {"a": "a" * 26 + "!"})


async def test_failures_are_results_and_the_session_goes_on(shared: Running, context: ToolContext) -> None:
    async with using(shared) as tools:
        functions = await tools.functions()
        failed = await call(functions, "s__fail", {}, context)
        assert not failed.success
        assert "there is no such city" in failed.text()
        wrong = await call(functions, "s__echo", {"txt": 1}, context)
        assert not wrong.success
        assert "text" in wrong.text()
        assert (await call(functions, "s__echo", {"text": "still here"}, context)).output == "still here"


async def test_calls_run_at_the_same_time_on_one_session(shared: Running, context: ToolContext) -> None:
    async with using(shared) as tools:
        functions = await tools.functions()
        meetings = [call(functions, "s__meet", {}, context) for _ in range(8)]
        echoes = [call(functions, "s__echo", {"text": str(number)}, context) for number in range(8)]
        results = await asyncio.gather(*meetings, *echoes)
    assert [result.output for result in results] == ["met"] * 8 + [str(number) for number in range(8)]


async def test_a_call_that_takes_too_long_is_ended_and_the_session_goes_on(
    shared: Running, context: ToolContext
) -> None:
    async with using(shared) as tools:
        functions = await tools.functions()
        slow = ToolRegistry(functions).get("s__wait")
        assert slow is not None
        late = await invoke(slow, {"seconds": 30}, context, timeout_s=0.3)
        assert "did not end within 0.3 s" in late.text()
        assert (await call(functions, "s__echo", {"text": "next"}, context)).output == "next"
    async with using(shared, call_timeout_s=0.3) as tools:
        slow = ToolRegistry(await tools.functions()).get("s__wait")
        assert slow is not None
        assert not (await invoke(slow, {"seconds": 30}, context)).success


async def test_a_cancelled_call_leaves_nothing_running(shared: Running, context: ToolContext) -> None:
    before = asyncio.all_tasks()
    async with using(shared) as tools:
        functions = await tools.functions()
        calling = asyncio.create_task(call(functions, "s__wait", {"seconds": 30, "name": "cancelled"}, context))

        async def is_waiting() -> bool:
            return (await call(functions, "s__is_waiting", {"name": "cancelled"}, context)).output == "yes"

        await until(is_waiting)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
    await until(lambda: not (asyncio.all_tasks() - before))


async def test_a_large_answer_is_refused_or_cut(shared: Running, context: ToolContext) -> None:
    async with using(shared) as tools:
        functions = await tools.functions()
        huge = await call(functions, "s__large", {"characters": 10_000_000}, context)
        assert not huge.success
        fine = await call(functions, "s__large", {"characters": 100_000}, context)
        assert (fine.success, len(fine.text())) == (True, 100_000)


async def test_a_listing_is_kept_so_that_a_run_need_not_connect(own: Running, context: ToolContext) -> None:
    listings = Listings()
    async with using(own, listings=listings) as tools:
        first = await tools.functions()
    own.stop()
    async with using(own, listings=listings, name="t") as tools:
        again = await tools.functions()
        assert tools.problems == {}
        assert [function.name[1:] for function in again] == [function.name[1:] for function in first]
        gone = await call(again, "t__echo", {"text": "a"}, context)
    assert not gone.success
    assert "'t'" in gone.text()


async def test_a_server_that_dies_in_a_call_gives_a_failure_and_is_used_again_when_it_is_back(
    own: Running, context: ToolContext
) -> None:
    async with using(own) as tools:
        functions = await tools.functions()
        assert (await call(functions, "s__echo", {"text": "a"}, context)).success
        waiting = asyncio.create_task(call(functions, "s__wait", {"seconds": 30}, context))
        died = await call(functions, "s__die", {}, context)
        assert not died.success
        assert "'s'" in died.text()
        broken = await waiting
        assert not broken.success
        assert "did not end within" not in broken.text()
        assert not (await call(functions, "s__echo", {"text": "b"}, context)).success
        own.stop()
        own.start()
        await own.ready()
        assert await call(functions, "s__echo", {"text": "c"}, context) == ToolResult(True, "c")


async def test_a_server_that_was_restarted_between_calls_is_not_noticed(own: Running, context: ToolContext) -> None:
    async with using(own) as tools:
        functions = await tools.functions()
        assert (await call(functions, "s__echo", {"text": "a"}, context)).success
        own.stop()
        own.start()
        await own.ready()
        assert await call(functions, "s__echo", {"text": "b"}, context) == ToolResult(True, "b")


async def test_a_private_server_is_refused_unless_the_deployment_allows_it(hidden: HttpServer) -> None:
    for host in ("127.0.0.1", "localhost"):
        server = McpServer(name="s", url=hidden.url("/mcp", host=host))
        async with McpTools([server], listings=Listings()) as tools:
            assert await tools.functions() == []
            assert "not on the public internet" in tools.problems["s"]


async def test_a_redirect_to_a_private_server_is_not_followed(server: HttpServer, hidden: HttpServer) -> None:
    server.routes["/mcp"] = answer(b"", f"Location: {hidden.url()}", status="307 Temporary Redirect")
    one = McpServer(name="s", url=server.url("/mcp"))
    async with McpTools([one], allowed_private=[server.place], listings=Listings()) as tools:
        assert await tools.functions() == []
    assert "s" in tools.problems


@pytest.mark.parametrize(
    "broken",
    [
        answer(b"<html>", "Content-Type: text/html"),
        answer(b"{}", "Content-Type: application/json"),
        answer(b"not json", "Content-Type: application/json"),
        answer(b"data: {\n\n", "Content-Type: text/event-stream"),
        answer(b"\x1f\x8b", "Content-Type: application/json", "Content-Encoding: gzip"),
        answer(b"", status="500 Internal Server Error"),
        answer(b"", status="401 Unauthorized"),
        answer(b"", status="202 Accepted"),
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=lambda sent: sent[:40].decode(),
)
async def test_what_does_not_speak_mcp_is_left_out_and_told(broken: bytes, server: HttpServer) -> None:
    server.routes["/mcp"] = broken
    one = McpServer(name="s", url=server.url("/mcp"))
    async with McpTools([one], allowed_private=[server.place], listings=Listings(), connect_timeout_s=5) as tools:
        assert await tools.functions() == []
    assert tools.problems["s"]


async def test_a_server_that_never_answers_costs_the_time_limit_only(
    server: HttpServer, own: Running, context: ToolContext
) -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.routes["/mcp"] = silent
    servers = [McpServer(name="silent", url=server.url("/mcp")), McpServer(name="s", url=own.url)]
    allowed = [server.place, ("127.0.0.1", own.port)]
    async with McpTools(servers, allowed_private=allowed, listings=Listings(), connect_timeout_s=3) as tools:
        functions = await tools.functions()
        assert "within 3 s" in tools.problems["silent"]
        assert (await call(functions, "s__echo", {"text": "a"}, context)).success


def test_servers_are_named_and_addressed_properly() -> None:
    for name in ("", "a b", "x" * 25):
        with pytest.raises(ToolDefinitionError, match="is no name for an MCP server"):
            McpServer(name=name, url="https://example.org/mcp")
    for url in ("", "example.org", "stdio:x", "ftp://example.org", "https://"):
        with pytest.raises(ToolDefinitionError, match="must be one of http or https"):
            McpServer(name="a", url=url)
    one = McpServer(name="a", url="https://example.org/mcp", headers={"Authorization": "Bearer secret"})
    assert "secret" not in repr(one)
    with pytest.raises(DuplicateToolError):
        McpTools([one, one])


def test_names_stay_within_the_rules_and_apart() -> None:
    assert function_name("s", "echo") == "s__echo"
    names = [function_name("s" * 24, tool) for tool in ("a.b", "a/b", "a_b", "x" * 128, "x" * 127, "ä")]
    assert len(set(names)) == len(names)
    for name in names:
        ToolFunction(name=name, description="", parameters={"type": "object"}, invoke=never)


async def never(_: dict[str, Any], __: ToolContext) -> ToolResult:
    raise AssertionError
