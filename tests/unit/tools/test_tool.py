"""Tools as users write them."""

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from functions.runner.tools import Tool, ToolContext, ToolFunction, ToolRegistry, ToolResult, tool_function
from functions.runner.tools.errors import DuplicateToolError, ToolDefinitionError, UnknownToolError


class Point(BaseModel):
    x: int


class GeoTool(Tool):
    """Functions of every kind."""

    def __init__(self) -> None:
        self.seen: list[ToolContext] = []

    @tool_function(name="add-up", idempotent=True, needs_approval=True, timeout_s=7, ends_run="completed")
    async def add(self, a: int, b: int = 1, *, context: ToolContext) -> Any:
        """Add two numbers."""
        self.seen.append(context)
        return a + b

    @tool_function(blocking=True)
    def thread_name(self, word: str) -> str:
        """Say where it runs."""
        return f"{word} {threading.current_thread().name}"

    @tool_function()
    async def point(self, point: Point) -> Point:
        """Move a point."""
        return Point(x=point.x + 1)

    async def not_offered(self) -> None:
        """Nothing for a model."""


async def call(tool: Tool, name: str, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    function = ToolRegistry([tool]).get(name)
    assert function is not None
    return await function.invoke(arguments, context)


def test_only_decorated_methods_are_offered_as_they_are_declared() -> None:
    functions = GeoTool().functions()
    assert [function.name for function in functions] == ["add-up", "thread_name", "point"]
    add = functions[0]
    assert (add.idempotent, add.needs_approval, add.timeout_s, add.ends_run) == (True, True, 7, "completed")
    assert (functions[1].idempotent, functions[1].needs_approval, functions[1].timeout_s) == (False, False, 60.0)
    assert add.openai_schema() == {
        "type": "function",
        "function": {
            "name": "add-up",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    }


async def test_a_method_gets_its_arguments_and_the_context(context: ToolContext) -> None:
    tool = GeoTool()
    assert await call(tool, "add-up", {"a": 2}, context) == ToolResult(True, "3")
    assert tool.seen == [context]
    assert await call(tool, "point", {"point": {"x": 1}}, context) == ToolResult(True, {"x": 2})


async def test_a_blocking_method_runs_beside_the_loop(context: ToolContext) -> None:
    result = await call(GeoTool(), "thread_name", {"word": "in"}, context)
    assert result == ToolResult(True, "in blocking-tool")


async def test_the_loop_turns_while_a_blocking_method_works(context: ToolContext) -> None:
    began, turned = threading.Event(), threading.Event()

    class Busy(Tool):
        @tool_function(blocking=True)
        def work(self) -> str:
            """Work until the loop has turned."""
            began.set()
            return "done" if turned.wait(10) else "the loop stood still"

    working = asyncio.create_task(call(Busy(), "work", {}, context))
    await asyncio.to_thread(began.wait, 10)
    turned.set()
    assert (await working).output == "done"


def test_a_method_that_would_block_the_loop_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match=r"Wrong\.work must be `async def`, or be declared blocking=True"):

        class Wrong(Tool):  # pyright: ignore[reportUnusedClass]
            @tool_function()
            def work(self) -> None:
                """Block."""


def test_an_async_method_is_not_blocking() -> None:
    with pytest.raises(ToolDefinitionError, match="is async"):

        class Wrong(Tool):  # pyright: ignore[reportUnusedClass]
            @tool_function(blocking=True)
            async def work(self) -> None:
                """Not block."""


def test_a_tool_without_functions_is_refused() -> None:
    class Empty(Tool):
        pass

    with pytest.raises(ToolDefinitionError, match="Empty has no method decorated"):
        Empty().functions()


def test_a_subclass_offers_what_it_inherits_and_overrides() -> None:
    class Narrow(GeoTool):
        @tool_function()
        async def point(self, point: Point) -> Point:
            """Leave a point."""
            return point

        @tool_function()
        async def more(self) -> None:
            """Do more."""

    described = {function.name: function.description for function in Narrow().functions()}
    assert list(described) == ["add-up", "thread_name", "point", "more"]
    assert described["point"] == "Leave a point."


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("HttpFetch", "http_fetch"), ("GeoTool", "geo"), ("HTTPServer", "http_server"), ("Tool2", "tool2")],
)
def test_a_tool_is_named_after_its_class(class_name: str, name: str) -> None:
    assert type(class_name, (Tool,), {}).name == name
    assert type(class_name, (Tool,), {"name": "own"}).name == "own"


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "x" * 65])
def test_a_name_that_providers_refuse_is_refused(name: str) -> None:
    with pytest.raises(ToolDefinitionError, match="is no name for a tool"):
        function(name)


def test_a_function_needs_a_schema_and_time() -> None:
    with pytest.raises(ToolDefinitionError, match="no JSON Schema of an object"):
        ToolFunction(name="a", description="", parameters={}, invoke=nothing)
    with pytest.raises(ToolDefinitionError, match="time limit"):
        ToolFunction(name="a", description="", parameters={"type": "object"}, invoke=nothing, timeout_s=0)


async def nothing(_: dict[str, Any], __: ToolContext) -> ToolResult:
    return ToolResult(True, "")


def function(name: str) -> ToolFunction:
    return ToolFunction(name=name, description=name, parameters={"type": "object"}, invoke=nothing)


def test_a_registry_keeps_the_order_and_refuses_a_second_of_a_name() -> None:
    registry = ToolRegistry([function("b"), function("a")])
    with pytest.raises(DuplicateToolError, match="'a'"):
        registry.register(function("a"))
    registry.register(GeoTool())
    with pytest.raises(DuplicateToolError, match="'add-up'"):
        registry.register(GeoTool())
    assert registry.names() == ["b", "a", "add-up", "thread_name", "point"]
    assert [schema["function"]["name"] for schema in registry.openai_schemas()] == registry.names()
    assert registry.get("c") is None


def test_a_tool_that_is_refused_leaves_nothing_behind() -> None:
    registry = ToolRegistry([function("point")])
    with pytest.raises(DuplicateToolError):
        registry.register(GeoTool())
    assert registry.names() == ["point"]


def test_a_selection_has_the_functions_asked_for() -> None:
    registry = ToolRegistry([function("a"), function("b"), function("c")])
    assert registry.select(["c", "a", "c"]).names() == ["c", "a"]
    with pytest.raises(UnknownToolError, match="there is no tool 'd'; there are: a, b, c"):
        registry.select(["a", "d"])
