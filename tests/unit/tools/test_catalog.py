"""The tools that exist."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest

from functions.runner.tools import ToolRegistry, custom
from functions.runner.tools.builtin.conversation import Ask
from functions.runner.tools.catalog import BUILT_IN, catalog, discover
from functions.runner.tools.errors import CatalogError, DuplicateToolError

GREETING = '''
from functions.runner.tools import Tool, tool_function

class {name}(Tool):
    @tool_function()
    async def greet(self, name: str) -> str:
        """Greet someone."""
        return f"Hello {{name}}"
'''

type MakePackage = Callable[[dict[str, str]], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Makes a package of custom tools."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"tools_{uuid4().hex}"

    def make(files: dict[str, str]) -> ModuleType:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"__init__.py": "", **files}.items():
            (folder / file).write_text(text, encoding="utf-8")
        return importlib.import_module(name)

    yield make
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def test_one_class_in_one_file_is_a_tool(package: MakePackage) -> None:
    found = discover(package({"greeting.py": GREETING.format(name="Greeting")}), built_in=BUILT_IN)
    assert list(found) == ["ask", "complete", "expand_message", "http_fetch", "greeting"]
    assert ToolRegistry([found["greeting"]()]).names() == ["greet"]


def test_every_tool_of_the_catalog_can_be_made_and_offered() -> None:
    registry = ToolRegistry(tool() for tool in catalog().values())
    assert {"ask", "complete", "expand_message", "http_fetch"} <= set(registry.names())
    assert custom.__doc__
    assert "one class in one file" in custom.__doc__
    ends = {name: function.ends_run for name in registry.names() if (function := registry.get(name))}
    assert (ends["ask"], ends["complete"], ends["http_fetch"]) == ("needs_input", "completed", None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import a_library_that_is_not_there", "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
        ("def (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        (
            GREETING.format(name="Greeting").replace("async def", "def"),
            "ToolDefinitionError: Greeting.greet must be `async def`",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(text: str, why: str, package: MakePackage) -> None:
    module = package({"broken.py": text})
    with pytest.raises(CatalogError) as raised:
        discover(module)
    assert f"{module.__path__[0]}/broken.py cannot be imported" in raised.value.message
    assert why in raised.value.message


def test_a_module_without_a_tool_is_named(package: MakePackage) -> None:
    with pytest.raises(CatalogError, match=r"rates\.py defines no subclass of Tool: name it _rates\.py"):
        discover(package({"rates.py": "RATES = {}"}))


def test_what_begins_with_an_underscore_or_is_imported_is_no_tool(package: MakePackage) -> None:
    text = GREETING.format(name="Greeting") + "\nfrom functions.runner.tools.builtin.conversation import Ask\n"
    assert list(discover(package({"greeting.py": text, "_shared.py": "1 / 0"}))) == ["greeting"]


def test_two_tools_of_one_name_are_refused(package: MakePackage) -> None:
    text = GREETING.format(name="Ask")
    with pytest.raises(DuplicateToolError, match=r"'ask': .*conversation\.py and .*mine\.py"):
        discover(package({"mine.py": text}), built_in=(Ask,))
