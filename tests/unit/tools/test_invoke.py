"""Whatever a tool does, the run goes on."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from functions.runner.tools import Tool, ToolContext, ToolFunction, ToolResult, invoke, tool_function
from functions.runner.tools.result import MAX_CHARACTERS
from shared.errors import NotFoundError

SECRET = "correct horse battery"
# The package's attribute of this name is the function.
INVOKE_MODULE = sys.modules["functions.runner.tools.invoke"]


def returning(make: Callable[[], Any]) -> ToolFunction:
    async def call(_: dict[str, Any], __: ToolContext) -> ToolResult:
        made = make()
        return made if isinstance(made, ToolResult) else ToolResult(True, made)

    return ToolFunction(name="f", description="", parameters={"type": "object"}, invoke=call)


def raising(error: BaseException) -> ToolFunction:
    def fail() -> Any:
        raise error

    return returning(fail)


def doing(call: Any, *, timeout_s: float = 60.0) -> ToolFunction:
    return ToolFunction(name="f", description="", parameters={"type": "object"}, invoke=call, timeout_s=timeout_s)


@pytest.mark.parametrize("output", ["text", "", {"a": [1, None, "ü"]}, [], ["x"]])
async def test_what_a_tool_returns_comes_back(output: Any, context: ToolContext) -> None:
    assert await invoke(returning(lambda: output), {}, context) == ToolResult(True, output)
    failed = ToolResult(False, output)
    assert await invoke(returning(lambda: failed), {}, context) == failed


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no such city"), "The tool 'f' failed: ValueError: no such city"),
        (KeyError(), "The tool 'f' failed: KeyError"),
        (TimeoutError("upstream"), "The tool 'f' failed: TimeoutError: upstream"),
        (NotFoundError("thread 'x' not found"), "The tool 'f' failed: thread 'x' not found"),
        (SystemExit(3), "The tool 'f' failed: SystemExit: 3"),
        (KeyboardInterrupt(), "The tool 'f' failed: KeyboardInterrupt"),
        (GeneratorExit(), "The tool 'f' failed: GeneratorExit"),
        (BaseExceptionGroup("many", [SystemExit(1)]), "The tool 'f' failed: BaseExceptionGroup"),
        (asyncio.CancelledError(), "The tool 'f' failed: it was cancelled from within"),
    ],
)
async def test_whatever_a_tool_raises_is_a_result(error: BaseException, told: str, context: ToolContext) -> None:
    result = await invoke(raising(error), {}, context)
    assert not result.success
    assert result.text().startswith(told)


async def test_a_long_error_is_shown_shortly(context: ToolContext) -> None:
    assert len((await invoke(raising(ValueError("x" * 1_000_000)), {}, context)).text()) < 3_000


async def test_system_exit_in_a_thread_is_a_result(context: ToolContext) -> None:
    class Leaving(Tool):
        @tool_function(blocking=True)
        def leave(self) -> None:
            """Leave."""
            raise SystemExit(1)

        @tool_function(blocking=True)
        def stop(self) -> None:
            """Stop iterating."""
            raise StopIteration

    for function in Leaving().functions():
        result = await invoke(function, {}, context)
        assert not result.success
        assert "failed" in result.text()


async def test_wrong_arguments_are_told(context: ToolContext) -> None:
    class Adding(Tool):
        @tool_function()
        async def add(self, a: int) -> int:
            """Add."""
            return a

    result = await invoke(Adding().functions()[0], {"b": 1}, context)
    assert result == ToolResult(
        False,
        "The arguments are not valid, nothing was done: 'a' is required; 'b' is not a parameter (parameters: a). "
        "Correct them and call again.",
    )


async def hang(_: dict[str, Any], __: ToolContext) -> ToolResult:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_tool_that_hangs_is_ended(context: ToolContext) -> None:
    result = await invoke(doing(hang, timeout_s=0.05), {}, context)
    assert not result.success
    assert "did not end within 0.05 s" in result.text()
    assert "may have had effects" in result.text()


async def test_the_shorter_limit_holds(context: ToolContext) -> None:
    assert "within 0.05 s" in (await invoke(doing(hang), {}, context, timeout_s=0.05)).text()
    assert "within 0.05 s" in (await invoke(doing(hang, timeout_s=0.05), {}, context, timeout_s=60)).text()
    assert "within 0 s" in (await invoke(doing(hang), {}, context, timeout_s=-1)).text()


async def test_a_tool_that_ignores_its_cancellation_is_left_behind(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(INVOKE_MODULE, "GRACE_S", 0.05)
    let_go = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn(_: dict[str, Any], __: ToolContext) -> ToolResult:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        ended.set()
        return ToolResult(True, "late")

    result = await invoke(doing(stubborn, timeout_s=0.05), {}, context)
    assert not result.success
    let_go.set()
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_thread_that_hangs_does_not_hold_the_run(context: ToolContext) -> None:
    let_go, ended = threading.Event(), threading.Event()

    class Hanging(Tool):
        @tool_function(blocking=True, timeout_s=0.05)
        def hang(self) -> None:
            """Hang."""
            let_go.wait(30)
            ended.set()

    assert not (await invoke(Hanging().functions()[0], {}, context)).success
    assert not ended.is_set()
    let_go.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_cancellation_of_the_caller_reaches_the_tool_and_passes(context: ToolContext) -> None:
    seen: list[str] = []
    started = asyncio.Event()

    async def noting(_: dict[str, Any], __: ToolContext) -> ToolResult:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        raise AssertionError

    calling = asyncio.create_task(invoke(doing(noting), {}, context))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert seen == ["cancelled"]


@pytest.mark.parametrize(
    "output",
    [object(), {"a": {1, 2}}, {"a": object()}, {(1, 2): "x"}, {"a": float("nan")}, b"bytes", 5, None],
    ids=repr,
)
async def test_what_is_not_json_is_told(output: Any, context: ToolContext) -> None:
    result = await invoke(returning(lambda: output), {}, context)
    assert not result.success
    assert "its output cannot be shown" in result.text()
    assert "What it did is done" in result.text()


async def test_a_structure_that_contains_itself_is_told(context: ToolContext) -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for output in (circle, deep):
        assert "cannot be shown" in (await invoke(returning(lambda output=output: output), {}, context)).text()


async def test_ten_megabytes_of_text_are_cut_and_say_so(context: ToolContext) -> None:
    result = await invoke(returning(lambda: "ü" * 10_000_000), {}, context)
    assert result.success
    assert len(result.text()) == MAX_CHARACTERS
    assert result.text().endswith("[cut: the whole text has 10,000,000 characters]")


async def test_ten_megabytes_of_json_are_refused_and_encoded_beside_the_loop(context: ToolContext) -> None:
    encoders: list[threading.Thread] = []

    class Noting(dict[str, Any]):
        def items(self) -> Any:
            encoders.append(threading.current_thread())
            return super().items()

    rows = [{"number": number, "text": "x" * 80} for number in range(100_000)]
    result = await invoke(returning(lambda: Noting(rows=rows)), {}, context)
    assert not result.success
    assert "over 1,000,000 characters" in result.text()
    assert encoders
    assert threading.current_thread() not in encoders


async def test_what_postgresql_cannot_hold_is_replaced(context: ToolContext) -> None:
    bad = "a\x00b\ud800c"
    assert (await invoke(returning(lambda: bad), {}, context)).output == "a\ufffdb\ufffdc"
    held = await invoke(returning(lambda: {bad: [bad], "\\u0000": "😀"}), {}, context)
    assert held.output == {"a\ufffdb\ufffdc": ["a\ufffdb\ufffdc"], "\\u0000": "😀"}
    assert (await invoke(raising(ValueError(bad)), {}, context)).text().endswith("a\ufffdb\ufffdc")


async def test_a_result_shares_nothing_with_the_tool(context: ToolContext) -> None:
    kept = {"a": (1, [2])}
    result = await invoke(returning(lambda: kept), {}, context)
    kept["a"][1].append(3)
    assert result.output == {"a": [1, [2]]}


def test_json_is_shown_compactly_and_readably() -> None:
    assert json.loads(ToolResult(True, {"a": "ü"}).text()) == {"a": "ü"}
    assert "ü" in ToolResult(True, {"a": "ü"}).text()


def failing(output: Any) -> ToolFunction:
    return returning(lambda: ToolResult(False, output))


@pytest.mark.parametrize(
    "function",
    [
        raising(ValueError(f"401 for https://weather.example/?key={SECRET}")),
        raising(ValueError("x" * 1970 + SECRET)),
        raising(NotFoundError(f"no city for {SECRET}")),
        failing(f"refused: {SECRET}"),
        failing({"refused": [{SECRET: f"{SECRET} is no key"}]}),
    ],
    ids=["raised", "cut in two", "raised by us", "text", "structure"],
)
async def test_a_failure_tells_the_model_no_secret_of_ours(
    function: ToolFunction, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHER_API_KEY", SECRET)
    result = await invoke(function, {}, context)
    assert not result.success
    assert "correct" not in result.text()
