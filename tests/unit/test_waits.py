"""Whatever waits in the HTTP function holds a place of its account: read off the source, so a new route does too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.api.limits.waits import Wait

API = Path(__file__).parents[2] / "functions/api"
# Functions of their own: what they wait in is no request, and tests of imports hold them apart.
_OTHERS = {"migrate", "sender", "watch", "webhooks", "page"}
# Calls that last as long as somebody else likes.
_LASTING = {"sleep", "wait", "wait_for", "as_completed", "xread", "blpop", "brpop", "blmove"}


def _sources() -> list[Path]:
    return sorted(path for path in API.rglob("*.py") if path.relative_to(API).parts[0] not in _OTHERS)


def _name(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _lasting(tree: ast.AST, *, held: bool = False) -> Iterator[ast.Call]:
    """The calls that last and stand in no ``hold``."""
    for node in ast.iter_child_nodes(tree):
        inside = held
        if isinstance(node, ast.Call):
            if _name(node) in _LASTING and not held:
                yield node
            inside = held or _name(node) == "hold"
        yield from _lasting(node, held=inside)


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(API)))
def test_nothing_waits_without_a_place(path: Path) -> None:
    assert [ast.unparse(call) for call in _lasting(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_what_waits_is_found() -> None:
    source = "async def route():\n    await asyncio.sleep(1)\n    await wait.hold(log.wait(1))\n    await log.wait(2)\n"
    assert [ast.unparse(call) for call in _lasting(ast.parse(source))] == ["asyncio.sleep(1)", "log.wait(2)"]


async def test_leave_to_wait_ends_with_its_block() -> None:
    wait = Wait()
    wait.end()

    async def lasting() -> None:
        raise AssertionError("nobody waits for it")

    held = lasting()
    with pytest.raises(AssertionError, match="holds a place"):
        await wait.hold(held)
    held.close()
